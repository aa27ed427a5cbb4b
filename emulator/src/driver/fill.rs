//! The functions that set memory.

use super::error::Result;
use super::objects::capture;
use super::objects::context::Context;
use super::objects::fill::Fill;
use super::objects::operation::Operation;
use super::objects::stream::Stream;
use super::sys::{DevicePointer, Handle};

fn linear(address: u64, value: u32, element: u32, count: usize) -> Fill {
    Fill { address, pitch: 0, value, element, width: count as u64, height: 1 }
}

fn rows(address: u64, pitch: usize, value: u32, element: u32, [width, height]: [usize; 2]) -> Fill {
    Fill { address, pitch: pitch as u64, value, element, width: width as u64, height: height as u64 }
}

fn synchronous(fill: Fill) -> Result {
    fill.row_bytes()?;
    Context::current()?;
    capture::forbid_unsafe_call()?;
    Stream::resolve(0)?.submit(Operation::Fill(fill))
}

fn asynchronous(fill: Fill, stream: Handle) -> Result {
    fill.row_bytes()?;
    Stream::resolve(stream)?.submit(Operation::Fill(fill))
}

api! {
    per_thread cuMemsetD8_v2_ptds
    fn cuMemsetD8_v2(address: DevicePointer, value: u8, count: usize) {
        synchronous(linear(address, value.into(), 1, count))
    }

    per_thread cuMemsetD16_v2_ptds
    fn cuMemsetD16_v2(address: DevicePointer, value: u16, count: usize) {
        synchronous(linear(address, value.into(), 2, count))
    }

    per_thread cuMemsetD32_v2_ptds
    fn cuMemsetD32_v2(address: DevicePointer, value: u32, count: usize) {
        synchronous(linear(address, value, 4, count))
    }

    per_thread cuMemsetD8Async_ptsz
    fn cuMemsetD8Async(address: DevicePointer, value: u8, count: usize, stream: Handle) {
        asynchronous(linear(address, value.into(), 1, count), stream)
    }

    per_thread cuMemsetD16Async_ptsz
    fn cuMemsetD16Async(address: DevicePointer, value: u16, count: usize, stream: Handle) {
        asynchronous(linear(address, value.into(), 2, count), stream)
    }

    per_thread cuMemsetD32Async_ptsz
    fn cuMemsetD32Async(address: DevicePointer, value: u32, count: usize, stream: Handle) {
        asynchronous(linear(address, value, 4, count), stream)
    }

    per_thread cuMemsetD2D8_v2_ptds
    fn cuMemsetD2D8_v2(
        address: DevicePointer,
        pitch: usize,
        value: u8,
        width: usize,
        height: usize,
    ) {
        synchronous(rows(address, pitch, value.into(), 1, [width, height]))
    }

    per_thread cuMemsetD2D16_v2_ptds
    fn cuMemsetD2D16_v2(
        address: DevicePointer,
        pitch: usize,
        value: u16,
        width: usize,
        height: usize,
    ) {
        synchronous(rows(address, pitch, value.into(), 2, [width, height]))
    }

    per_thread cuMemsetD2D32_v2_ptds
    fn cuMemsetD2D32_v2(
        address: DevicePointer,
        pitch: usize,
        value: u32,
        width: usize,
        height: usize,
    ) {
        synchronous(rows(address, pitch, value, 4, [width, height]))
    }

    per_thread cuMemsetD2D8Async_ptsz
    fn cuMemsetD2D8Async(
        address: DevicePointer,
        pitch: usize,
        value: u8,
        width: usize,
        height: usize,
        stream: Handle,
    ) {
        asynchronous(rows(address, pitch, value.into(), 1, [width, height]), stream)
    }

    per_thread cuMemsetD2D16Async_ptsz
    fn cuMemsetD2D16Async(
        address: DevicePointer,
        pitch: usize,
        value: u16,
        width: usize,
        height: usize,
        stream: Handle,
    ) {
        asynchronous(rows(address, pitch, value.into(), 2, [width, height]), stream)
    }

    per_thread cuMemsetD2D32Async_ptsz
    fn cuMemsetD2D32Async(
        address: DevicePointer,
        pitch: usize,
        value: u32,
        width: usize,
        height: usize,
        stream: Handle,
    ) {
        asynchronous(rows(address, pitch, value, 4, [width, height]), stream)
    }
}
