//! A network ready to run, as data: steps, where every value lies, the moves of a backward pass.
//!
//! A [`Program`] is a list of [`Step`]s over *storages*. A storage is one slab buffer; several values may be
//! views of it, so that a split, a concatenation and a shuffle cost nothing where their parts can be written
//! in place. A convolution takes the batch norm by running statistics, the residual sum and the rectifier that follow it
//! into its own step. Lowering a graph is in `lower`, the way back in `flows`.

use super::conv::ConvShape;
use super::place::Place;
use super::{Activation, Mean, NodeId, NormParams, ParamId, Pool, Rectifier, Shape};

/// Index of a buffer in [`Program::storages`].
pub type StorageId = usize;

/// Index of a step in [`Program::steps`].
pub type StepId = usize;

/// How batch norm and dropout behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Batch norm by running statistics, fused into what it follows; no dropout.
    Inference,
    /// Batch norm by the statistics of the batch; no dropout.
    BatchStatistics,
    /// Batch norm by the statistics of the batch (that of frozen layers by running ones), dropout on.
    Training,
}

/// A value: some channels of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub storage: StorageId,
    /// Where in it.
    pub place: Place,
}

/// One buffer of the program.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Its channels are the rows of a pixel.
    pub shape: Shape,
    /// Where rectifiers write it, the slope of their derivative below 0. Then a sign bit per element is kept: set where the
    /// rectifier that wrote the element let it pass.
    pub signed: Option<f32>,
}

impl Storage {
    /// Rows of the buffer.
    pub fn rows(&self) -> usize {
        self.shape.c * self.shape.h * self.shape.w
    }
}

/// What a step computes.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// Convolution, then the fused batch norm (running statistics).
    Conv {
        /// `[k, c / groups, r, s]`.
        weight: ParamId,
        /// `[k]`.
        bias: Option<ParamId>,
        /// Sizes.
        shape: ConvShape,
        /// The batch norm that follows.
        norm: Option<NormParams>,
    },
    /// Batch norm by the statistics of the batch.
    Norm(NormParams),
    /// Batch norm by running statistics, behind something else than a convolution.
    RunningNorm(NormParams),
    /// Max pool, remembering winners.
    MaxPool(Pool),
    /// Means.
    AvgPool(Mean),
    /// A function of every element that is no rectifier.
    Activation(Activation),
    /// Product of two values, of which the second may have a 1×1 map.
    Product,
    /// Dropout, with a number that tells its random stream from others.
    Dropout {
        /// Share of elements set to zero.
        p: f32,
        /// Position among the network's dropouts.
        stream: u32,
    },
    /// The input itself: a copy, or the residual sum or a rectifier alone.
    Identity,
}

/// What the gradient that flows through a kernel needs of the forward pass, beside the sign bits of rectifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Nothing.
    Nothing,
    /// Which elements won.
    Winners,
    /// The value of the input with this number.
    Input(usize),
}

/// One fused operation: `out = rectifier?(kernel(inputs) + add?)`.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is computed.
    pub kernel: Kernel,
    /// The values that the kernel reads, at least one.
    pub inputs: Vec<View>,
    /// The residual.
    pub add: Option<View>,
    /// The rectifier that ends the step.
    pub rectifier: Option<Rectifier>,
    /// The value written.
    pub out: View,
    /// The node whose value `out` is.
    pub node: NodeId,
}

/// A network ready to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// How it was lowered.
    pub mode: Mode,
    /// Buffers; storage 0 holds the normalised images.
    pub storages: Vec<Storage>,
    /// In execution order.
    pub steps: Vec<Step>,
    /// The images.
    pub input: View,
    /// The logits.
    pub logits: View,
}

/// The part of a program that a changed step makes stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix {
    /// Stale steps, in execution order.
    pub steps: Vec<StepId>,
    /// For each storage, whether it is stale.
    pub dirty: Vec<bool>,
    /// Values that stay fresh but share a stale storage, each with the first stale step that reads or writes there:
    /// before that step they are copied from the base run.
    pub copies: Vec<(StepId, View)>,
}

/// One move of the backward pass.
#[derive(Clone, Copy, Debug)]
pub enum BackStep {
    /// Gradients of the parameters of a step.
    Params(StepId),
    /// The gradient that flows from a step's result into one of its inputs.
    Through {
        /// The step.
        step: StepId,
        /// Which of its inputs.
        input: usize,
        /// Where it is written.
        into: Flow,
    },
    /// A gradient passed on as it is (residuals, copies).
    Pass {
        /// The gradient that is passed on.
        from: View,
        /// Where it is written.
        into: Flow,
    },
    /// Sets a whole gradient buffer to zero before parts are accumulated.
    Zero(StorageId),
    /// Applies the sign bits to a whole gradient buffer.
    Mask(StorageId),
}

