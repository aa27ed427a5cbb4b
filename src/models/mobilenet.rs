//! MobileNetV2 (Sandler et al., 2018).

use super::member::Member;
use super::stem::Stem;
use crate::error::Result;
use crate::graph::build::{Builder, ConvSpec};
use crate::graph::{Activation, Graph, Init, NodeId, Shape};

/// MobileNetV2.
pub struct Mobilenet;

pub const V2: Mobilenet = Mobilenet;

impl Member for Mobilenet {
    fn build(&self, name: &str, input: Shape, classes: usize, _: Stem) -> Result<Graph> {
        mobilenet_v2(name, input, classes)
    }
}

/// Inverted residuals: expansion, output channels, blocks, and stride of the first of them.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

/// Seventeen inverted residuals between a stem of stride 2 and a 1×1 convolution to 1280 channels.
fn mobilenet_v2(name: &str, input: Shape, classes: usize) -> Result<Graph> {
    let mut b = Builder::new(name, input);
    let mut x = conv_norm_relu6(&mut b, "features.0", 0, ConvSpec::new(32, 3, 2, 1))?;
    let mut index = 1;
    for (expansion, k, blocks, first) in STAGES {
        for i in 0..blocks {
            let stride = if i == 0 { first } else { 1 };
            x = inverted_residual(&mut b, &format!("features.{index}.conv"), x, expansion, k, stride)?;
            index += 1;
        }
    }
    let x = conv_norm_relu6(&mut b, &format!("features.{index}"), x, ConvSpec::new(1280, 1, 1, 0))?;
    let x = b.global_avg_pool("avgpool", x);
    let x = b.dropout("classifier.0", x, 0.2);
    let logits = b.linear_with("classifier.1", x, classes, Init::Normal(0.01), Init::Constant(0.0));
    Ok(b.finish(logits))
}

/// 1×1 up, 3×3 per channel, 1×1 down without activation; where the shape stays, the input is added.
fn inverted_residual(
    b: &mut Builder,
    path: &str,
    x: NodeId,
    expansion: usize,
    k: usize,
    stride: usize,
) -> Result<NodeId> {
    let c = b.shape(x).c;
    let wide = c * expansion;
    let (mut y, mut part) = (x, 0);
    if expansion > 1 {
        y = conv_norm_relu6(b, &format!("{path}.0"), y, ConvSpec::new(wide, 1, 1, 0))?;
        part = 1;
    }
    y = conv_norm_relu6(b, &format!("{path}.{part}"), y, ConvSpec::new(wide, 3, stride, 1).groups(wide))?;
    y = conv(b, &format!("{path}.{}", part + 1), y, ConvSpec::new(k, 1, 1, 0))?;
    y = b.norm(&format!("{path}.{}", part + 2), y);
    Ok(if stride == 1 && c == k { b.add(x, y) } else { y })
}

fn conv_norm_relu6(b: &mut Builder, path: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let x = conv(b, &format!("{path}.0"), x, spec)?;
    let x = b.norm(&format!("{path}.1"), x);
    Ok(b.activation(&format!("{path}.2"), x, Activation::Relu6))
}

/// Kaiming normal, fan-out, gain √2.
fn conv(b: &mut Builder, name: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let fan_out = (spec.k * spec.kernel * spec.kernel) as f32;
    b.conv(name, x, spec, Init::Normal((2.0 / fan_out).sqrt()))
}
