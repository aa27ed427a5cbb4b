//! The convolutions of the four networks, as torchvision builds them: what benches time and tests check.

use synfilter::graph::conv::ConvShape;

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

/// The map after a max pool of kernel 3, stride 2.
fn pooled(n: usize, pad: usize, ceil: bool) -> usize {
    let room = n + 2 * pad - 3;
    (if ceil { room.div_ceil(2) } else { room / 2 }) + 1
}

/// Collects convolutions in network order and follows the map.
struct Walk {
    shapes: Vec<ConvShape>,
    map: usize,
}

impl Walk {
    /// Adds a convolution on the current map and moves to its output.
    fn conv(&mut self, c: usize, k: usize, kernel: usize, stride: usize, pad: usize, groups: usize) {
        let shape = ConvShape { c, k, h: self.map, w: self.map, r: kernel, s: kernel, stride, pad, groups };
        self.shapes.push(shape);
        self.map = shape.output().0;
    }

    /// Adds one whose output is joined by that of another on the same map.
    fn beside(&mut self, c: usize, k: usize, kernel: usize, stride: usize, pad: usize, groups: usize) {
        let map = self.map;
        self.conv(c, k, kernel, stride, pad, groups);
        self.map = map;
    }
}

fn resnet(input: usize, blocks: [usize; 4], bottleneck: bool) -> Vec<ConvShape> {
    let mut net = Walk { shapes: Vec::new(), map: input };
    net.conv(3, 64, 7, 2, 3, 1);
    net.map = pooled(net.map, 1, false);
    let mut c = 64;
    for (stage, &count) in blocks.iter().enumerate() {
        let width = 64 << stage;
        let out = if bottleneck { 4 * width } else { width };
        for block in 0..count {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            if block == 0 && c != out {
                net.beside(c, out, 1, stride, 0, 1);
            }
            if bottleneck {
                net.conv(c, width, 1, 1, 0, 1);
                net.conv(width, width, 3, stride, 1, 1);
                net.conv(width, out, 1, 1, 0, 1);
            } else {
                net.conv(c, width, 3, stride, 1, 1);
                net.conv(width, width, 3, 1, 1, 1);
            }
            c = out;
        }
    }
    net.shapes
}

fn squeezenet(input: usize) -> Vec<ConvShape> {
    let mut net = Walk { shapes: Vec::new(), map: input };
    net.conv(3, 64, 3, 2, 0, 1);
    let fires = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128)];
    let late = [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)];
    for (i, &(c, squeeze, expand)) in fires.iter().chain(&late).enumerate() {
        if matches!(i, 0 | 2 | 4) {
            net.map = pooled(net.map, 0, true);
        }
        net.conv(c, squeeze, 1, 1, 0, 1);
        net.beside(squeeze, expand, 1, 1, 0, 1);
        net.conv(squeeze, expand, 3, 1, 1, 1);
    }
    net.conv(512, if input == 64 { 200 } else { 10 }, 1, 1, 0, 1);
    net.shapes
}

fn shufflenet(input: usize) -> Vec<ConvShape> {
    let mut net = Walk { shapes: Vec::new(), map: input };
    net.conv(3, 24, 3, 2, 1, 1);
    net.map = pooled(net.map, 1, false);
    let mut c = 24;
    for (width, count) in [(58, 4), (116, 8), (232, 4)] {
        net.beside(c, c, 3, 2, 1, c);
        net.conv(c, width, 1, 1, 0, 1);
        net.conv(width, width, 3, 2, 1, width);
        for _ in 1..count {
            net.conv(width, width, 1, 1, 0, 1);
            net.conv(width, width, 3, 1, 1, width);
        }
        net.conv(width, width, 1, 1, 0, 1);
        c = 2 * width;
    }
    net.conv(464, 1024, 1, 1, 0, 1);
    net.shapes
}

/// Every distinct convolution of the four networks at 32×32 and 64×64 inputs, in network order.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for input in [32, 64] {
        let networks = [
            ("resnet18", resnet(input, [2; 4], false)),
            ("resnet50", resnet(input, [3, 4, 6, 3], true)),
            ("squeezenet1_1", squeezenet(input)),
            ("shufflenet_v2_x1_0", shufflenet(input)),
        ];
        for (name, shapes) in networks {
            let name = format!("{name}@{input}");
            for shape in shapes {
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
