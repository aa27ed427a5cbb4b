//! Building a graph the way torchvision's modules read: one call per module, parameters named by path.

use super::conv::ConvShape;
use super::{
    Activation, Graph, Init, Mean, Node, NodeId, NormParams, Op, Param, ParamId, ParamKind, Pool, Shape,
};
use crate::error::{Error, Result};

/// Geometry of a convolution to be added.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    /// Output channels.
    pub k: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride, both ways.
    pub stride: usize,
    /// Zero padding on every side.
    pub pad: usize,
    /// Groups.
    pub groups: usize,
    /// Initialisation of the bias, or no bias.
    pub bias: Option<Init>,
}

impl ConvSpec {
    /// A dense convolution without bias.
    pub fn new(k: usize, kernel: usize, stride: usize, pad: usize) -> Self {
        ConvSpec { k, kernel, stride, pad, groups: 1, bias: None }
    }

    /// The same with a bias.
    pub fn bias(self, init: Init) -> Self {
        ConvSpec { bias: Some(init), ..self }
    }

    /// The same in groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvSpec { groups, ..self }
    }
}

/// A graph under construction.
pub struct Builder {
    graph: Graph,
}

impl Builder {
    /// A graph with nothing but its input, node 0.
    pub fn new(arch: &str, input: Shape) -> Self {
        let node = Node { op: Op::Input, inputs: vec![], shape: input, name: "input".into() };
        Builder { graph: Graph { arch: arch.into(), nodes: vec![node], params: vec![], logits: 0 } }
    }

    /// Shape of a value.
    pub fn shape(&self, x: NodeId) -> Shape {
        self.graph.nodes[x].shape
    }

    /// The finished graph with `logits` as its result.
    pub fn finish(mut self, logits: NodeId) -> Graph {
        self.graph.logits = logits;
        self.graph
    }

    /// A convolution named `name` whose weight starts as `init`.
    pub fn conv(&mut self, name: &str, x: NodeId, spec: ConvSpec, init: Init) -> Result<NodeId> {
        let Shape { c, h, w } = self.shape(x);
        let ConvSpec { k, kernel, stride, pad, groups, bias } = spec;
        if h + 2 * pad < kernel || w + 2 * pad < kernel {
            return Err(self.too_small(name, h, w, kernel));
        }
        let shape = ConvShape { c, k, h, w, r: kernel, s: kernel, stride, pad, groups };
        let (oh, ow) = shape.output();
        let weight = self.param(name, "weight", vec![k, c / groups, kernel, kernel], ParamKind::Weight, init);
        let bias = bias.map(|init| self.param(name, "bias", vec![k], ParamKind::Other, init));
        Ok(self.node(name, Op::Conv { weight, bias, shape }, vec![x], Shape { c: k, h: oh, w: ow }))
    }

    /// A linear layer of all values of x, with torch's default initialisation.
    pub fn linear(&mut self, name: &str, x: NodeId, k: usize) -> NodeId {
        let Shape { c, h, w } = self.shape(x);
        let init = Init::Uniform(1.0 / ((c * h * w) as f32).sqrt());
        self.linear_with(name, x, k, init, init)
    }

    /// A linear layer of all values of x, whose weight and bias start as given: a convolution with a kernel as large as the
    /// map.
    pub fn linear_with(&mut self, name: &str, x: NodeId, k: usize, weight: Init, bias: Init) -> NodeId {
        let Shape { c, h, w } = self.shape(x);
        let shape = ConvShape { c, k, h, w, r: h, s: w, stride: 1, pad: 0, groups: 1 };
        let weight = self.param(name, "weight", vec![k, c * h * w], ParamKind::Weight, weight);
        let bias = Some(self.param(name, "bias", vec![k], ParamKind::Other, bias));
        self.node(name, Op::Conv { weight, bias, shape }, vec![x], Shape { c: k, h: 1, w: 1 })
    }

    /// A batch norm.
    pub fn norm(&mut self, name: &str, x: NodeId) -> NodeId {
        let shape = self.shape(x);
        let mut param =
            |field: &str, kind, value| self.param(name, field, vec![shape.c], kind, Init::Constant(value));
        let norm = NormParams {
            weight: param("weight", ParamKind::Other, 1.0),
            bias: param("bias", ParamKind::Other, 0.0),
            mean: param("running_mean", ParamKind::Statistic, 0.0),
            var: param("running_var", ParamKind::Statistic, 1.0),
        };
        self.node(name, Op::Norm(norm), vec![x], shape)
    }

    /// max(x, 0).
    pub fn relu(&mut self, x: NodeId) -> NodeId {
        self.activation("relu", x, Activation::Relu)
    }

