//! Convolutions on matrix units against the oracle, on inputs rounded to their format: every tile, every way in which
//! values enter, every edge.

use crate::driver::context;
use common::compare::{Tolerance, assert_close};
use common::formula::uniform_tensor;
use common::oracle::{Conv, Map};
use half::{bf16, f16};
use std::sync::Arc;
use synfilter::backend::cuda::abi::{self, Working};
use synfilter::backend::cuda::buffer::Buffer;
use synfilter::backend::cuda::context::Context;
use synfilter::backend::cuda::conv_mma::{ConvMma, Half};
use synfilter::backend::cuda::conv_plan::ConvPlan;
use synfilter::backend::cuda::tiles::Tile;
use synfilter::backend::cuda::value::PLAIN;
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;

const SLAB: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    None,
    Relu,
    Save,
    Mask,
}

/// A launch to be checked.
#[derive(Clone, Copy, Debug)]
struct Case {
    shape: ConvShape,
    direction: Direction,
    half: Half,
    slabs: usize,
    /// Rows before the value, after it, and from one channel to the next: of x, and of y.
    from: [usize; 3],
    to: [usize; 3],
    /// Whether all of `then` is asked for, or nothing but the sign.
    whole: bool,
    sign: Sign,
}

/// c, k, h, w, r, s, stride, pad.
fn shape([c, k, h, w, r, s, stride, pad]: [usize; 8]) -> ConvShape {
    ConvShape { c, k, h, w, r, s, stride, pad, groups: 1 }
}

const DENSE: [usize; 3] = [0, 0, 1];

fn forward(sizes: [usize; 8], slabs: usize) -> Case {
    let (half, from, to) = (Half::F16, DENSE, DENSE);
    let shape = shape(sizes);
    Case { shape, direction: Direction::Forward, half, slabs, from, to, whole: true, sign: Sign::Save }
}

fn backward(sizes: [usize; 8], slabs: usize) -> Case {
    Case { direction: Direction::BackwardInput, sign: Sign::Mask, ..forward(sizes, slabs) }
}

fn encode(half: Half, value: f32) -> u16 {
    match half {
        Half::F16 => f16::from_f32(value).to_bits(),
        Half::Bf16 => bf16::from_f32(value).to_bits(),
    }
}

fn decode(half: Half, bits: u16) -> f32 {
    match half {
        Half::F16 => f16::from_bits(bits).to_f32(),
        Half::Bf16 => bf16::from_bits(bits).to_f32(),
    }
}

fn place([h, w, c]: [usize; 3], [before, after, step]: [usize; 3]) -> Place {
    Place { h, w, c, pixel: before + c * step + after, offset: before, step }
}

/// Where image `n` of channel `k` of a pixel lies.
fn at(place: Place, n: usize, pixel: usize, k: usize) -> usize {
    let row = (n / SLAB * place.h * place.w + pixel) * place.pixel + place.offset + k * place.step;
    row * SLAB + n % SLAB
}

/// Values in the format of a case, and the map that they are; what belongs to no channel is NaN.
fn value(name: &str, case: &Case, place: Place) -> (Vec<u16>, Map) {
    let n = case.slabs * SLAB;
    let mut map = Map::zeros([n, place.c, place.h, place.w]);
    let numbers = uniform_tensor(name, map.data.len());
    let mut buffer = vec![encode(case.half, f32::NAN); case.slabs * place.rows() * SLAB];
    let pixels = place.h * place.w;
    for (i, &number) in numbers.iter().enumerate() {
        let (image, k, pixel) = (i / pixels / place.c, i / pixels % place.c, i % pixels);
        let bits = encode(case.half, number);
        map.data[i] = f64::from(decode(case.half, bits));
        buffer[at(place, image, pixel, k)] = bits;
    }
    (buffer, map)
}

