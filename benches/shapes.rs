//! The convolutions of four networks, read from their graphs: what benches time and tests check.

use synfilter::graph::conv::ConvShape;
use synfilter::graph::{Graph, Op, Shape};
use synfilter::models::Arch;

/// A convolution and the networks that have it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Networks, comma-free, joined by `+`.
    pub networks: String,
    /// What it is.
    pub shape: ConvShape,
}

impl Case {
    /// Such as `3x3/1 64>128 8x8`, with `dw` for a depthwise convolution: kernel/stride, channels, input map.
    pub fn name(&self) -> String {
        let ConvShape { c, k, h, w, r, s, stride, groups, .. } = self.shape;
        let depthwise = if groups > 1 { "dw" } else { "" };
        format!("{r}x{s}{depthwise}/{stride} {c}>{k} {h}x{w}")
    }
}

/// The networks whose convolutions are timed.
const NETWORKS: [Arch; 4] = [Arch::Resnet18, Arch::Resnet50, Arch::Squeezenet1_1, Arch::ShufflenetV2X1_0];

/// The convolutions of a network, in its order; a linear layer is none.
fn convolutions(graph: &Graph) -> impl Iterator<Item = ConvShape> {
    graph.nodes.iter().filter_map(|node| match node.op {
        Op::Conv { weight, shape, .. } => (graph.params[weight].shape.len() == 4).then_some(shape),
        _ => None,
    })
}

/// Every distinct convolution of the four networks at 32×32 and 64×64 inputs, in network order.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for input in [32, 64] {
        let classes = if input == 64 { 200 } else { 10 };
        for arch in NETWORKS {
            let graph = arch.build(Shape { c: 3, h: input, w: input }, classes).expect("large enough images");
            let name = format!("{arch}@{input}");
            for shape in convolutions(&graph) {
                match cases.iter_mut().find(|case| case.shape == shape) {
                    Some(case) if case.networks.split('+').any(|network| network == name) => {}
                    Some(case) => case.networks = format!("{}+{name}", case.networks),
                    None => cases.push(Case { networks: name.clone(), shape }),
                }
            }
        }
    }
    cases
}
