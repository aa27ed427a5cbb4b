//! `map`, `copy_bits`, dropout.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::dropout::Dropout;
use synfilter::backend::cpu::elementwise::{copy_bits, map};
use synfilter::backend::cpu::layout::Layout;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Act, Epilogue};
use synfilter::graph::Rectifier;
use synfilter::random::Random;

fn vector(n: usize, random: &mut Random) -> Vec<f32> {
    (0..n).map(|_| random.normal()).collect()
}

#[test]
fn map_does_everything_an_epilogue_can() {
    let mut random = Random::new(1, 0);
    for level in Level::available() {
        for lanes in [16, 32, 48, 64] {
            for (xl, yl) in layouts(3, 3, 2, lanes).into_iter().zip(layouts(3, 3, 2, lanes).into_iter().rev())
            {
                let x = Value::random(xl, &mut random);
                let add = Value::random(layouts(3, 3, 2, lanes)[1], &mut random);
                let old = Value::random(yl, &mut random);
                let (scale, shift) = (vector(3, &mut random), vector(3, &mut random));
                let bits: Vec<u16> = (0..yl.buffer_len() / 16).map(|_| random.bits() as u16).collect();
                for which in 0..64 {
                    let on = |bit: usize| which >> bit & 1 == 1;
                    let act = which / 16;
                    let mut saved = vec![0u16; yl.buffer_len() / 16];
                    let mut y = old.clone();
                    let epilogue = Epilogue {
                        scale: on(0).then_some(&scale[..]),
                        shift: on(1).then_some(&shift[..]),
                        add: on(2).then_some(add.source()),
                        accumulate: on(3),
                        act: match act {
                            0 => Act::None,
                            1 => Act::Rectify(Rectifier::RELU),
                            2 => Act::RectifySave(Rectifier::RELU, &mut saved),
                            _ => Act::Mask(&bits, 0.0),
                        },
                    };
                    map(level, x.source(), y.target(), epilogue);
                    let bit = |bits: &[u16], lane: usize, c: usize, pixel: usize| {
                        bits[(yl.at(pixel, c) + lane) / 16] >> (lane % 16) & 1 == 1
                    };
                    y.assert_close(1e-6, &format!("{level:?} {lanes} {which}"), |lane, c, pixel| {
                        let mut v = x.get(lane, c, pixel);
                        v *= if on(0) { f64::from(scale[c]) } else { 1.0 };
                        v += if on(1) { f64::from(shift[c]) } else { 0.0 };
                        v += if on(2) { add.get(lane, c, pixel) } else { 0.0 };
                        v += if on(3) { old.get(lane, c, pixel) } else { 0.0 };
                        match act {
                            0 => v,
                            3 => {
                                if bit(&bits, lane, c, pixel) {
                                    v
                                } else {
                                    0.0
                                }
                            }
                            _ => v.max(0.0),
                        }
                    });
                    if act == 2 {
                        for (pixel, c, lane) in every(yl) {
                            assert_eq!(bit(&saved, lane, c, pixel), y.get(lane, c, pixel) > 0.0);
                        }
                    }
                }
            }
        }
    }
}

fn every(l: Layout) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..l.h * l.w).flat_map(move |p| (0..l.c).flat_map(move |c| (0..l.lanes).map(move |lane| (p, c, lane))))
}

#[test]
fn row_ranges_equal_the_whole() {
    let mut random = Random::new(2, 0);
    let layout = layouts(5, 7, 3, 48)[2];
    let x = Value::random(layout, &mut random);
    for level in Level::available() {
        let relu = || Epilogue { act: Act::Rectify(Rectifier::RELU), ..Epilogue::default() };
        let mut whole = Value::empty(layout);
        map(level, x.source(), whole.target(), relu());
        let mut parts = Value::empty(layout);
        for rows in [0..2, 2..6, 6..7] {
            map(level, x.source(), parts.part(rows), relu());
        }
        assert_eq!(whole.data, parts.data);
    }
}

#[test]
fn bits_move_between_layouts() {
    let mut random = Random::new(4, 0);
    for from in layouts(4, 3, 2, 32) {
        for to in layouts(4, 3, 2, 32) {
            let bits: Vec<u16> = (0..from.buffer_len() / 16).map(|_| random.bits() as u16).collect();
            let mut copy = vec![0u16; to.buffer_len() / 16];
            let (f, t) = (from.rows(1..3), to.rows(1..3));
            let part = &mut copy[t.start / 16..t.end / 16];
            copy_bits(&bits[f.start / 16..f.end / 16], from, part, to, 1..3);
            for (pixel, c, lane) in every(to).step_by(16) {
                let want = if pixel < 2 { 0 } else { bits[(from.at(pixel, c) + lane) / 16] };
                assert_eq!(copy[(to.at(pixel, c) + lane) / 16], want, "{from:?} {to:?} {pixel} {c}");
            }
        }
    }
}

#[test]
fn dropout_does_not_depend_on_layout_slabs_or_level() {
    let mut random = Random::new(5, 0);
    let dropout = Dropout { p: 0.3, seed: 77, step: 3, layer: 2 };
    let (c, h, w) = (3, 5, 2);
    let mut kept = 0;
    for level in Level::available() {
        for (lanes, first) in [(16, 0), (64, 16), (48, 80)] {
            for layout in layouts(c, h, w, lanes) {
                let x = Value::random(layout, &mut random);
                let mut y = Value::empty(layout);
                for rows in [0..2, 2..5] {
                    dropout.apply(level, x.source(), first, y.part(rows), Epilogue::default());
                }
                let keeps = |lane: usize, c_: usize, pixel: usize| {
                    dropout.keeps((((first + lane) * c + c_) * h * w + pixel) as u64)
                };
                y.assert_close(1e-6, "dropout", |lane, c, pixel| {
                    if keeps(lane, c, pixel) { x.get(lane, c, pixel) / 0.7 } else { 0.0 }
                });
            }
        }
    }
    for element in 0..30_000 {
        kept += u32::from(dropout.keeps(element));
    }
    assert!(kept.abs_diff(21_000) < 400, "{kept} of 30000 kept");
    let other = Dropout { step: 4, ..dropout };
    let same = (0..30_000).filter(|&e| dropout.keeps(e) == other.keeps(e)).count();
    assert!(same.abs_diff(17_400) < 400, "{same} decisions equal in two steps, 0.58 expected");
}
