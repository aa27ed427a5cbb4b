//! The composite Simpson rule on evenly spaced points, as SciPy's `scipy.integrate.simpson` applies it since
//! version 1.11.

/// The weights w_k with ∫₀¹ y dx ≈ Σ w_k y_k for `points` (at least two) values at x = 0, 1/(n−1), …, 1.
///
/// An odd number of points is Simpson's rule on pairs of intervals. An even number leaves the last interval over: it
/// is integrated under the parabola through the last three points (Cartwright's correction), which weighs them with
/// −1/12, 2/3 and 5/12 of the spacing. Two points are the trapezoid.
pub fn weights(points: usize) -> Vec<f64> {
    let mut weights = vec![0.0; points];
    let spacing = 1.0 / (points.max(2) - 1) as f64;
    if points == 2 {
        return vec![0.5; 2];
    }
    let paired = if points.is_multiple_of(2) { points - 1 } else { points };
    for first in (0..paired.saturating_sub(2)).step_by(2) {
        for (offset, share) in [1.0 / 3.0, 4.0 / 3.0, 1.0 / 3.0].into_iter().enumerate() {
            weights[first + offset] += share * spacing;
        }
    }
    if paired < points {
        for (offset, share) in [-1.0 / 12.0, 2.0 / 3.0, 5.0 / 12.0].into_iter().enumerate() {
            weights[points - 3 + offset] += share * spacing;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integral(points: usize, y: impl Fn(f64) -> f64) -> f64 {
        let x = |k: usize| k as f64 / (points - 1) as f64;
        weights(points).iter().enumerate().map(|(k, w)| w * y(x(k))).sum()
    }

    /// SciPy 1.17.1, NumPy 2.4.6, made by
    /// ```text
    /// python -c "
    /// import numpy as np
    /// from scipy.integrate import simpson
    /// for n in [2, 3, 4, 5, 6, 7, 8, 9, 24, 25]:
    ///     x = np.linspace(0, 1, n); print((n, float(simpson(1 / (1 + 7 * x * x), x=x))))"
    /// ```
    const SCIPY: [(usize, f64); 10] = [
        (2, 0.5625),
        (3, 0.42992424242424243),
        (4, 0.44392830330330335),
        (5, 0.4537506671002818),
        (6, 0.4558288260653637),
        (7, 0.4567963114061428),
        (8, 0.4569694056154495),
        (9, 0.45708935569402576),
        (24, 0.4571209360987175),
        (25, 0.4571212425524982),
    ];

    #[test]
    fn agrees_with_scipy() {
        for (points, expected) in SCIPY {
            let found = integral(points, |x| 1.0 / (1.0 + 7.0 * x * x));
            assert!((found - expected).abs() < 1e-14, "{points} points: {found}, SciPy {expected}");
        }
    }

    #[test]
    fn weighs_single_points_as_scipy() {
        // scipy.integrate.simpson of unit vectors, same version.
        for (points, expected) in [
            (2, &[0.5, 0.5][..]),
            (3, &[0.16666666666666666, 0.6666666666666666, 0.16666666666666666]),
            (4, &[0.1111111111111111, 0.41666666666666663, 0.33333333333333337, 0.1388888888888889]),
            (
                6,
                &[
                    0.06666666666666667,
                    0.2666666666666666,
                    0.13333333333333336,
                    0.24999999999999994,
                    0.19999999999999993,
                    0.08333333333333331,
                ],
            ),
        ] {
            let found = weights(points);
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
        }
    }

    #[test]
    fn is_exact_for_parabolas() {
        for points in 3..40 {
            let found = integral(points, |x| 1.0 + x - 3.0 * x * x);
            assert!((found - 0.5).abs() < 1e-14, "{points} points: {found}");
        }
    }
}
