//! SqueezeNet (Iandola et al., 2016).

use super::member::Member;
use super::stem::Stem;
use crate::error::Result;
use crate::graph::build::{Builder, ConvSpec};
use crate::graph::{Graph, Init, NodeId, Pool, Shape};

/// Eight fire modules between a stride-2 stem and a convolutional classifier.
pub struct Squeezenet {
    /// Channels and kernel of the stem.
    stem: (usize, usize),
    /// Positions of the pools in `features`; the first stands behind the stem, each of them before a fire module.
    pools: [usize; 3],
}

pub const V1_0: Squeezenet = Squeezenet { stem: (96, 7), pools: [2, 6, 11] };
pub const V1_1: Squeezenet = Squeezenet { stem: (64, 3), pools: [2, 5, 8] };

/// Squeeze and expand channels of the fire modules.
const FIRES: [(usize, usize); 8] =
    [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];

impl Member for Squeezenet {
    fn build(&self, name: &str, input: Shape, classes: usize, _: Stem) -> Result<Graph> {
        let mut b = Builder::new(name, input);
        let pool = Pool { kernel: 3, stride: 2, pad: 0, ceil: true };
        let (channels, kernel) = self.stem;
        let x = conv(&mut b, "features.0", 0, ConvSpec::new(channels, kernel, 2, 0))?;
        let mut x = b.relu(x);
        let mut index = 2;
        for (squeeze, expand) in FIRES {
            if self.pools.contains(&index) {
                x = b.max_pool(&format!("features.{index}"), x, pool)?;
                index += 1;
            }
            x = fire(&mut b, &format!("features.{index}"), x, squeeze, expand)?;
            index += 1;
        }
        let x = b.dropout("classifier.0", x, 0.5);
        let spec = ConvSpec::new(classes, 1, 1, 0).bias(Init::Constant(0.0));
        let x = b.conv("classifier.1", x, spec, Init::Normal(0.01))?;
        let x = b.relu(x);
        let logits = b.global_avg_pool("classifier.3", x);
        Ok(b.finish(logits))
    }
}

fn fire(b: &mut Builder, path: &str, x: NodeId, squeeze: usize, expand: usize) -> Result<NodeId> {
    let x = conv(b, &format!("{path}.squeeze"), x, ConvSpec::new(squeeze, 1, 1, 0))?;
    let x = b.relu(x);
    let one = conv(b, &format!("{path}.expand1x1"), x, ConvSpec::new(expand, 1, 1, 0))?;
    let one = b.relu(one);
    let three = conv(b, &format!("{path}.expand3x3"), x, ConvSpec::new(expand, 3, 1, 1))?;
    let three = b.relu(three);
    Ok(b.concat(&[one, three]))
}

/// Kaiming uniform, fan-in, gain √2; zero bias.
fn conv(b: &mut Builder, name: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let fan_in = (b.shape(x).c * spec.kernel * spec.kernel) as f32;
    b.conv(name, x, spec.bias(Init::Constant(0.0)), Init::Uniform((6.0 / fan_in).sqrt()))
}
