//! Comparing numbers: tolerance = absolute + relative · |expected|, and failures that say where and by how much.

use std::fmt::{self, Display};

/// How far a value may be from the expected one: `absolute + relative * |expected|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The part that does not depend on the value.
    pub absolute: f64,
    /// The part that grows with the expected value's size.
    pub relative: f64,
}

impl Tolerance {
    /// `absolute + relative * |expected|`.
    pub const fn new(absolute: f64, relative: f64) -> Self {
        Tolerance { absolute, relative }
    }

    /// For sums in f32: `units` roundings of numbers whose largest has size `scale`, anywhere in the tensor.
    ///
    /// Every element gets the same allowance, since a small result may be the difference of large terms.
    pub fn f32_roundings(units: f64, scale: f64) -> Self {
        Tolerance::new(units * f64::from(f32::EPSILON) * scale, 0.0)
    }

    /// With so much more, whatever the value.
    pub fn plus(self, absolute: f64) -> Self {
        Tolerance { absolute: self.absolute + absolute, ..self }
    }

    fn limit(&self, expected: f64) -> f64 {
        self.absolute + self.relative * expected.abs()
    }
}

/// One element that is too far off.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Position of the worst element (largest excess over its limit) in row-major order.
    pub index: usize,
    /// The value under test.
    pub actual: f64,
    /// The value it should have.
    pub expected: f64,
    /// How far off it may be.
    pub limit: f64,
    /// How many elements are beyond their limit.
    pub count: usize,
    /// How many were compared.
    pub total: usize,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} elements are off; the worst at {}: {:e}, expected {:e}, difference {:e}, limit {:e}",
            self.count,
            self.total,
            self.index,
            self.actual,
            self.expected,
            (self.actual - self.expected).abs(),
            self.limit
        )
    }
}

/// Compares element by element; NaN is never close to anything.
///
/// # Panics
/// If the lengths differ.
pub fn compare<A, E>(actual: &[A], expected: &[E], tolerance: Tolerance) -> Result<(), Mismatch>
where
    A: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    assert_eq!(actual.len(), expected.len(), "tensors of different length");
    let mut worst: Option<(f64, Mismatch)> = None;
    let mut count = 0;
    for (index, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let (actual, expected) = (a.into(), e.into());
        let limit = tolerance.limit(expected);
        let excess = (actual - expected).abs() - limit;
        if excess <= 0.0 {
            continue;
        }
        count += 1;
        let excess = if excess.is_nan() { f64::INFINITY } else { excess };
        if worst.as_ref().is_none_or(|(most, _)| excess > *most) {
            let mismatch = Mismatch { index, actual, expected, limit, count: 0, total: 0 };
            worst = Some((excess, mismatch));
        }
    }
    match worst {
        None => Ok(()),
        Some((_, mismatch)) => Err(Mismatch { count, total: actual.len(), ..mismatch }),
    }
}

/// [`compare`] for tests.
///
/// # Panics
/// With `what`, the worst element, both values and the limit if any element is off.
#[track_caller]
pub fn assert_close<A, E>(what: impl Display, actual: &[A], expected: &[E], tolerance: Tolerance)
where
    A: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    if let Err(mismatch) = compare(actual, expected, tolerance) {
        panic!("{what}: {mismatch}");
    }
}
