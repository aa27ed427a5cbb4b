//! Functions of one number that the standard library has only as calls, in operations that the compiler vectorises: each is
//! rounded in the same places at every SIMD level, and in kernels/activation.cuh.

/// exp x, to within 2 units in the last place where the result is a normal number; 0 below −87.3, NaN for NaN, and above 88
/// that of 88.
///
/// x = n · ln 2 + r with |r| ≤ ln 2 / 2 (ln 2 in two parts, Cody and Waite 1980), then the Taylor polynomial of
/// degree 7 of exp r, whose remainder is below 6e-9.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons that leave a NaN alone.
    let capped = if x > 88.0 { 88.0 } else { x };
    let clamped = if capped < -87.3 { -87.3 } else { capped };
    // Adding 1.5 · 2²³ rounds to a whole number, which then stands in the low bits.
    let shifted = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = (clamped - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let e = 1.0 + less_one(r);
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if capped < -87.3 { 0.0 } else { e * power }
}

/// exp x − 1, without loss near 0.
#[inline(always)]
pub fn exp_less_one(x: f32) -> f32 {
    let near = less_one(x);
    let far = exp(x) - 1.0;
    if x.abs() < 0.34 { near } else { far }
}

/// exp r − 1 for |r| ≤ ln 2 / 2, by its Taylor polynomial.
#[inline(always)]
fn less_one(r: f32) -> f32 {
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    r + r * r * p
}

/// 1/(1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent, to within 1e-7: 1 − 2/(exp(2|x|) + 1) with x's sign; near 0 an odd polynomial, fitted.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    let s = x * x;
    let p = -0.005_528_456;
    let p = p * s + 0.020_483_157;
    let p = p * s - 0.053_692_92;
    let p = p * s + 0.133_308_99;
    let p = p * s - 0.333_332_63;
    let near = x + x * s * p;
    if size < 0.625 { near } else { far.copysign(x) }
}

/// Φ(x), the normal distribution, to within 1e-7: half of exp(−|x|·R(|x|)) on the left and 1 less that on the right, where R
/// is a polynomial, fitted to −ln(erfc(x/√2))/x.
#[inline(always)]
pub fn normal(x: f32) -> f32 {
    let size = x.abs();
    let t = if size > 8.0 { 8.0 } else { size };
    let p = -3.302_763e-7;
    let p = p * t + 6.294_671_5e-6;
    let p = p * t - 5.020_913e-5;
    let p = p * t + 1.922_568_2e-4;
    let p = p * t - 2.951_042_5e-6;
    let p = p * t - 0.004_810_699_3;
    let p = p * t + 0.036_347_944;
    let p = p * t + 0.318_307_43;
    let p = p * t + 0.797_884_7;
    let tail = 0.5 * exp(-(size * p));
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// φ(x), its density.
#[inline(always)]
pub fn density(x: f32) -> f32 {
    0.398_942_3 * exp(-0.5 * (x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0f64;
        for i in 0..2_000_000 {
            let x = -87.3 + 175.2 * (i as f32 / 2_000_000.0);
            let want = f64::from(x).exp();
            let ulp = f64::from(f32::from_bits((want as f32).to_bits() + 1)) - f64::from(want as f32);
            worst = worst.max((f64::from(exp(x)) - want).abs() / ulp);
        }
        assert!(worst <= 2.0, "{worst} ulp");
    }

    #[test]
    fn exp_at_the_edges() {
        assert_eq!([exp(0.0), exp(f32::NEG_INFINITY), exp(-200.0)], [1.0, 0.0, 0.0]);
        assert!(exp(f32::NAN).is_nan());
    }

    /// Against f64; Φ by Simpson's rule over its density.
    #[test]
    fn the_others_are_within_a_few_roundings() {
        let mut area = 0.5f64;
        let density64 = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = 1.0 / 1024.0;
        for i in 0..12_000 {
            let wide = f64::from(i) * step;
            for x in [wide as f32, -wide as f32] {
                let x64 = f64::from(x);
                let phi = if x < 0.0 { 1.0 - area } else { area };
                let pairs = [
                    (sigmoid(x), 1.0 / (1.0 + (-x64).exp())),
                    (tanh(x), x64.tanh()),
                    (normal(x), phi),
                    (density(x), density64(x64)),
                    (exp_less_one(-x.abs()), (-x64.abs()).exp_m1()),
                ];
                for (which, (found, want)) in pairs.into_iter().enumerate() {
                    assert!((f64::from(found) - want).abs() < 1.5e-7, "{which} of {x}: {found}, {want}");
                }
                if x != 0.0 && x.abs() < 0.1 {
                    let (small, less) =
                        (f64::from(tanh(x)) / x64.tanh(), f64::from(exp_less_one(x)) / x64.exp_m1());
                    assert!((small - 1.0).abs() < 3e-7 && (less - 1.0).abs() < 3e-7, "near 0: {x}");
                }
            }
            area +=
                step / 6.0 * (density64(wide) + 4.0 * density64(wide + step / 2.0) + density64(wide + step));
        }
    }
}