/// Where a weight lies among the working weights, as kernels/weights.cuh defines it.
fn positions(working: Working, k: usize, c: usize, r: usize, s: usize) -> Vec<usize> {
    let number = |n: u32| n as usize;
    let tap = r * number(working.s) + s;
    let index = |tap: usize, output: usize, input: usize| {
        ((tap * number(working.chunks) + input / 32) * number(working.outputs) + output) * 32 + input % 32
    };
    match working.form {
        0 => vec![index(tap, k, c)],
        1 => vec![index(tap, c, k)],
        2 => vec![index(0, k, tap * number(working.c) + c)],
        _ => {
            // Residue a reads the source e pixels on, under tap a + pad − e·stride.
            let reads = |tap: usize| -> Vec<(usize, usize)> {
                let (stride, pad) = (working.stride.cast_signed(), working.pad.cast_signed());
                (0..working.residues)
                    .filter_map(|a| {
                        let ahead = a.cast_signed() + pad - i32::try_from(tap).unwrap();
                        (ahead.rem_euclid(stride) == 0).then(|| {
                            let tap = ahead.div_euclid(stride) - working.first;
                            (number(a), usize::try_from(tap).unwrap())
                        })
                    })
                    .collect()
            };
            let mut all = Vec::new();
            for (a, u) in reads(r) {
                for (b, v) in reads(s) {
                    let output = (a * number(working.residues) + b) * number(working.c) + c;
                    all.push(index(u * number(working.side) + v, output, k));
                }
            }
            all
        }
    }
}

fn expected(case: &Case, x: &Map, w: &Map) -> Map {
    let ConvShape { c, h, w: width, stride, pad, .. } = case.shape;
    let conv = Conv { stride, pad, groups: 1 };
    match case.direction {
        Direction::Forward => conv.forward(x, w, None),
        Direction::BackwardInput => conv.backward_input(x, w, [x.shape[0], c, h, width]),
    }
}

/// What one launch left behind.
#[derive(PartialEq)]
struct Left {
    y: Vec<u16>,
    bits: Vec<u64>,
}

/// Everything that a case needs, on the device.
struct Ready {
    case: Case,
    context: Arc<Context>,
    conv: ConvMma,
    from: Place,
    to: Place,
    x: Buffer,
    add: Buffer,
    old: Vec<u16>,
    old_bits: Vec<u64>,
    scale: Buffer,
    shift: Buffer,
    /// What comes out before it is rounded.
    result: Map,
}

impl Ready {
    fn new(case: Case) -> Self {
        let context = context();
        let ConvShape { c, k, h, w, r, s, .. } = case.shape;
        let (oh, ow) = case.shape.output();
        let (from, to) = match case.direction {
            Direction::Forward => ([h, w, c], [oh, ow, k]),
            Direction::BackwardInput => ([oh, ow, k], [h, w, c]),
        };
        let (from, to) = (place(from, case.from), place(to, case.to));
        let (x, x_map) = value("x", &case, from);
        let (old, old_map) = value("old", &case, to);
        let (add, add_map) = value("add", &case, place([to.h, to.w, to.c], [1, 2, 1]));
        let plan = ConvPlan::new(case.shape, case.direction).expect("a convolution without groups");
        let mut weights = Map::zeros([k, c, r, s]);
        let mut working = vec![0; plan.len()];
        let numbers = uniform_tensor("weights", weights.data.len());
        for (i, &number) in numbers.iter().enumerate() {
            let bits = encode(case.half, number);
            weights.data[i] = f64::from(decode(case.half, bits));
            for at in positions(plan.working, i / s / r / c, i / s / r % c, i / s % r, i % s) {
                working[at] = bits;
            }
        }
        let mut result = expected(&case, &x_map, &weights);
        let scale: Vec<f32> = uniform_tensor("scale", to.c).iter().map(|v| v + 0.5).collect();
        let shift = uniform_tensor("shift", to.c);
        let words = case.slabs * to.rows();
        let old_bits: Vec<u64> = (0..words).map(|i| common::formula::hash("bits", i)).collect();
        let pixels = to.h * to.w;
        for (i, v) in result.data.iter_mut().enumerate() {
            let (n, k, pixel) = (i / pixels / to.c, i / pixels % to.c, i % pixels);
            if case.whole {
                *v = *v * f64::from(scale[k]) + f64::from(shift[k]) + add_map.data[i] + old_map.data[i];
            }
            let (row, lane) = (at(to, n, pixel, k) / SLAB, n % SLAB);
            match case.sign {
                Sign::None => {}
                Sign::Relu | Sign::Save => *v = v.max(0.0),
                Sign::Mask if old_bits[row] >> lane & 1 == 0 => *v = 0.0,
                Sign::Mask => {}
            }
        }
        let mut conv = ConvMma::new(&context, plan);
        conv.weights.write(&working);
        Ready {
            conv,
            from,
            to,
            x: Buffer::of(&context, &x),
            add: Buffer::of(&context, &add),
            old,
            old_bits,
            scale: Buffer::of(&context, &scale),
            shift: Buffer::of(&context, &shift),
            result,
            context,
            case,
        }
    }