    /// A function of every element.
    pub fn activation(&mut self, name: &str, x: NodeId, function: Activation) -> NodeId {
        let shape = self.shape(x);
        self.node(name, Op::Activation(function), vec![x], shape)
    }

    /// x + y.
    pub fn add(&mut self, x: NodeId, y: NodeId) -> NodeId {
        let shape = self.shape(x);
        assert_eq!(shape, self.shape(y), "a sum needs equal shapes");
        self.node("add", Op::Add, vec![x, y], shape)
    }

    /// x · y, where y may have a 1×1 map, which stands for every pixel.
    pub fn product(&mut self, x: NodeId, y: NodeId) -> NodeId {
        let (shape, other) = (self.shape(x), self.shape(y));
        let fits = other == shape || other == Shape { h: 1, w: 1, ..shape };
        assert!(fits, "a product needs equal shapes, or a second factor with a 1×1 map");
        self.node("product", Op::Product, vec![x, y], shape)
    }

    /// A max pool.
    pub fn max_pool(&mut self, name: &str, x: NodeId, pool: Pool) -> Result<NodeId> {
        let shape = self.pooled(name, x, pool)?;
        Ok(self.node(name, Op::MaxPool(pool), vec![x], shape))
    }

    /// Means over square windows; `count_pad` says whether padding counts as zeros.
    pub fn avg_pool(&mut self, name: &str, x: NodeId, pool: Pool, count_pad: bool) -> Result<NodeId> {
        let shape = self.pooled(name, x, pool)?;
        Ok(self.node(name, Op::AvgPool(Mean::Windows { pool, count_pad }), vec![x], shape))
    }

    /// Means over `h`×`w` windows that share the map evenly.
    pub fn adaptive_avg_pool(&mut self, name: &str, x: NodeId, [h, w]: [usize; 2]) -> NodeId {
        let c = self.shape(x).c;
        self.node(name, Op::AvgPool(Mean::Adaptive), vec![x], Shape { c, h, w })
    }

    /// The mean over the map.
    pub fn global_avg_pool(&mut self, name: &str, x: NodeId) -> NodeId {
        let c = self.shape(x).c;
        self.node(name, Op::GlobalAvgPool, vec![x], Shape { c, h: 1, w: 1 })
    }

    /// Dropout.
    pub fn dropout(&mut self, name: &str, x: NodeId, p: f32) -> NodeId {
        let shape = self.shape(x);
        self.node(name, Op::Dropout { p }, vec![x], shape)
    }

    /// Channels `range` of x.
    pub fn slice(&mut self, x: NodeId, range: std::ops::Range<usize>) -> NodeId {
        let Shape { c, h, w } = self.shape(x);
        assert!(range.end <= c, "a slice lies within its value");
        self.node("split", Op::Slice { start: range.start }, vec![x], Shape { c: range.len(), h, w })
    }

    /// The channels of `parts`, one after the other.
    pub fn concat(&mut self, parts: &[NodeId]) -> NodeId {
        let Shape { h, w, .. } = self.shape(parts[0]);
        let c = parts.iter().map(|&p| self.shape(p).c).sum();
        self.node("concat", Op::Concat, parts.to_vec(), Shape { c, h, w })
    }

    /// Channel shuffle.
    pub fn shuffle(&mut self, x: NodeId, groups: usize) -> NodeId {
        let shape = self.shape(x);
        assert_eq!(shape.c % groups, 0, "a shuffle divides the channels evenly");
        self.node("shuffle", Op::Shuffle { groups }, vec![x], shape)
    }

    /// The shape that a pool leaves.
    fn pooled(&self, name: &str, x: NodeId, pool: Pool) -> Result<Shape> {
        let Shape { c, h, w } = self.shape(x);
        let shape = Shape { c, h: pool.output(h), w: pool.output(w) };
        if shape.h == 0 || shape.w == 0 {
            return Err(self.too_small(name, h, w, pool.kernel));
        }
        Ok(shape)
    }

    fn node(&mut self, name: &str, op: Op, inputs: Vec<NodeId>, shape: Shape) -> NodeId {
        self.graph.nodes.push(Node { op, inputs, shape, name: name.into() });
        self.graph.nodes.len() - 1
    }

    fn param(&mut self, path: &str, field: &str, shape: Vec<usize>, kind: ParamKind, init: Init) -> ParamId {
        self.graph.params.push(Param { name: format!("{path}.{field}"), shape, kind, init });
        self.graph.params.len() - 1
    }

    fn too_small(&self, name: &str, h: usize, w: usize, kernel: usize) -> Error {
        let Shape { h: ih, w: iw, .. } = self.graph.input();
        Error::usage(format!(
            "{} cannot take {ih}x{iw} images: {name} has a {kernel}x{kernel} window, and only {h}x{w} is left there",
            self.graph.arch
        ))
    }
}
