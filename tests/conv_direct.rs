//! Every convolution algorithm against a plain f64 convolution, at every SIMD level of the machine: random shapes,
//! strides, paddings, groups, lanes, layouts and epilogues; row ranges and masks bit for bit.

#[path = "../benches/shapes.rs"]
mod shapes;

use common::oracle::{Conv, Map};
use proptest::prelude::*;
use synfilter::backend::cpu::convolve::{Convolve, Scratch, Weights};
use synfilter::backend::cpu::direct::Direct;
use synfilter::backend::cpu::layout::{Aligned, Layout};
use synfilter::backend::cpu::select::Algorithm;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Act, Epilogue, Source, Target};
use synfilter::filter::Mask;
use synfilter::graph::Rectifier;
use synfilter::graph::conv::{ConvShape, Direction};

/// Repeatable values in [−1, 1), one in eight of them a signed zero.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let value = (state >> 40) as f32 / 8_388_608.0 - 1.0;
        if state.is_multiple_of(8) { 0.0_f32.copysign(value) } else { value }
    };
    (0..len).map(next).collect()
}

fn aligned(values: &[f32]) -> Aligned {
    let mut buffer = Aligned::zeros(values.len());
    buffer.copy_from_slice(values);
    buffer
}

/// Shape of the read and of the written value.
fn values(shape: &ConvShape, direction: Direction, lanes: usize) -> (Layout, Layout) {
    let (oh, ow) = shape.output();
    let input = Layout::dense(shape.c, shape.h, shape.w, lanes);
    let output = Layout::dense(shape.k, oh, ow, lanes);
    match direction {
        Direction::Forward => (input, output),
        Direction::BackwardInput => (output, input),
    }
}

/// Σ of products in f64 and Σ of their magnitudes, for every written (pixel, channel, lane), dense.
fn oracle(
    shape: &ConvShape,
    direction: Direction,
    w: &[f32],
    x: &[f32],
    xl: Layout,
    yl: Layout,
) -> Vec<(f64, f64)> {
    let conv = Conv { stride: shape.stride, pad: shape.pad, groups: shape.groups };
    let weights = Map::new([shape.k, shape.c / shape.groups, shape.r, shape.s], w);
    // Lanes are images to the oracle.
    let read = Map::zeros([xl.lanes, xl.c, xl.h, xl.w]);
    let area = xl.h * xl.w;
    let read = read.map(|i, _| f64::from(x[xl.at(i % area, i / area % xl.c) + i / area / xl.c]));
    let (input, output) = match direction {
        Direction::Forward => (read.shape, [yl.lanes, yl.c, yl.h, yl.w]),
        Direction::BackwardInput => ([yl.lanes, yl.c, yl.h, yl.w], read.shape),
    };
    assert_eq!(conv.output_shape(input, weights.shape), output);
    let mut sums = Map::zeros(if direction == Direction::Forward { output } else { input });
    let mut sizes = sums.clone();
    conv.for_each_product(input, weights.shape, |above, below, weight| {
        let (to, from) = if direction == Direction::Forward { (above, below) } else { (below, above) };
        let product = weights.data[weight] * read.data[from];
        sums.data[to] += product;
        sizes.data[to] += product.abs();
    });
    let mut written = Vec::with_capacity(sums.data.len());
    for (pixel, channel) in (0..yl.h * yl.w).flat_map(|pixel| (0..yl.c).map(move |channel| (pixel, channel)))
    {
        let at = |lane: usize| sums.at(lane, channel, pixel / yl.w, pixel % yl.w);
        written.extend((0..yl.lanes).map(|lane| (sums.data[at(lane)], sizes.data[at(lane)])));
    }
    written
}

/// Where a value lies in a larger buffer.
#[derive(Clone, Copy, Debug)]
struct Place {
    before: usize,
    after: usize,
    step: usize,
}

impl Place {
    fn of(self, dense: Layout) -> Layout {
        let pixel = self.before + dense.c * self.step + self.after;
        Layout { pixel, offset: self.before, step: self.step, ..dense }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    None,
    Relu,
    ReluSave,
    Mask,
}

#[derive(Clone, Debug)]
struct Case {
    shape: ConvShape,
    direction: Direction,
    lanes: usize,
    x: Place,
    y: Place,
    add: Option<Place>,
    scale: bool,
    shift: bool,
    accumulate: bool,
    last: Last,
    /// Backward factor per output channel, multiplied into the weights.
    weight_scale: bool,
    seed: u64,
}

fn place() -> impl Strategy<Value = Place> {
    (0..4usize, 0..4usize, 1..4usize).prop_map(|(before, after, step)| Place { before, after, step })
}

/// Half of the cases lie densely, as most values do.
fn places() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place { before: 0, after: 0, step: 1 }), place()]
}