    fn run(&self, tile: Option<Tile>) -> Left {
        let Ready { case, context, conv, .. } = self;
        let y = Buffer::of(context, &self.old);
        let bits = Buffer::of(context, &self.old_bits);
        let address = |buffer: &Buffer| if case.whole { buffer.address() } else { 0 };
        let then = abi::Then {
            scale: address(&self.scale),
            shift: address(&self.shift),
            add: address(&self.add),
            bits: if matches!(case.sign, Sign::Save | Sign::Mask) { bits.address() } else { 0 },
            add_place: place([self.to.h, self.to.w, self.to.c], [1, 2, 1]).into(),
            sign: case.sign as u8,
            accumulate: u8::from(case.whole),
            ..PLAIN
        };
        let (x, to) = ((self.x.address(), self.from), (y.address(), self.to));
        // SAFETY: the buffers are of the case's sizes and format, and no two are the same.
        unsafe {
            match tile {
                Some(tile) => conv.launch_with(context, tile, case.half, x, to, case.slabs, then),
                None => conv.launch(context, case.half, x, to, case.slabs, then),
            }
        }
        context.synchronize().expect("the kernel runs");
        Left { y: y.read().expect("values"), bits: bits.read().expect("bits") }
    }

    /// The result as a map; everything that is not the value must stand as it stood.
    fn map(&self, left: &Left) -> Map {
        let mut seen = self.old.clone();
        let [_, channels, h, w] = self.result.shape;
        let mut map = Map::zeros(self.result.shape);
        for (i, v) in map.data.iter_mut().enumerate() {
            let at = at(self.to, i / (h * w) / channels, i % (h * w), i / (h * w) % channels);
            *v = f64::from(decode(self.case.half, left.y[at]));
            seen[at] = left.y[at];
        }
        assert!(seen == left.y, "{:?}: rows beside the value have changed", self.case);
        map
    }

    /// Half a unit in the last place of the result, and 2⁻¹⁷ of the largest term of a sum in f32.
    fn tolerance(&self) -> Tolerance {
        let relative = match self.case.half {
            Half::F16 => 1.0 / 2048.0,
            Half::Bf16 => 1.0 / 256.0,
        };
        let largest = self.result.data.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        Tolerance::new(largest / 131_072.0, relative * 1.001)
    }

    fn check_bits(&self, what: &str, left: &Left, y: &Map) {
        if self.case.sign != Sign::Save {
            assert!(left.bits == self.old_bits, "{what}: bits have changed");
            return;
        }
        let mut rows = self.old_bits.clone();
        let [_, channels, h, w] = y.shape;
        let doubt = self.tolerance().absolute;
        for (i, &v) in self.result.data.iter().enumerate() {
            let at = at(self.to, i / (h * w) / channels, i % (h * w), i / (h * w) % channels);
            let (row, lane) = (at / SLAB, at % SLAB);
            // Where a sum ends at zero, rounding decides.
            let bit = if v > doubt {
                1
            } else if v > 0.0 || y.data[i] > 0.0 {
                left.bits[row] >> lane & 1
            } else {
                0
            };
            rows[row] = rows[row] & !(1 << lane) | bit << lane;
        }
        let same = self.result.data.iter().filter(|v| **v > 0.0 && **v <= doubt).count();
        assert!(same * 100 < self.result.data.len(), "{what}: too many results are in doubt");
        assert!(rows == left.bits, "{what}: sign bits");
    }
}

/// Runs a case with every tile and with the one that is chosen.
fn check(case: Case) {
    let ready = Ready::new(case);
    let mut first: Option<Map> = None;
    for tile in ready.conv.plan().tiles(ready.from) {
        let what = format!("{case:?} with {tile:?}");
        let left = ready.run(Some(tile));
        assert!(left == ready.run(Some(tile)), "{what}: differs from run to run");
        let map = ready.map(&left);
        assert_close(&what, &map.data, &ready.result.data, ready.tolerance());
        ready.check_bits(&what, &left, &map);
        let first = first.get_or_insert_with(|| map.clone());
        // Tiles add up in different orders, so that a rounding may fall to either side.
        let Tolerance { absolute, relative } = ready.tolerance();
        assert_close(&what, &map.data, &first.data, Tolerance::new(absolute, 2.0 * relative));
    }
    let chosen = ready.conv.plan().tile(ready.from, case.slabs, ready.context.multiprocessors());
    assert!(ready.run(None) == ready.run(Some(chosen)), "{case:?}: not the chosen tile");
}

