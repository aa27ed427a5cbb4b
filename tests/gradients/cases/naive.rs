//! A graph in f64, one plain operation of the oracle after the other.

use super::IMAGES;
use common::activation::{Windows, activation, product};
use common::oracle::{self, BatchNorm, Conv, Map, MaxPool};
use synfilter::graph::program::Mode;
use synfilter::graph::{Activation, Graph, Mean, NORM_EPS, Op, ParamId, Pool, Shape};

/// The graph in f64, one plain operation after the other.
pub struct Naive<'a> {
    pub graph: &'a Graph,
    pub mode: Mode,
    pub frozen: &'a [ParamId],
    pub labels: Vec<usize>,
    /// Per dropout.
    pub kept: Vec<Vec<bool>>,
}

impl Naive<'_> {
    pub fn logits(&self, pixels: &[f64], params: &[Vec<f64>]) -> Map {
        let mut values: Vec<Map> = Vec::new();
        let mut kept = self.kept.iter();
        for node in &self.graph.nodes {
            let x = |i: usize| &values[node.inputs[i]];
            let value = match &node.op {
                Op::Input => Map::new([IMAGES, node.shape.c, node.shape.h, node.shape.w], pixels),
                Op::Conv { weight, bias, shape } => {
                    let conv = Conv { stride: shape.stride, pad: shape.pad, groups: shape.groups };
                    let oihw = [shape.k, shape.c / shape.groups, shape.r, shape.s];
                    conv.forward(x(0), &Map::new(oihw, &params[*weight]), bias.map(|b| &params[b][..]))
                }
                Op::Norm(norm) => {
                    let is_frozen = self.frozen.contains(&norm.weight);
                    let [weight, bias, running_mean, running_var] = norm.all().map(|p| params[p].clone());
                    let eps = f64::from(NORM_EPS);
                    let mut norm = BatchNorm { weight, bias, running_mean, running_var, momentum: 0.1, eps };
                    norm.forward(x(0), self.mode != Mode::Inference && !is_frozen)
                }
                Op::Activation(function) => {
                    let (name, parameter) = named(*function);
                    x(0).map(|_, v| activation(name, parameter, v).0)
                }
                Op::Product => product(x(0), x(1)),
                Op::AvgPool(mean) => windows(*mean, node.shape).forward(x(0)),
                Op::Add => oracle::add(x(0), x(1)),
                Op::MaxPool(Pool { kernel, stride, pad, ceil }) => {
                    let pool = MaxPool { kernel: *kernel, stride: *stride, pad: *pad, ceil: *ceil };
                    pool.forward(x(0)).0
                }
                Op::GlobalAvgPool => oracle::global_avg_pool(x(0)),
                Op::Dropout { p } if self.mode == Mode::Training => {
                    oracle::dropout(x(0), kept.next().unwrap(), f64::from(*p))
                }
                Op::Dropout { .. } => x(0).clone(),
                Op::Slice { start } => oracle::channel_slice(x(0), *start, node.shape.c),
                Op::Concat => (1..node.inputs.len()).fold(x(0).clone(), |all, i| oracle::concat(&all, x(i))),
                Op::Shuffle { groups } => oracle::channel_shuffle(x(0), *groups),
            };
            values.push(value);
        }
        values.swap_remove(self.graph.logits)
    }

    pub fn loss(&self, pixels: &[f64], params: &[Vec<f64>]) -> f64 {
        oracle::cross_entropy(&self.logits(pixels, params), &self.labels).iter().sum()
    }
}

/// PyTorch's name of an activation, and its parameter.
fn named(function: Activation) -> (&'static str, f64) {
    match function {
        Activation::Relu => ("relu", 0.0),
        Activation::Relu6 => ("relu6", 0.0),
        Activation::LeakyRelu { slope } => ("leaky_relu", slope.into()),
        Activation::HardSwish => ("hardswish", 0.0),
        Activation::HardSigmoid => ("hardsigmoid", 0.0),
        Activation::Sigmoid => ("sigmoid", 0.0),
        Activation::Silu => ("silu", 0.0),
        Activation::Tanh => ("tanh", 0.0),
        Activation::Elu { alpha } => ("elu", alpha.into()),
        Activation::Gelu => ("gelu", 0.0),
    }
}

fn windows(mean: Mean, out: Shape) -> Windows {
    match mean {
        Mean::Windows { pool: Pool { kernel, stride, pad, ceil }, count_pad } => {
            Windows::Square { kernel, stride, pad, ceil, count_pad }
        }
        Mean::Adaptive => Windows::Adaptive { h: out.h, w: out.w },
    }
}