fn any_shape() -> impl Strategy<Value = ConvShape> {
    let shape = (
        1..5usize,
        1..9usize,
        1..34usize,
        1..9usize,
        1..9usize,
        1..6usize,
        1..6usize,
        1..4usize,
        0..4usize,
        any::<bool>(),
    );
    shape.prop_filter_map("kernel fits", |(groups, cg, kg, h, w, r, s, stride, pad, depthwise)| {
        let groups = if depthwise { groups * cg } else { groups };
        let (cg, kg) = if depthwise { (1, 1) } else { (cg, kg) };
        let fits = h + 2 * pad >= r && w + 2 * pad >= s;
        fits.then_some(ConvShape { c: groups * cg, k: groups * kg, h, w, r, s, stride, pad, groups })
    })
}

/// Shapes that have an algorithm of their own, among them maps that tiles don't divide.
fn fast_shape() -> impl Strategy<Value = ConvShape> {
    let three = (1..20usize, 1..34usize, 1..15usize, 1..15usize, 0..3usize).prop_filter_map(
        "kernel fits",
        |(c, k, h, w, pad)| {
            let shape = ConvShape { c, k, h, w, r: 3, s: 3, stride: 1, pad, groups: 1 };
            (h + 2 * pad >= 3 && w + 2 * pad >= 3).then_some(shape)
        },
    );
    let two = (1..20usize, 1..34usize).prop_map(|(c, k)| ConvShape {
        c,
        k,
        h: 2,
        w: 2,
        r: 3,
        s: 3,
        stride: 1,
        pad: 1,
        groups: 1,
    });
    let seven = (1..4usize, 1..20usize, 7..20usize, 7..20usize, 0..5usize)
        .prop_map(|(c, k, h, w, pad)| ConvShape { c, k, h, w, r: 7, s: 7, stride: 2, pad, groups: 1 });
    // Channels that halve into panels at every instruction set.
    let one = (1..4usize, 3..6usize, 1..5usize, 1..10usize, 1..3usize)
        .prop_map(|(c, k, h, w, stride)| (32 * c, 32 * k, h, w, stride));
    let one = (one, any::<bool>()).prop_map(|((few, many, h, w, stride), flip)| {
        let (c, k) = if flip { (many, few) } else { (few, many) };
        ConvShape { c, k, h, w, r: 1, s: 1, stride, pad: 0, groups: 1 }
    });
    prop_oneof![4 => three, 1 => two, 2 => seven, 2 => one]
}

fn case(shape: impl Strategy<Value = ConvShape>) -> impl Strategy<Value = Case> {
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::BackwardInput)];
    let last = prop_oneof![Just(Last::None), Just(Last::Relu), Just(Last::ReluSave), Just(Last::Mask)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (shape, direction, 1..5usize, places(), places(), prop::option::of(places()), flags, last, any::<u64>())
        .prop_map(
            |(shape, direction, lanes, x, y, add, (scale, shift, accumulate, weight_scale), last, seed)| {
                Case {
                    shape,
                    direction,
                    lanes: 16 * lanes,
                    x,
                    y,
                    add,
                    scale,
                    shift,
                    accumulate,
                    last,
                    weight_scale: weight_scale && direction == Direction::BackwardInput,
                    seed,
                }
            },
        )
}

/// The algorithms that can do a shape.
fn algorithms(
    shape: ConvShape,
    direction: Direction,
    level: Level,
) -> Vec<(&'static str, Box<dyn Convolve>)> {
    let plan = |algorithm: Algorithm| Some((algorithm.name(), algorithm.plan(shape, direction, level)?));
    Algorithm::ALL.into_iter().filter_map(plan).collect()
}

/// The data of a case.
struct Data {
    xl: Layout,
    yl: Layout,
    x: Aligned,
    /// What stands in the output before.
    before: Aligned,
    add: Option<(Aligned, Layout)>,
    weights: Vec<f32>,
    weight_scale: Option<Vec<f32>>,
    scale: Option<Vec<f32>>,
    shift: Option<Vec<f32>>,
    bits: Vec<u16>,
}