#[test]
fn dense_values() {
    check(forward([64, 128, 3, 3, 3, 3, 1, 1], 2));
    check(Case { half: Half::Bf16, to: [2, 1, 2], ..forward([32, 72, 4, 5, 3, 3, 2, 1], 3) });
    check(Case { whole: false, sign: Sign::None, ..forward([96, 136, 2, 1, 1, 1, 1, 0], 1) });
    check(Case { sign: Sign::Relu, ..forward([32, 192, 1, 2, 2, 1, 1, 1], 4) });
}

#[test]
fn strips() {
    let tiles = |case: Case| Ready::new(case).conv.plan().tiles(place([4, 4, 64], DENSE));
    assert!(tiles(forward([64, 64, 4, 4, 3, 3, 1, 1], 1)).contains(&Tile::K128P4));
    check(forward([64, 128, 2, 9, 3, 3, 1, 1], 2));
    check(Case { half: Half::Bf16, to: [2, 1, 2], ..backward([72, 64, 4, 5, 3, 3, 1, 1], 1) });
    check(Case { whole: false, sign: Sign::None, ..forward([32, 200, 3, 6, 3, 3, 1, 0], 1) });
    check(backward([64, 32, 3, 6, 3, 3, 1, 0], 1));
    check(Case { sign: Sign::None, ..forward([32, 64, 1, 3, 3, 3, 1, 2], 1) });
    check(Case { sign: Sign::None, ..backward([64, 32, 2, 5, 3, 3, 1, 2], 3) });
}

#[test]
fn dense_gradients() {
    check(backward([64, 64, 5, 4, 3, 3, 2, 1], 5));
    check(Case { half: Half::Bf16, ..backward([136, 32, 3, 3, 3, 3, 1, 1], 2) });
    // Pixels without any tap: what `then` makes of 0.
    check(backward([64, 128, 3, 3, 1, 1, 2, 0], 1));
    check(Case { whole: false, sign: Sign::None, ..backward([40, 64, 4, 4, 2, 2, 3, 0], 1) });
}

#[test]
fn any_number_of_channels() {
    check(Case { from: [3, 5, 2], ..forward([58, 70, 3, 2, 3, 3, 1, 1], 2) });
    check(Case { from: [1, 0, 1], ..backward([200, 5, 3, 2, 3, 3, 1, 1], 2) });
    check(Case {
        half: Half::Bf16,
        sign: Sign::Relu,
        from: [0, 9, 1],
        ..forward([48, 30, 2, 2, 2, 2, 1, 0], 1)
    });
    check(Case { from: [1, 1, 2], to: [0, 1, 2], ..forward([32, 17, 2, 2, 1, 1, 1, 0], 1) });
}

#[test]
fn few_inputs() {
    check(forward([3, 64, 8, 8, 7, 7, 2, 3], 3));
    check(Case { half: Half::Bf16, ..forward([1, 70, 5, 6, 3, 3, 1, 1], 1) });
    check(Case { from: [1, 1, 2], ..forward([3, 24, 5, 6, 3, 3, 2, 1], 6) });
    check(Case { whole: false, sign: Sign::None, ..forward([3, 64, 5, 5, 3, 3, 2, 0], 4) });
}

#[test]
fn few_outputs() {
    check(backward([3, 64, 8, 8, 7, 7, 2, 3], 3));
    check(Case {
        half: Half::Bf16,
        from: [1, 2, 2],
        to: [1, 2, 2],
        ..backward([3, 40, 6, 6, 5, 5, 2, 2], 2)
    });
    check(backward([3, 24, 5, 6, 3, 3, 2, 1], 1));
    check(Case { whole: false, sign: Sign::None, ..backward([3, 24, 5, 5, 3, 3, 2, 0], 2) });
    check(backward([1, 64, 4, 4, 7, 7, 2, 3], 2));
    check(backward([3, 32, 4, 4, 3, 3, 1, 1], 2));
    check(backward([12, 32, 4, 4, 3, 3, 2, 1], 2));
    check(backward([2, 32, 9, 3, 3, 3, 3, 0], 5));
    check(backward([1, 32, 3, 5, 1, 1, 2, 1], 1));
    check(Case { sign: Sign::None, ..forward([512, 10, 1, 1, 1, 1, 1, 0], 3) });
}

#[test]
fn grouped_convolutions_have_no_plan() {
    let grouped = ConvShape { groups: 2, ..shape([64, 64, 4, 4, 3, 3, 1, 1]) };
    assert!(ConvPlan::new(grouped, Direction::Forward).is_none());
}