/// How a gradient is written.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The value whose gradient this is.
    pub to: View,
    /// Another value's gradient that is added on the way.
    pub add: Option<View>,
    /// Whether it is added to what stands there.
    pub accumulate: bool,
    /// Whether the sign bits of the storage are applied: the last contribution does that.
    pub mask: bool,
}

impl Program {
    /// The step that reads a parameter.
    pub fn step_of(&self, param: ParamId) -> Option<StepId> {
        self.steps.iter().position(|s| match s.kernel {
            Kernel::Conv { weight, bias, norm, .. } => {
                weight == param || bias == Some(param) || norm.is_some_and(|n| n.all().contains(&param))
            }
            Kernel::Norm(n) | Kernel::RunningNorm(n) => n.all().contains(&param),
            _ => false,
        })
    }

    /// For each storage, whether a backward pass reads the values in it: they must live until then.
    pub fn saved(&self, moves: &[BackStep]) -> Vec<bool> {
        let mut saved = vec![false; self.storages.len()];
        for back in moves {
            let (step, number) = match *back {
                BackStep::Params(step) => (step, Some(0)),
                BackStep::Through { step, input, .. } => match self.steps[step].kernel.saved(input) {
                    Saved::Input(number) => (step, Some(number)),
                    Saved::Nothing | Saved::Winners => (step, None),
                },
                BackStep::Pass { .. } | BackStep::Zero(_) | BackStep::Mask(_) => continue,
            };
            if let Some(number) = number {
                saved[self.steps[step].inputs[number].storage] = true;
            }
        }
        saved
    }

    /// What must be computed again when the steps in `changed` change.
    pub fn suffix(&self, changed: &[StepId]) -> Suffix {
        let mut dirty = vec![false; self.storages.len()];
        let mut stale = vec![false; self.steps.len()];
        for (i, step) in self.steps.iter().enumerate() {
            if changed.contains(&i) || step.reads().any(|view| dirty[view.storage]) {
                stale[i] = true;
                dirty[step.out.storage] = true;
            }
        }
        let copies = (self.steps.iter().zip(&stale))
            .filter(|(step, stale)| !**stale && dirty[step.out.storage])
            .map(|(step, _)| {
                let touches = |&i: &usize| stale[i] && self.steps[i].touches(step.out.storage);
                let first = (0..self.steps.len()).find(touches).expect("a stale step made it dirty");
                (first, step.out)
            })
            .collect();
        let steps = (0..self.steps.len()).filter(|&i| stale[i]).collect();
        Suffix { steps, dirty, copies }
    }
}

impl Kernel {
    /// What the gradient that flows into input number `input` needs.
    pub fn saved(&self, input: usize) -> Saved {
        match self {
            Kernel::Conv { .. }
            | Kernel::RunningNorm(_)
            | Kernel::AvgPool(_)
            | Kernel::Dropout { .. }
            | Kernel::Identity => Saved::Nothing,
            Kernel::MaxPool(_) => Saved::Winners,
            Kernel::Norm(_) | Kernel::Activation(_) => Saved::Input(0),
            Kernel::Product => Saved::Input(1 - input),
        }
    }
}

impl Step {
    /// The first value that the kernel reads.
    pub fn x(&self) -> View {
        self.inputs[0]
    }

    /// The values that are read.
    pub fn reads(&self) -> impl Iterator<Item = View> {
        self.inputs.iter().copied().chain(self.add)
    }

    /// Whether a storage is read or written.
    pub fn touches(&self, storage: StorageId) -> bool {
        self.out.storage == storage || self.reads().any(|view| view.storage == storage)
    }

    /// The parameters that are trained in this step.
    pub fn params(&self) -> impl Iterator<Item = ParamId> {
        let list = match self.kernel {
            Kernel::Conv { weight, bias, norm, .. } => {
                [Some(weight), bias, norm.map(|n| n.weight), norm.map(|n| n.bias)]
            }
            Kernel::Norm(n) | Kernel::RunningNorm(n) => [Some(n.weight), Some(n.bias), None, None],
            _ => [None; 4],
        };
        list.into_iter().flatten()
    }
}