impl Data {
    fn of(case: &Case) -> Self {
        let (x_dense, y_dense) = values(&case.shape, case.direction, case.lanes);
        let (xl, yl) = (case.x.of(x_dense), case.y.of(y_dense));
        let values = |len: usize, salt: u64| noise(len, case.seed.wrapping_add(salt));
        let per_channel = |wanted: bool, len: usize, salt: u64| wanted.then(|| values(len, salt));
        let add = case.add.map(|place| place.of(y_dense));
        let signs = values(yl.buffer_len() / 16, 9);
        Data {
            xl,
            yl,
            x: aligned(&values(xl.buffer_len(), 1)),
            before: aligned(&values(yl.buffer_len(), 2)),
            add: add.map(|layout| (aligned(&values(layout.buffer_len(), 3)), layout)),
            weights: values(case.shape.weights(), 4),
            weight_scale: per_channel(case.weight_scale, case.shape.k, 5),
            scale: per_channel(case.scale, yl.c, 6),
            shift: per_channel(case.shift, yl.c, 7),
            bits: signs.iter().map(|v| v.to_bits() as u16).collect(),
        }
    }

    /// Runs in row ranges `ranges`; returns the output buffer and the sign bits.
    fn run(&self, conv: &dyn Convolve, last: Last, accumulate: bool, cuts: &[usize]) -> (Aligned, Vec<u16>) {
        let (mut y, mut bits) = (self.before.clone(), self.bits.clone());
        let mut scratch = Scratch::default();
        for cut in cuts.windows(2) {
            let rows = cut[0]..cut[1];
            let part = self.yl.rows(rows.clone());
            let words = part.start / 16..part.end / 16;
            let act = match last {
                Last::None => Act::None,
                Last::Relu => Act::Rectify(Rectifier::RELU),
                Last::ReluSave => Act::RectifySave(Rectifier::RELU, &mut bits[words]),
                Last::Mask => Act::Mask(&bits[words], 0.0),
            };
            let add = self.add.as_ref().map(|(data, layout)| Source { data, layout: *layout });
            let epilogue =
                Epilogue { scale: self.scale.as_deref(), shift: self.shift.as_deref(), add, accumulate, act };
            let target = Target { data: &mut y[part], layout: self.yl, rows };
            conv.run(Source { data: &self.x, layout: self.xl }, target, epilogue, &mut scratch);
        }
        (y, bits)
    }

    /// What comes out in f64, before anything else happens to it.
    fn sums(&self, case: &Case) -> Vec<(f64, f64)> {
        let weights: Vec<f32> = match &self.weight_scale {
            // One rounding more, which the tolerance covers.
            Some(scale) => {
                let per_k = self.weights.len() / case.shape.k;
                self.weights.iter().enumerate().map(|(i, w)| w * scale[i / per_k]).collect()
            }
            None => self.weights.clone(),
        };
        oracle(&case.shape, case.direction, &weights, &self.x, self.xl, self.yl)
    }

    /// Compares with f64; everything outside the value must be as before.
    /// A transform's rounding errors are those of its tile's largest value, so that `transformed` allows for them.
    fn check(
        &self,
        case: &Case,
        sums: &[(f64, f64)],
        transformed: bool,
        y: &Aligned,
        bits: &[u16],
    ) -> Result<(), TestCaseError> {
        let largest = sums.iter().map(|sum| sum.1).fold(0.0, f64::max);
        let (mut expected, mut expected_bits) = (self.before.clone(), self.bits.clone());
        for pixel in 0..self.yl.h * self.yl.w {
            for channel in 0..self.yl.c {
                for lane in 0..self.yl.lanes {
                    let at = self.yl.at(pixel, channel) + lane;
                    let (mut v, mut size) = sums[(pixel * self.yl.c + channel) * self.yl.lanes + lane];
                    let mut plus = |v: &mut f64, term: f32| {
                        *v += f64::from(term);
                        size += f64::from(term.abs());
                    };
                    if let Some(scale) = &self.scale {
                        v *= f64::from(scale[channel]);
                    }
                    if let Some(shift) = &self.shift {
                        plus(&mut v, shift[channel]);
                    }
                    if let Some((add, layout)) = &self.add {
                        plus(&mut v, add[layout.at(pixel, channel) + lane]);
                    }
                    if case.accumulate {
                        plus(&mut v, self.before[at]);
                    }
                    let (word, bit) = (at / 16, at % 16);
                    match case.last {
                        Last::None => {}
                        Last::Relu | Last::ReluSave => v = v.max(0.0),
                        Last::Mask if bits[word] >> bit & 1 == 0 => {
                            prop_assert_eq!(y[at].to_bits(), 0, "a masked value is +0.0");
                            v = 0.0;
                        }
                        Last::Mask => {}
                    }
                    if case.last == Last::ReluSave {
                        let positive = u16::from(y[at] > 0.0);
                        expected_bits[word] = expected_bits[word] & !(1 << bit) | positive << bit;
                    }
                    // At most 8·5·5 terms of magnitude up to 1, each rounded once: 2⁻²⁴ per term and step.
                    let limit = 1e-5 * if transformed { size.max(largest) } else { size } + 1e-6;
                    let error = (f64::from(y[at]) - v).abs();
                    prop_assert!(
                        error <= limit,
                        "pixel {pixel} channel {channel} lane {lane}: {} != {v}, limit {limit}",
                        y[at]
                    );
                    expected[at] = y[at];
                }
            }
        }
        prop_assert!(
            expected.iter().zip(y.iter()).all(|(a, b)| a.to_bits() == b.to_bits()),
            "wrote beside the value"
        );
        prop_assert_eq!(&expected_bits, bits, "sign bits");
        Ok(())
    }
}

fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Masks of some output channels after those of others: always a copy with zeros in these channels alone.
fn channels(
    case: &Case,
    data: &Data,
    name: &str,
    level: Level,
    conv: &mut dyn Convolve,
) -> Result<(), TestCaseError> {
    let k = case.shape.k;
    let weights = Weights { oihw: &data.weights, scale: data.weight_scale.as_deref() };
    let mask = Mask { lo: -0.5, hi: data.weights[0], keep_inside: case.seed.is_multiple_of(2) };
    let severe = Mask { lo: 0.0, hi: 0.0, keep_inside: true };
    let some = case.seed as usize % k;
    let sequence = [
        (severe, some..some + 1), // after no mask
        (mask, some..some + 1),   // of the same
        (mask, k - 1..k),         // of another
        (severe, 0..k),           // of all
        (mask, some / 2..some + 1),
        (Mask::ALL, 0..1),
    ];
    let mut copy = algorithms(case.shape, case.direction, level).into_iter().find(|(n, _)| *n == name);
    let (_, copy) = copy.as_mut().expect("the same algorithms as before");
    conv.load(weights);
    for (mask, channels) in sequence {
        conv.pack(mask, channels.clone());
        let of_channel = data.weights.len() / k;
        let keeps = |at: usize, w: f32| !channels.contains(&(at / of_channel)) || mask.keeps(w);
        let zeroed: Vec<f32> =
            data.weights.iter().enumerate().map(|(at, &w)| if keeps(at, w) { w } else { 0.0 }).collect();
        copy.load(Weights { oihw: &zeroed, ..weights });
        let run = |conv: &dyn Convolve| data.run(conv, case.last, case.accumulate, &[0, data.yl.h]);
        let (masked, expected) = (run(conv), run(&**copy));
        prop_assert_eq!(bits_of(&masked.0), bits_of(&expected.0), "{} {:?}: {:?}", name, level, channels);
        prop_assert_eq!(masked.1, expected.1);
    }
    prop_assert!(conv.packed_bytes(0..1) <= conv.packed_bytes(0..k));
    Ok(())
}

