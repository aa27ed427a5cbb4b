//! SqueezeNet 1.1 (Iandola et al., 2016).

use crate::error::Result;
use crate::graph::build::{Builder, ConvSpec};
use crate::graph::{Graph, Init, NodeId, Pool, Shape};

/// Eight fire modules between a stride-2 stem and a convolutional classifier.
pub fn squeezenet1_1(input: Shape, classes: usize) -> Result<Graph> {
    let mut b = Builder::new("squeezenet1_1", input);
    let pool = Pool { kernel: 3, stride: 2, pad: 0, ceil: true };
    let x = conv(&mut b, "features.0", 0, ConvSpec::new(64, 3, 2, 0))?;
    let mut x = b.relu(x);
    // (index in `features`, squeeze, expand) of each fire module; a pool stands before 3, 6 and 9.
    for (index, squeeze, expand) in [
        (3, 16, 64),
        (4, 16, 64),
        (6, 32, 128),
        (7, 32, 128),
        (9, 48, 192),
        (10, 48, 192),
        (11, 64, 256),
        (12, 64, 256),
    ] {
        if matches!(index, 3 | 6 | 9) {
            x = b.max_pool(&format!("features.{}", index - 1), x, pool)?;
        }
        x = fire(&mut b, &format!("features.{index}"), x, squeeze, expand)?;
    }
    let x = b.dropout("classifier.0", x, 0.5);
    let spec = ConvSpec::new(classes, 1, 1, 0).bias(Init::Constant(0.0));
    let x = b.conv("classifier.1", x, spec, Init::Normal(0.01))?;
    let x = b.relu(x);
    let logits = b.global_avg_pool("classifier.3", x);
    Ok(b.finish(logits))
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
