//! The structures that kernels take as parameters: each the mirror of one in `kernels/*.cuh`.

use crate::filter;
use crate::graph::place;
use bytemuck::{Pod, Zeroable};

/// Where a value lies; `Place` of kernels/common.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Place {
    pub h: u32,
    pub w: u32,
    pub c: u32,
    pub pixel: u32,
    pub offset: u32,
    pub step: u32,
}

/// What happens to a result; `Then` of kernels/common.cuh. Addresses are those of the device, 0 for none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Then {
    pub scale: u64,
    pub shift: u64,
    pub add: u64,
    pub bits: u64,
    pub add_place: Place,
    pub sign: u8,
    pub accumulate: u8,
    pub capped: u8,
    pub unused: u8,
    pub below: f32,
}

/// What a variant keeps; `Mask` of kernels/mask.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Mask {
    pub lo: f32,
    pub hi: f32,
    pub keep_inside: u32,
}

/// How a convolution's working weights lie; `Working` of kernels/weights.cuh.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Working {
    pub form: u32,
    pub k: u32,
    pub c: u32,
    pub s: u32,
    pub outputs: u32,
    pub chunks: u32,
    pub taps: u32,
    pub stride: u32,
    pub pad: u32,
    pub residues: u32,
    pub first: i32,
    pub side: u32,
}

const _: () = assert!(size_of::<Working>() == 48);
const _: () = assert!(size_of::<Place>() == 24 && size_of::<Then>() == 64 && size_of::<Mask>() == 12);

impl From<filter::Mask> for Mask {
    fn from(mask: filter::Mask) -> Self {
        Mask { lo: mask.lo, hi: mask.hi, keep_inside: u32::from(mask.keep_inside) }
    }
}

/// `value` as the kernels count.
///
/// # Panics
/// Where it does not fit: sizes of networks were checked when they were built.
pub fn size(value: usize) -> u32 {
    u32::try_from(value).expect("a size that kernels can count")
}

impl From<place::Place> for Place {
    fn from(at: place::Place) -> Self {
        let place::Place { h, w, c, pixel, offset, step } = at;
        Place {
            h: size(h),
            w: size(w),
            c: size(c),
            pixel: size(pixel),
            offset: size(offset),
            step: size(step),
        }
    }
}
