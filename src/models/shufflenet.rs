//! ShuffleNet V2 (Ma et al., 2018).

use super::member::Member;
use super::stem::Stem;
use crate::error::Result;
use crate::graph::build::{Builder, ConvSpec};
use crate::graph::{Graph, Init, NodeId, Pool, Shape};

/// Stages of 4, 8 and 4 units between a stem and a classifier.
pub struct Shufflenet {
    /// Channels of the first stage; they double from stage to stage.
    width: usize,
    /// Channels before the classifier.
    last: usize,
}

pub const X0_5: Shufflenet = Shufflenet { width: 48, last: 1024 };
pub const X1_0: Shufflenet = Shufflenet { width: 116, last: 1024 };
pub const X1_5: Shufflenet = Shufflenet { width: 176, last: 1024 };
pub const X2_0: Shufflenet = Shufflenet { width: 244, last: 2048 };

impl Member for Shufflenet {
    fn build(&self, name: &str, input: Shape, classes: usize, _: Stem) -> Result<Graph> {
        let mut b = Builder::new(name, input);
        let x = conv_norm_relu(&mut b, "conv1.0", "conv1.1", 0, ConvSpec::new(24, 3, 2, 1))?;
        let mut x = b.max_pool("maxpool", x, Pool { kernel: 3, stride: 2, pad: 1, ceil: false })?;
        for (stage, units) in [(2, 4), (3, 8), (4, 4)] {
            let channels = self.width << (stage - 2);
            x = downsampling_unit(&mut b, &format!("stage{stage}.0"), x, channels / 2)?;
            for i in 1..units {
                x = unit(&mut b, &format!("stage{stage}.{i}"), x)?;
            }
        }
        let x = conv_norm_relu(&mut b, "conv5.0", "conv5.1", x, ConvSpec::new(self.last, 1, 1, 0))?;
        let x = b.global_avg_pool("mean", x);
        let logits = b.linear("fc", x, classes);
        Ok(b.finish(logits))
    }
}

/// Both branches read the whole input and halve the map.
fn downsampling_unit(b: &mut Builder, path: &str, x: NodeId, half: usize) -> Result<NodeId> {
    let one = depthwise(b, &format!("{path}.branch1"), [0, 1], x, 2)?;
    let one = pointwise(b, &format!("{path}.branch1"), [2, 3], one, half)?;
    let two = branch2(b, path, x, half, 2)?;
    let both = b.concat(&[one, two]);
    Ok(b.shuffle(both, 2))
}

/// The first half of the channels passes, the second goes through branch 2.
fn unit(b: &mut Builder, path: &str, x: NodeId) -> Result<NodeId> {
    let c = b.shape(x).c;
    let one = b.slice(x, 0..c / 2);
    let two = b.slice(x, c / 2..c);
    let two = branch2(b, path, two, c / 2, 1)?;
    let both = b.concat(&[one, two]);
    Ok(b.shuffle(both, 2))
}

fn branch2(b: &mut Builder, path: &str, x: NodeId, half: usize, stride: usize) -> Result<NodeId> {
    let path = format!("{path}.branch2");
    let x = pointwise(b, &path, [0, 1], x, half)?;
    let x = depthwise(b, &path, [3, 4], x, stride)?;
    pointwise(b, &path, [5, 6], x, half)
}

fn pointwise(b: &mut Builder, path: &str, [conv, norm]: [usize; 2], x: NodeId, k: usize) -> Result<NodeId> {
    let (conv, norm) = (format!("{path}.{conv}"), format!("{path}.{norm}"));
    conv_norm_relu(b, &conv, &norm, x, ConvSpec::new(k, 1, 1, 0))
}

fn depthwise(
    b: &mut Builder,
    path: &str,
    [conv_i, norm_i]: [usize; 2],
    x: NodeId,
    stride: usize,
) -> Result<NodeId> {
    let c = b.shape(x).c;
    let x = conv(b, &format!("{path}.{conv_i}"), x, ConvSpec::new(c, 3, stride, 1).groups(c))?;
    Ok(b.norm(&format!("{path}.{norm_i}"), x))
}

fn conv_norm_relu(b: &mut Builder, conv_name: &str, norm: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let x = conv(b, conv_name, x, spec)?;
    let x = b.norm(norm, x);
    Ok(b.relu(x))
}

/// torch's default: U(±1/√fan-in).
fn conv(b: &mut Builder, name: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let fan_in = (b.shape(x).c / spec.groups * spec.kernel * spec.kernel) as f32;
    b.conv(name, x, spec, Init::Uniform(1.0 / fan_in.sqrt()))
}
