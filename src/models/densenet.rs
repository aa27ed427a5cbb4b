//! DenseNet-121 (Huang et al., 2017).

use super::member::Member;
use super::stem::Stem;
use crate::error::Result;
use crate::graph::build::{Builder, ConvSpec};
use crate::graph::{Graph, Init, NodeId, Pool, Shape};

/// DenseNet-121.
pub struct Densenet;

pub const DENSENET121: Densenet = Densenet;

impl Member for Densenet {
    fn build(&self, name: &str, input: Shape, classes: usize, _: Stem) -> Result<Graph> {
        densenet121(name, input, classes)
    }
}

/// Channels that every layer adds.
const GROWTH: usize = 32;

/// Four dense blocks of 6, 12, 24 and 16 layers; between them the channels and the map are halved.
fn densenet121(name: &str, input: Shape, classes: usize) -> Result<Graph> {
    let mut b = Builder::new(name, input);
    let x = conv(&mut b, "features.conv0", 0, ConvSpec::new(2 * GROWTH, 7, 2, 3))?;
    let x = norm_relu(&mut b, "features.norm0", x);
    let mut x = b.max_pool("features.pool0", x, Pool { kernel: 3, stride: 2, pad: 1, ceil: false })?;
    for (block, layers) in [6, 12, 24, 16].into_iter().enumerate() {
        if block > 0 {
            x = transition(&mut b, &format!("features.transition{block}"), x)?;
        }
        x = dense_block(&mut b, &format!("features.denseblock{}", block + 1), x, layers)?;
    }
    let x = norm_relu(&mut b, "features.norm5", x);
    let x = b.global_avg_pool("avgpool", x);
    let bound = 1.0 / (b.shape(x).c as f32).sqrt();
    let logits = b.linear_with("classifier", x, classes, Init::Uniform(bound), Init::Constant(0.0));
    Ok(b.finish(logits))
}

/// Every layer reads what stood before the block and what all layers before it have added.
fn dense_block(b: &mut Builder, path: &str, x: NodeId, layers: usize) -> Result<NodeId> {
    let mut features = vec![x];
    for layer in 1..=layers {
        let path = format!("{path}.denselayer{layer}");
        let y = b.concat(&features);
        let y = norm_relu(b, &format!("{path}.norm1"), y);
        let y = conv(b, &format!("{path}.conv1"), y, ConvSpec::new(4 * GROWTH, 1, 1, 0))?;
        let y = norm_relu(b, &format!("{path}.norm2"), y);
        features.push(conv(b, &format!("{path}.conv2"), y, ConvSpec::new(GROWTH, 3, 1, 1))?);
    }
    Ok(b.concat(&features))
}

fn transition(b: &mut Builder, path: &str, x: NodeId) -> Result<NodeId> {
    let half = b.shape(x).c / 2;
    let y = norm_relu(b, &format!("{path}.norm"), x);
    let y = conv(b, &format!("{path}.conv"), y, ConvSpec::new(half, 1, 1, 0))?;
    b.avg_pool(&format!("{path}.pool"), y, Pool { kernel: 2, stride: 2, pad: 0, ceil: false }, true)
}

fn norm_relu(b: &mut Builder, name: &str, x: NodeId) -> NodeId {
    let x = b.norm(name, x);
    b.relu(x)
}

/// Kaiming normal, fan-in, gain √2.
fn conv(b: &mut Builder, name: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let fan_in = (b.shape(x).c * spec.kernel * spec.kernel) as f32;
    b.conv(name, x, spec, Init::Normal((2.0 / fan_in).sqrt()))
}
