//! Rounding errors of the fast convolutions at the networks' own shapes, all channels, against f64; and which
//! algorithm is chosen for them.

#[path = "../benches/shapes.rs"]
mod shapes;

use common::oracle::{Conv, Map};
use synfilter::Error;
use synfilter::backend::cpu::convolve::{Convolve, Scratch, Weights};
use synfilter::backend::cpu::layout::{Aligned, Layout};
use synfilter::backend::cpu::select::{Algorithm, ConvMode, build, choose};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Epilogue, Source, Target};
use synfilter::graph::conv::{ConvShape, Direction};

const LANES: usize = 16;
const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::BackwardInput];

/// Repeatable values in [−1, 1).
fn noise(len: usize, seed: u64) -> Aligned {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut values = Aligned::zeros(len);
    for value in values.iter_mut() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *value = (state >> 40) as f32 / 8_388_608.0 - 1.0;
    }
    values
}

/// Layouts of the read and of the written value.
fn layouts(shape: &ConvShape, direction: Direction) -> (Layout, Layout) {
    let (oh, ow) = shape.output();
    let input = Layout::dense(shape.c, shape.h, shape.w, LANES);
    let output = Layout::dense(shape.k, oh, ow, LANES);
    match direction {
        Direction::Forward => (input, output),
        Direction::BackwardInput => (output, input),
    }
}

/// Lane 0 of a dense value.
fn lane0(values: &[f32], layout: Layout) -> Map {
    let at = |i: usize| (i % (layout.h * layout.w) * layout.c + i / (layout.h * layout.w)) * LANES;
    let data: Vec<f32> = (0..layout.c * layout.h * layout.w).map(|i| values[at(i)]).collect();
    Map::new([1, layout.c, layout.h, layout.w], &data)
}

/// What a convolution in one direction is given, and what comes out in f64.
struct Case {
    shape: ConvShape,
    direction: Direction,
    weights: Aligned,
    x: Aligned,
    exact: Map,
}

impl Case {
    fn new(shape: ConvShape, direction: Direction, seed: u64) -> Self {
        let (xl, yl) = layouts(&shape, direction);
        let (weights, x) = (noise(shape.weights(), seed), noise(xl.buffer_len(), seed + 1));
        let conv = Conv { stride: shape.stride, pad: shape.pad, groups: shape.groups };
        let oihw = Map::new([shape.k, shape.c / shape.groups, shape.r, shape.s], &weights);
        let exact = match direction {
            Direction::Forward => conv.forward(&lane0(&x, xl), &oihw, None),
            Direction::BackwardInput => conv.backward_input(&lane0(&x, xl), &oihw, [1, yl.c, yl.h, yl.w]),
        };
        Case { shape, direction, weights, x, exact }
    }

    /// Norm of the error of lane 0 relative to the norm of the result.
    fn error(&self, conv: &mut dyn Convolve) -> f64 {
        let (xl, yl) = layouts(&self.shape, self.direction);
        conv.load(Weights { oihw: &self.weights, scale: None });
        let mut y = Aligned::zeros(yl.buffer_len());
        let target = Target { data: &mut y, layout: yl, rows: 0..yl.h };
        conv.run(Source { data: &self.x, layout: xl }, target, Epilogue::default(), &mut Scratch::default());
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let found = lane0(&y, yl).data;
        let off = squares(&mut self.exact.data.iter().zip(&found).map(|(exact, y)| exact - y));
        (off / squares(&mut self.exact.data.iter().copied())).sqrt()
    }
}

/// Convolutions of the networks that an algorithm other than direct or depthwise is chosen for.
fn fast_shapes() -> Vec<(String, ConvShape)> {
    let fast = |shape: &ConvShape| {
        let chosen = choose(*shape, Direction::BackwardInput, 64, Level::Portable, ConvMode::Auto);
        !matches!(chosen, Algorithm::Direct | Algorithm::Depthwise)
    };
    let cases = shapes::cases().into_iter().filter(|case| fast(&case.shape));
    let mut shapes: Vec<_> =
        cases.map(|case| (format!("{} {}", case.networks, case.name()), case.shape)).collect();
    // The networks on 28×28 images of one channel: maps of 14, 13, 7, 6 and 3 pixels.
    for (c, k, n) in [(16, 64, 13), (64, 64, 14), (64, 64, 7), (32, 128, 6), (48, 192, 3)] {
        let shape = ConvShape { c, k, h: n, w: n, r: 3, s: 3, stride: 1, pad: 1, groups: 1 };
        shapes.push((format!("one channel, 3x3 {c}>{k} {n}x{n}"), shape));
    }
    let stem = ConvShape { c: 1, k: 64, h: 28, w: 28, r: 7, s: 7, stride: 2, pad: 3, groups: 1 };
    shapes.push(("one channel, stem".into(), stem));
    shapes
}

/// Bounds per algorithm: about twice what was seen.
#[test]
fn errors_at_network_shapes() {
    let shapes = fast_shapes();
    assert!(shapes.len() > 20, "{} shapes", shapes.len());
    for (case, shape) in shapes {
        for direction in DIRECTIONS {
            let tried = Case::new(shape, direction, 3);
            for level in Level::available() {
                for algorithm in Algorithm::ALL {
                    let Some(mut conv) = algorithm.plan(shape, direction, level) else { continue };
                    let limit = match algorithm {
                        Algorithm::Direct | Algorithm::Depthwise => 1.5e-6,
                        Algorithm::Karatsuba => 1.5e-6,
                        Algorithm::Winograd | Algorithm::Stem => 2.5e-6,
                        Algorithm::Strassen => 4e-6,
                    };
                    let error = tried.error(&mut *conv);
                    let name = algorithm.name();
                    assert!(
                        error < limit,
                        "{case} {direction:?} {name} {level:?}: relative error {error:e}, limit {limit:e}"
                    );
                }
            }
        }
    }
}

/// What is chosen can be planned, `direct` chooses no transform, and every algorithm has a shape.
#[test]
fn choices() {
    let mut seen = Vec::new();
    for shape in shapes::cases().into_iter().map(|case| case.shape) {
        for direction in DIRECTIONS {
            let auto = choose(shape, direction, 64, Level::Portable, ConvMode::Auto);
            let direct = choose(shape, direction, 64, Level::Portable, ConvMode::Direct);
            assert!(auto.plan(shape, direction, Level::Portable).is_some(), "{shape:?} {auto:?}");
            assert!(matches!(direct, Algorithm::Direct | Algorithm::Depthwise));
            let conv = build(shape, direction, 64, Level::Portable, ConvMode::Auto);
            assert!(conv.packed_bytes(0..shape.k) >= 4 * shape.weights());
            seen.push(auto);
        }
    }
    assert!(Algorithm::ALL.iter().all(|algorithm| seen.contains(algorithm)), "{seen:?}");
}

#[test]
fn modes_have_names() {
    assert_eq!("auto".parse::<ConvMode>().unwrap(), ConvMode::Auto);
    assert_eq!("direct".parse::<ConvMode>().unwrap(), ConvMode::Direct);
    let error = "fast".parse::<ConvMode>().unwrap_err();
    assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("fast"));
}
