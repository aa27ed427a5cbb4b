//! The network as data: operations in topological order, each naming its inputs and its parameters.
//!
//! A [`Graph`] is what torchvision's `forward` does, nothing fused, nothing laid out; [`program`] turns it into
//! the steps that a tape runs. Parameters carry torchvision's names and stand in the order of its
//! `named_modules()`.

pub mod activation;
pub mod build;
pub mod conv;
mod flows;
mod lower;
pub mod place;
pub mod pool;
pub mod program;

pub use activation::{Activation, Rectifier};
pub use pool::{Mean, Pool};

use conv::ConvShape;
use sha2::{Digest, Sha256};

/// Index of a node (and of the value that it computes) in [`Graph::nodes`].
pub type NodeId = usize;

/// Index of a parameter in [`Graph::params`].
pub type ParamId = usize;

/// Channels, height, width of a value (the batch is left open).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels.
    pub c: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

/// The four tensors of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormParams {
    /// γ, per channel.
    pub weight: ParamId,
    /// β, per channel.
    pub bias: ParamId,
    /// Running mean, per channel.
    pub mean: ParamId,
    /// Running variance, per channel.
    pub var: ParamId,
}

/// ε of every batch norm.
pub const NORM_EPS: f32 = 1e-5;

/// Weight of the newest batch in the running statistics.
pub const NORM_MOMENTUM: f32 = 0.1;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The normalised images.
    Input,
    /// Convolution; a linear layer is one whose kernel is as large as its map.
    Conv {
        /// `[k, c / groups, r, s]`.
        weight: ParamId,
        /// `[k]`.
        bias: Option<ParamId>,
        /// Sizes.
        shape: ConvShape,
    },
    /// Batch norm.
    Norm(NormParams),
    /// A function of every element.
    Activation(Activation),
    /// Sum of two values.
    Add,
    /// Product of two values; the second may have a 1×1 map, which stands for every pixel.
    Product,
    /// Max pool.
    MaxPool(Pool),
    /// Mean over the map.
    GlobalAvgPool,
    /// Means over windows.
    AvgPool(Mean),
    /// Dropout; the identity outside training.
    Dropout {
        /// Share of elements set to zero.
        p: f32,
    },
    /// Channels `start..start + shape.c`.
    Slice {
        /// First channel.
        start: usize,
    },
    /// Channels of the inputs, one after the other.
    Concat,
    /// Channel `i·(C/groups) + j` becomes channel `j·groups + i`.
    Shuffle {
        /// Groups.
        groups: usize,
    },
}

/// One operation of the network and the shape of its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// The values it reads.
    pub inputs: Vec<NodeId>,
    /// Shape of its result.
    pub shape: Shape,
    /// Module path, as in torchvision (for messages).
    pub name: String,
}

/// How a parameter starts, before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// The same value everywhere.
    Constant(f32),
    /// N(0, σ²).
    Normal(f32),
    /// U(−b, b).
    Uniform(f32),
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Weight of a convolution or linear layer: filterable.
    Weight,
    /// Trained, never filtered: biases, γ and β.
    Other,
    /// Running mean or variance: not trained by gradient.
    Statistic,
}

/// A named tensor of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// torchvision's name.
    pub name: String,
    /// torchvision's shape.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParamKind,
    /// torchvision's default initialisation.
    pub init: Init,
}

impl NormParams {
    /// The four of them.
    pub fn all(&self) -> [ParamId; 4] {
        [self.weight, self.bias, self.mean, self.var]
    }
}

impl Param {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name of the architecture.
    pub arch: String,
    /// Operations in topological order; the first is [`Op::Input`].
    pub nodes: Vec<Node>,
    /// Parameters in torchvision's order.
    pub params: Vec<Param>,
    /// The value that holds the logits: classes × 1 × 1.
    pub logits: NodeId,
}

impl Graph {
    /// Shape of the images.
    pub fn input(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.nodes[self.logits].shape.c
    }

    /// The filterable tensors, in torchvision's order: `layer_index` counts these.
    pub fn filterable(&self) -> Vec<ParamId> {
        (0..self.params.len()).filter(|&p| self.params[p].kind == ParamKind::Weight).collect()
    }

    /// Output channels of each filterable tensor, the first of its dimensions.
    pub fn filterable_channels(&self) -> Vec<usize> {
        let channels = |p: ParamId| self.params[p].shape.first().copied().unwrap_or(0);
        self.filterable().into_iter().map(channels).collect()
    }

    /// All parameters of the layer of a filterable tensor: the tensor itself, its bias, and those of the batch norms that
    /// read what it computes.
    pub fn layer(&self, weight: ParamId) -> Vec<ParamId> {
        let mut params = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            match node.op {
                Op::Conv { weight: own, bias, .. } if own == weight => {
                    params.push(weight);
                    params.extend(bias);
                    let norms = self.nodes.iter().filter(|reader| reader.inputs.contains(&i));
                    params.extend(
                        norms
                            .filter_map(|reader| match reader.op {
                                Op::Norm(norm) => Some(norm.all()),
                                _ => None,
                            })
                            .flatten(),
                    );
                }
                _ => {}
            }
        }
        params
    }

    /// How many nodes read each value.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        for node in &self.nodes {
            for &input in &node.inputs {
                uses[input] += 1;
            }
        }
        uses
    }

    /// Names and shapes of all parameters, as a checkpoint must have them.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.params.iter().map(|p| (p.name.clone(), p.shape.clone())).collect()
    }

    /// SHA-256 of the structure: operations, edges, shapes and parameter names.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for node in &self.nodes {
            // An activation is an operation of its own name.
            let op = match &node.op {
                Op::Activation(function) => format!("{function:?}"),
                op => format!("{op:?}"),
            };
            hash.update(format!("{op} {:?} {:?}\n", node.inputs, node.shape));
        }
        for param in &self.params {
            hash.update(format!("{} {:?}\n", param.name, param.shape));
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}