/// Everything that must hold for one case.
fn check(case: &Case) -> Result<(), TestCaseError> {
    let data = Data::of(case);
    let (h, k, sums) = (data.yl.h, case.shape.k, data.sums(case));
    for level in Level::available() {
        for (name, mut conv) in algorithms(case.shape, case.direction, level) {
            let weights = Weights { oihw: &data.weights, scale: data.weight_scale.as_deref() };
            conv.load(weights);
            let whole = data.run(&*conv, case.last, case.accumulate, &[0, h]);
            data.check(case, &sums, !matches!(name, "direct" | "depthwise"), &whole.0, &whole.1)
                .map_err(|error| TestCaseError::fail(format!("{name}, {level:?}: {error}")))?;

            let rows: Vec<usize> = (0..h).step_by(conv.row_granularity()).chain([h]).collect();
            let split = data.run(&*conv, case.last, case.accumulate, &rows);
            prop_assert_eq!(bits_of(&whole.0), bits_of(&split.0), "{} {:?}: row by row", name, level);
            prop_assert_eq!(&whole.1, &split.1);

            for keep_inside in [true, false] {
                let mask = Mask { lo: -0.5, hi: data.weights[0], keep_inside };
                let keep = |&w: &f32| if mask.keeps(w) { w } else { 0.0 };
                let zeroed: Vec<f32> = data.weights.iter().map(keep).collect();
                conv.load(weights);
                conv.pack(mask, 0..k);
                let masked = data.run(&*conv, case.last, case.accumulate, &[0, h]);
                conv.load(Weights { oihw: &zeroed, ..weights });
                let copy = data.run(&*conv, case.last, case.accumulate, &[0, h]);
                prop_assert_eq!(
                    bits_of(&masked.0),
                    bits_of(&copy.0),
                    "{} {:?}: masked and zeroed copy",
                    name,
                    level
                );
                prop_assert_eq!(masked.1, copy.1);
            }
            conv.load(weights);
            channels(case, &data, name, level, &mut *conv)?;
            conv.load(weights);
            conv.pack(Mask { lo: 0.0, hi: 0.0, keep_inside: true }, 0..k);
            conv.pack(Mask::ALL, 0..k);
            let again = data.run(&*conv, case.last, case.accumulate, &[0, h]);
            prop_assert_eq!(bits_of(&whole.0), bits_of(&again.0), "{} {:?}: all weights again", name, level);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_convolutions(case in case(any_shape())) {
        check(&case)?;
    }

    #[test]
    fn random_fast_convolutions(case in case(fast_shape())) {
        check(&case)?;
    }
}

/// The kernel, stride, padding and map of every network convolution, with fewer channels but the same panels.
#[test]
fn network_geometries() {
    let mut seen = Vec::new();
    for network in shapes::cases() {
        let full = network.shape;
        assert!(!network.networks.is_empty() && !network.name().is_empty());
        let depthwise = full.groups > 1;
        let (c, k) = if depthwise { (3, 3) } else { (full.c.min(5), full.k.min(17)) };
        let groups = if depthwise { 3 } else { 1 };
        let shape = ConvShape { c, k, h: full.h.min(16), w: full.w.min(16), groups, ..full };
        if seen.contains(&shape) {
            continue;
        }
        seen.push(shape);
        for direction in [Direction::Forward, Direction::BackwardInput] {
            if let Err(error) = check(&plain(shape, direction)) {
                panic!("{} {direction:?}: {error}", network.name());
            }
        }
    }
}

/// A case with a scale and a shift, and nothing around its values.
fn plain(shape: ConvShape, direction: Direction) -> Case {
    let dense = Place { before: 0, after: 0, step: 1 };
    Case {
        shape,
        direction,
        lanes: 16,
        x: dense,
        y: dense,
        add: None,
        scale: true,
        shift: true,
        accumulate: false,
        last: Last::ReluSave,
        weight_scale: false,
        seed: 11,
    }
}

/// Pairs of pixels on maps of even and odd width, with a pixel between them or none: ResNet-50 on 28×28 images has a
/// stride of 2 on 7×7.
#[test]
fn pairs_of_pixels() {
    for (h, w, stride) in [(2, 4, 1), (4, 4, 2), (7, 7, 2), (1, 3, 2), (2, 8, 2)] {
        let shape = ConvShape { c: 32, k: 96, h, w, r: 1, s: 1, stride, pad: 0, groups: 1 };
        for direction in [Direction::Forward, Direction::BackwardInput] {
            assert!(Algorithm::Strassen.plan(shape, direction, Level::Portable).is_some(), "{shape:?}");
            if let Err(error) = check(&plain(shape, direction)) {
                panic!("{shape:?} {direction:?}: {error}");
            }
        }
    }
}

/// A weight on a bound: inclusive below, exclusive above; a negative factor leaves a dropped weight +0.0.
#[test]
fn bounds_and_negative_factors() {
    let shape = ConvShape { c: 4, k: 1, h: 1, w: 1, r: 1, s: 1, stride: 1, pad: 0, groups: 1 };
    let lanes = 16;
    for level in Level::available() {
        let mut conv = Direct::new(shape, Direction::BackwardInput, level);
        conv.load(Weights { oihw: &[-0.5, -0.25, 0.25, 0.5], scale: Some(&[-2.0]) });
        conv.pack(Mask { lo: -0.25, hi: 0.5, keep_inside: true }, 0..1);
        let (xl, yl) = values(&shape, Direction::BackwardInput, lanes);
        let x = aligned(&vec![1.0; xl.buffer_len()]);
        let mut y = Aligned::zeros(yl.buffer_len());
        let target = Target { data: &mut y, layout: yl, rows: 0..1 };
        conv.run(Source { data: &x, layout: xl }, target, Epilogue::default(), &mut Scratch::default());
        let row: Vec<f32> = (0..4).map(|c| y[c * lanes]).collect();
        assert_eq!(bits_of(&row), bits_of(&[0.0, 0.5, -0.5, 0.0]), "{level:?}");
        assert_eq!(conv.packed_bytes(0..1), 16);
    }
}
