//! Approximations against the host's functions in double precision, within the errors that PTX states.

use crate::exact::F32;
use crate::floats::{columns, edges};
use crate::kit::{Reg, Snippet};

/// Runs `instruction d0, a0` on edges, random encodings and a dense sample of an interval; gives operands and results.
fn sample(instruction: &str, from: f32, to: f32) -> Vec<(f32, f32)> {
    let mut all = columns(F32, 1, &edges(F32), 20_000);
    let steps = 100_000;
    all[0].extend((0..=steps).map(|k| {
        let x = f64::from(from) + (f64::from(to) - f64::from(from)) * f64::from(k) / f64::from(steps);
        u128::from((x as f32).to_bits())
    }));
    let text = format!("{instruction}.f32 d0, a0;");
    let results = Snippet::new(&text, &[Reg::B32], &[Reg::B32]).run(&all).unwrap();
    let float = |&b: &u128| f32::from_bits(b as u32);
    all[0].iter().map(float).zip(results[0].iter().map(float)).collect()
}

fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// Checks a function, with and without `.ftz`: NaN exactly where it has to be (the canonical one), and else `close`
/// to the value of the (flushed) operand.
fn check(
    name: &str,
    (from, to): (f32, f32),
    function: impl Fn(f64) -> f64,
    close: impl Fn(f64, f64, f64) -> bool,
) {
    for modifier in if name == "tanh" { &[""][..] } else { &["", ".ftz"] } {
        let ftz = !modifier.is_empty();
        for (x, got) in sample(&format!("{name}.approx{modifier}"), from, to) {
            let x = if ftz { flushed(x) } else { x };
            let want = function(x.into());
            if want.is_nan() {
                assert_eq!(got.to_bits(), 0x7FFF_FFFF, "{name}{modifier} of {x:e}");
                continue;
            }
            assert!(!ftz || !got.is_subnormal(), "{name}{modifier} of {x:e} is subnormal");
            if ftz && want.abs() < f64::from(f32::MIN_POSITIVE) {
                assert!(got.abs() <= f32::MIN_POSITIVE, "{name}{modifier} of {x:e} is not {got:e}");
            } else {
                assert!(close(x.into(), got.into(), want), "{name}{modifier} of {x:e} is not {got:e}");
            }
            if want == 0.0 || want.is_infinite() {
                assert_eq!(got.is_sign_negative(), want.is_sign_negative(), "{name}{modifier} of {x:e}");
            }
        }
    }
}

/// Units in the last place of a single-precision result.
fn ulp(want: f64) -> f64 {
    let exponent = want.abs().log2().floor().clamp(-126.0, 127.0);
    2f64.powf(exponent - 23.0)
}

/// Both infinite, or beyond the largest single.
fn overflows(got: f64, want: f64) -> bool {
    want.abs() > f64::from(f32::MAX) && got.abs() >= f64::from(f32::MAX) && got.signum() == want.signum()
}

#[test]
fn reciprocals() {
    check(
        "rcp",
        (0.5, 4.0),
        |x| 1.0 / x,
        |_, got, want| got == want || overflows(got, want) || (got - want).abs() <= ulp(want),
    );
}

#[test]
fn square_roots() {
    check("sqrt", (0.0, 10.0), f64::sqrt, |_, got, want| {
        got == want || (got - want).abs() <= want * 2f64.powi(-23)
    });
    check(
        "rsqrt",
        (0.25, 4.0),
        |x| 1.0 / x.sqrt(),
        |_, got, want| got == want || (got - want).abs() <= want * 2f64.powf(-22.9),
    );
}

#[test]
fn sines_and_cosines() {
    let turn = 2.0 * std::f64::consts::PI;
    let close = move |x: f64, got: f64, want: f64| {
        let bound = match x.abs() {
            a if a <= turn => 2f64.powf(-20.5),
            a if a <= 50.0 * turn => 2f64.powf(-14.7),
            _ => 2.0,
        };
        got.abs() <= 1.0 && (got - want).abs() <= bound
    };
    for range in [(-6.3, 6.3), (-320.0, 320.0)] {
        check("sin", range, f64::sin, close);
        check("cos", range, f64::cos, close);
    }
}

