//! Small graphs, built by hand, and values for their parameters.

use super::CLASSES;
use synfilter::graph::build::{Builder, ConvSpec};
use synfilter::graph::{Graph, Init, NodeId, Shape};
use synfilter::random::Random;

/// A graph under construction: a builder that names parameters itself.
pub struct Net {
    pub builder: Builder,
    parts: usize,
}

impl Net {
    pub fn name(&mut self) -> String {
        self.parts += 1;
        format!("part{}", self.parts)
    }

    pub fn conv(&mut self, x: NodeId, spec: ConvSpec) -> NodeId {
        let name = self.name();
        let inputs = self.builder.shape(x).c / spec.groups * spec.kernel * spec.kernel;
        self.builder.conv(&name, x, spec, Init::Normal((inputs as f32).powf(-0.5))).unwrap()
    }

    /// A dense 3×3 convolution that keeps the map.
    pub fn conv3(&mut self, x: NodeId, k: usize) -> NodeId {
        self.conv(x, ConvSpec::new(k, 3, 1, 1))
    }

    pub fn norm(&mut self, x: NodeId) -> NodeId {
        let name = self.name();
        self.builder.norm(&name, x)
    }

    pub fn relu(&mut self, x: NodeId) -> NodeId {
        self.builder.relu(x)
    }

    /// Convolution and ReLU, which become one step.
    pub fn layer(&mut self, x: NodeId, k: usize) -> NodeId {
        let y = self.conv3(x, k);
        self.relu(y)
    }

    /// Convolution, batch norm, ReLU.
    pub fn block(&mut self, x: NodeId, k: usize) -> NodeId {
        let y = self.conv3(x, k);
        let y = self.norm(y);
        self.relu(y)
    }

    /// Logits in which every pixel of `x` has weights of its own.
    pub fn head(&mut self, x: NodeId) -> NodeId {
        let side = self.builder.shape(x).h;
        self.conv(x, ConvSpec::new(CLASSES, side, 1, 0).bias(Init::Normal(0.3)))
    }
}

/// A graph with the input `c` × `side` × `side`; `build` returns its logits.
pub fn graph(c: usize, side: usize, build: impl Fn(&mut Net, NodeId) -> NodeId) -> Graph {
    let mut net = Net { builder: Builder::new("test", Shape { c, h: side, w: side }), parts: 0 };
    let logits = build(&mut net, 0);
    net.builder.finish(logits)
}

/// Values for all parameters: none at a special point.
pub fn parameters(graph: &Graph, random: &mut Random) -> Vec<Vec<f32>> {
    let mut draw = |i: usize| {
        let param = &graph.params[i];
        let value = |random: &mut Random| match param.init {
            Init::Normal(deviation) => deviation * random.normal(),
            Init::Uniform(bound) => bound * (2.0 * random.uniform() - 1.0),
            Init::Constant(at) => at + if at == 0.0 { 0.4 * random.normal() } else { random.uniform() - 0.4 },
        };
        (0..param.len()).map(|_| value(random)).collect()
    };
    (0..graph.params.len()).map(&mut draw).collect()
}
