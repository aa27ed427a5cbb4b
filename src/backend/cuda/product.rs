//! Products of two values: kernels/product.cu.

use super::abi::{self, size};
use super::context::Context;
use super::format::Format;
use super::value::{Count, View, instance, over_rows, rows};
use bytemuck::{Pod, Zeroable};

/// `Product` of kernels/product.cu.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Product {
    x: u64,
    factor: u64,
    y: u64,
    x_at: abi::Place,
    factor_at: abi::Place,
    to: abi::Place,
    slabs: u32,
    unused: u32,
    then: abi::Then,
}

const _: () = assert!(size_of::<Product>() == 168);

/// What is made of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A value of their own.
    Elements,
    /// Their sum over the map.
    Map,
}

/// y = then(x·factor), or then(Σ x·factor).
///
/// # Safety
/// The addresses are those of buffers of `count` images as the places and `then` say.
pub unsafe fn product<T: Format>(
    context: &Context,
    count: Count,
    of: Of,
    [x, factor]: [View; 2],
    y: View,
    then: abi::Then,
) {
    let parameters = Product {
        x: x.address,
        factor: factor.address,
        y: y.address,
        x_at: x.place.into(),
        factor_at: factor.place.into(),
        to: y.place.into(),
        slabs: size(count.slabs),
        unused: 0,
        then,
    };
    let kernel = match of {
        Of::Elements => "product",
        Of::Map => "product_sum",
    };
    let Some(grid) = over_rows::<T>(context, rows(y.place, count)) else { return };
    // SAFETY: the structure is the kernel's; its addresses are as the caller promises.
    unsafe { context.launch("product", &instance::<T>(kernel), grid, &parameters) };
}
