//! Synaptic filters: which weights a variant keeps.

/// Keeps a weight `w` exactly when `(lo <= w && w < hi) == keep_inside`; a dropped weight is +0.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// Lower bound, inclusive.
    pub lo: f32,
    /// Upper bound, exclusive.
    pub hi: f32,
    /// Whether the weights inside the interval are the kept ones.
    pub keep_inside: bool,
}

impl Mask {
    /// Keeps every weight.
    pub const ALL: Mask = Mask { lo: f32::NEG_INFINITY, hi: f32::INFINITY, keep_inside: true };

    /// Whether `w` is kept.
    #[inline(always)]
    pub fn keeps(self, w: f32) -> bool {
        (self.lo <= w && w < self.hi) == self.keep_inside
    }
}
