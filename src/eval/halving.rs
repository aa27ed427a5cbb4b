//! The smallest ε at which FGSM halves the clean accuracy.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// ε is a multiple of one part in so many of the pixel range: a quarter of a grey level.
pub const GRID: u32 = 4 * 255;

/// An ε that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// ε in pixel units.
    pub eps: f64,
    /// Images that were still classified correctly.
    pub correct: usize,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Halving {
    /// The smallest ε of the grid that leaves at most half of the images that are right without an attack: it does, and the
    /// ε below it does not. Accuracy is taken to fall with ε, as it does but for single images.
    pub eps: f64,
    /// The denominator of the grid.
    pub grid: u32,
    /// Number of images.
    pub images: usize,
    /// Images that are classified correctly without an attack.
    pub correct_clean: usize,
    /// What was tried, in order.
    pub tries: Vec<Try>,
}

/// Searches by bisection; `correct` counts the images that are right under an attack with an ε.
///
/// # Errors
/// [`Error::Failed`] if no clean image is right or even ε = 1 leaves more than half; those of `correct`.
pub fn halving(
    images: usize,
    correct_clean: usize,
    mut correct: impl FnMut(f64) -> Result<usize>,
) -> Result<Halving> {
    if correct_clean == 0 {
        return Err(Error::Failed(format!(
            "eps: none of {images} clean images is right; there is nothing to halve"
        )));
    }
    let mut tries = Vec::new();
    let mut halves = |step: u32| {
        let eps = f64::from(step) / f64::from(GRID);
        let correct = correct(eps)?;
        tries.push(Try { eps, correct });
        Ok(2 * correct <= correct_clean)
    };
    if !halves(GRID)? {
        let text = format!("eps: even ε = 1 leaves more than half of {correct_clean} right images right");
        return Err(Error::Failed(format!("{text}; give a number instead of auto")));
    }
    // `below` does not halve (0 leaves everything as it is), `eps` does.
    let (mut below, mut eps) = (0, GRID);
    while eps - below > 1 {
        let middle = below + (eps - below) / 2;
        if halves(middle)? { eps = middle } else { below = middle }
    }
    Ok(Halving { eps: f64::from(eps) / f64::from(GRID), grid: GRID, images, correct_clean, tries })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of images that are right at an ε, when image i falls at its own ε.
    fn model(falls_at: &[u32]) -> impl Fn(f64) -> Result<usize> {
        move |eps| Ok(falls_at.iter().filter(|&&at| f64::from(at) > eps * f64::from(GRID) + 1e-9).count())
    }

    #[test]
    fn the_smallest_that_halves_is_found() {
        for median in [1, 2, 3, 7, 32, 100, 511, 512, 513, 1000, GRID] {
            // Four of nine fall before, the fifth at the median: with it, four of nine are left.
            let falls_at = [1, 1, 1, 1, median, GRID + 1, GRID + 1, GRID + 1, GRID + 1];
            let found = halving(12, 9, model(&falls_at)).unwrap();
            assert_eq!(found.eps, f64::from(median) / f64::from(GRID), "{median}");
            assert!(found.tries.len() <= 12, "{}", found.tries.len());
            assert_eq!((found.images, found.correct_clean), (12, 9));
            let tried = |step: u32| found.tries.iter().find(|t| t.eps == f64::from(step) / f64::from(GRID));
            assert!(tried(median).is_some_and(|t| t.correct == 4), "{median}");
            assert!(median == 1 || tried(median - 1).is_some_and(|t| t.correct == 5), "{median}");
        }
    }

    #[test]
    fn what_cannot_be_halved_is_told() {
        let error = halving(5, 0, |_| panic!("nothing to try")).unwrap_err();
        assert!(error.to_string().contains("none of 5 clean images"), "{error}");
        let error = halving(4, 4, |_| Ok(3)).unwrap_err();
        assert!(error.to_string().contains("even ε = 1 leaves more than half of 4"), "{error}");
        let error = halving(4, 4, |_| Err(Error::Device("gone".into()))).unwrap_err();
        assert_eq!(error.exit_code(), 4);
    }
}