#[test]
fn logarithms() {
    let close = |x: f64, got: f64, want: f64| {
        let bound = if 0.5 < x && x < 2.0 { 2f64.powi(-22) } else { want.abs() * 2f64.powi(-22) };
        got == want || (got - want).abs() <= bound
    };
    check("lg2", (0.25, 4.0), f64::log2, close);
    check("lg2", (0.0, 1e6), f64::log2, close);
}

#[test]
fn powers_of_two() {
    for range in [(-1.0, 1.0), (-151.0, 129.0)] {
        check("ex2", range, f64::exp2, |_, got, want| {
            got == want || overflows(got, want) || (got - want).abs() <= 2.0 * ulp(want)
        });
    }
}

#[test]
fn hyperbolic_tangents() {
    for range in [(-10.0, 10.0), (-1e-3, 1e-3)] {
        check("tanh", range, f64::tanh, |_, got, want| {
            got == want || (got - want).abs() <= want.abs() * 2f64.powi(-11)
        });
    }
}

#[test]
fn approximate_quotients() {
    for name in ["div.approx", "div.approx.ftz", "div.full", "div.full.ftz"] {
        let all = columns(F32, 2, &edges(F32), 20_000);
        let ftz = name.ends_with("ftz");
        let text = format!("{name}.f32 d0, a0, a1;");
        let results = Snippet::new(&text, &[Reg::B32; 2], &[Reg::B32]).run(&all).unwrap().remove(0);
        for (row, &bits) in results.iter().enumerate() {
            let float = |b: u128| f32::from_bits(b as u32);
            let flush = |x: f32| if ftz { flushed(x) } else { x };
            let (a, b) = (flush(float(all[0][row])), flush(float(all[1][row])));
            let got = float(bits);
            let want = f64::from(a) / f64::from(b);
            let far = name.contains("approx") && b.abs() > 2f32.powi(126) && b.is_finite();
            let right = if want.is_nan() || far && a.is_infinite() {
                bits == 0x7FFF_FFFF
            } else if far {
                got == 0.0 && got.is_sign_negative() == (a.is_sign_negative() != b.is_sign_negative())
            } else if ftz && want.abs() < f64::from(f32::MIN_POSITIVE) {
                got.abs() <= f32::MIN_POSITIVE && !got.is_subnormal()
            } else {
                let got = f64::from(got);
                got == want || overflows(got, want) || (got - want).abs() <= 2.0 * ulp(want)
            };
            assert!(right, "{name} of {a:e} and {b:e} is not {got:e}");
        }
    }
}

#[test]
fn double_approximations_see_the_upper_word() {
    let all = columns(crate::exact::F64, 1, &edges(crate::exact::F64), 5000);
    for name in ["rcp", "rsqrt"] {
        let text = format!("{name}.approx.ftz.f64 d0, a0;");
        let results = Snippet::new(&text, &[Reg::B64], &[Reg::B64]).run(&all).unwrap().remove(0);
        for (&a, &d) in all[0].iter().zip(&results) {
            let upper = f64::from_bits(a as u64 & !0xFFFF_FFFF);
            let x = if upper.is_subnormal() { 0f64.copysign(upper) } else { upper };
            let want = if name == "rcp" { 1.0 / x } else { 1.0 / x.sqrt() };
            let got = f64::from_bits(d as u64);
            assert_eq!(d & 0xFFFF_FFFF, 0, "{name} of {x:e}");
            let right = if want.is_nan() {
                d == 0x7FFF_FFFF_0000_0000
            } else if want.abs() < f64::MIN_POSITIVE {
                got == 0.0 && got.is_sign_negative() == want.is_sign_negative()
            } else {
                got == want || (got - want).abs() <= want.abs() * 2f64.powi(-20)
            };
            assert!(right, "{name} of {x:e} is not {got:e}");
        }
    }
    Snippet::new("rsqrt.approx.f64 d0, a0;", &[Reg::B64], &[Reg::B64]).check(&all, |row| {
        let x = f64::from_bits(row[0] as u64);
        let want = 1.0 / x.sqrt();
        let nan = if x.is_nan() { row[0] | 1 << 51 } else { crate::exact::F64.nan.into() };
        vec![if want.is_nan() { nan } else { want.to_bits().into() }]
    });
}
