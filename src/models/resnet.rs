//! ResNets (He et al., 2016; torchvision's V1.5: the stride sits in the 3×3 convolution), wide ones (Zagoruyko and Komodakis,
//! 2016) and ResNeXts (Xie et al., 2017).

use super::member::Member;
use super::stem::Stem;
use crate::error::Result;
use crate::graph::build::{Builder, ConvSpec};
use crate::graph::{Graph, Init, NodeId, Pool, Shape};

/// Four stages of blocks between a stem and a classifier.
pub struct Resnet {
    /// Blocks of each stage.
    blocks: [usize; 4],
    block: Block,
}

enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1; the first two have `widen` times the stage's width, the last four times. The 3×3
    /// convolution is in `groups`.
    Bottleneck { widen: usize, groups: usize },
}

const PLAIN: Block = Block::Bottleneck { widen: 1, groups: 1 };

pub const RESNET18: Resnet = Resnet { blocks: [2, 2, 2, 2], block: Block::Basic };
pub const RESNET34: Resnet = Resnet { blocks: [3, 4, 6, 3], block: Block::Basic };
pub const RESNET50: Resnet = Resnet { blocks: [3, 4, 6, 3], block: PLAIN };
pub const RESNET101: Resnet = Resnet { blocks: [3, 4, 23, 3], block: PLAIN };
pub const RESNET152: Resnet = Resnet { blocks: [3, 8, 36, 3], block: PLAIN };
pub const WIDE_RESNET50_2: Resnet =
    Resnet { blocks: [3, 4, 6, 3], block: Block::Bottleneck { widen: 2, groups: 1 } };
pub const RESNEXT50_32X4D: Resnet =
    Resnet { blocks: [3, 4, 6, 3], block: Block::Bottleneck { widen: 2, groups: 32 } };

impl Member for Resnet {
    fn build(&self, name: &str, input: Shape, classes: usize, stem: Stem) -> Result<Graph> {
        let mut b = Builder::new(name, input);
        let (kernel, stride) = match stem {
            Stem::Imagenet | Stem::NoPool => (7, 2),
            Stem::Small | Stem::SmallPool => (3, 1),
        };
        let x = conv(&mut b, "conv1", 0, ConvSpec::new(64, kernel, stride, kernel / 2))?;
        let x = b.norm("bn1", x);
        let mut x = b.relu(x);
        if let Stem::Imagenet | Stem::SmallPool = stem {
            x = b.max_pool("maxpool", x, Pool { kernel: 3, stride: 2, pad: 1, ceil: false })?;
        }
        for (stage, &count) in self.blocks.iter().enumerate() {
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let (path, width) = (format!("layer{}.{i}", stage + 1), 64 << stage);
                x = match self.block {
                    Block::Basic => basic_block(&mut b, &path, x, width, stride)?,
                    Block::Bottleneck { widen, groups } => {
                        let middle = ConvSpec::new(widen * width, 3, stride, 1).groups(groups);
                        bottleneck(&mut b, &path, x, middle, 4 * width)?
                    }
                };
            }
        }
        let x = b.global_avg_pool("avgpool", x);
        let logits = b.linear("fc", x, classes);
        Ok(b.finish(logits))
    }

    fn has_stems(&self) -> bool {
        true
    }
}

fn basic_block(b: &mut Builder, path: &str, x: NodeId, width: usize, stride: usize) -> Result<NodeId> {
    let y = conv(b, &format!("{path}.conv1"), x, ConvSpec::new(width, 3, stride, 1))?;
    let y = b.norm(&format!("{path}.bn1"), y);
    let y = b.relu(y);
    let y = conv(b, &format!("{path}.conv2"), y, ConvSpec::new(width, 3, 1, 1))?;
    let y = b.norm(&format!("{path}.bn2"), y);
    let shortcut = shortcut(b, path, x, width, stride)?;
    let y = b.add(y, shortcut);
    Ok(b.relu(y))
}

/// Around a convolution that is given, with its stride.
fn bottleneck(b: &mut Builder, path: &str, x: NodeId, middle: ConvSpec, outer: usize) -> Result<NodeId> {
    let y = conv(b, &format!("{path}.conv1"), x, ConvSpec::new(middle.k, 1, 1, 0))?;
    let y = b.norm(&format!("{path}.bn1"), y);
    let y = b.relu(y);
    let y = conv(b, &format!("{path}.conv2"), y, middle)?;
    let y = b.norm(&format!("{path}.bn2"), y);
    let y = b.relu(y);
    let y = conv(b, &format!("{path}.conv3"), y, ConvSpec::new(outer, 1, 1, 0))?;
    let y = b.norm(&format!("{path}.bn3"), y);
    let shortcut = shortcut(b, path, x, outer, middle.stride)?;
    let y = b.add(y, shortcut);
    Ok(b.relu(y))
}

/// The block's input, projected where its shape is not the block's output's.
fn shortcut(b: &mut Builder, path: &str, x: NodeId, k: usize, stride: usize) -> Result<NodeId> {
    if stride == 1 && b.shape(x).c == k {
        return Ok(x);
    }
    let y = conv(b, &format!("{path}.downsample.0"), x, ConvSpec::new(k, 1, stride, 0))?;
    Ok(b.norm(&format!("{path}.downsample.1"), y))
}

/// Kaiming normal, fan-out, gain √2.
fn conv(b: &mut Builder, name: &str, x: NodeId, spec: ConvSpec) -> Result<NodeId> {
    let fan_out = (spec.k * spec.kernel * spec.kernel) as f32;
    b.conv(name, x, spec, Init::Normal((2.0 / fan_out).sqrt()))
}
