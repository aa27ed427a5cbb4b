//! `map` in parts, dropout.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::dropout::Dropout;
use synfilter::backend::cpu::elementwise::map;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Act, Epilogue};
use synfilter::graph::Rectifier;
use synfilter::random::Random;

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
