//! What every kernel of this backend checks before it turns to raw pointers.

use super::layout::Layout;
use super::simd::{self, Kernel, Level};
use super::value::Source;
use std::sync::OnceLock;

/// Runs a kernel compiled for `level`; panics if the machine lacks it.
///
/// # Safety
/// The kernel's own conditions hold.
pub(super) unsafe fn launch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
    assert!(LEVELS.get_or_init(Level::available).contains(&level), "this machine lacks {level:?}");
    // SAFETY: the machine has the level, and the caller promises the rest.
    unsafe { simd::dispatch(level, kernel) }
}

/// Checks that a value lies inside its buffer, and that kernels know the number of lanes.
pub(super) fn check(x: &Source) {
    let Layout { c, pixel, offset, step, lanes, .. } = x.layout;
    assert!(matches!(lanes, 16 | 32 | 48 | 64), "{lanes} lanes");
    assert!(c == 0 || offset + (c - 1) * step < pixel, "layout of a source: {:?}", x.layout);
    assert!(x.layout.buffer_len() <= x.data.len(), "{} floats for {:?}", x.data.len(), x.layout);
}

/// Checks that two values have the same map, channels and lanes.
pub(super) fn same_shape(a: Layout, b: Layout) {
    assert_eq!((a.h, a.w, a.c, a.lanes), (b.h, b.w, b.c, b.lanes), "shapes (h, w, c, lanes)");
}

/// For each vector of 16 lanes, the bits of those that hold one of the `images` first images.
pub(super) fn valid_bits(images: usize, lanes: usize) -> [u16; 4] {
    assert!(images <= lanes, "{images} images in {lanes} lanes");
    std::array::from_fn(|v| ((1u32 << images.saturating_sub(16 * v).min(16)) - 1) as u16)
}

/// Calls `$f::<I, NV, ..>` with the number of vectors per row as a constant.
macro_rules! per_width {
    ($lanes:expr, $isa:ident, $f:path, $($arg:expr),*) => {{
        use $f as per_width_f;
        match $lanes / 16 {
            1 => per_width_f::<$isa, 1>($($arg),*),
            2 => per_width_f::<$isa, 2>($($arg),*),
            3 => per_width_f::<$isa, 3>($($arg),*),
            _ => per_width_f::<$isa, 4>($($arg),*),
        }
    }};
}
pub(super) use per_width;
