//! The functions that copy.

use super::error::Result;
use super::objects::capture;
use super::objects::context::Context;
use super::objects::copy::Copy;
use super::objects::copy::Place::{Device, Host, Unified};
use super::objects::operation::Operation;
use super::objects::stream::Stream;
use super::sys::{DevicePointer, Handle, In, Memcpy2d, Memcpy3d};

/// A copy that is complete, and tells of faults, when the call returns.
fn synchronous(copy: Copy) -> Result {
    let context = Context::current()?;
    capture::forbid_unsafe_call()?;
    context.synchronize()?;
    Stream::resolve(0)?.submit(Operation::Copy(copy))
}

fn asynchronous(copy: Copy, stream: Handle) -> Result {
    Stream::resolve(stream)?.submit(Operation::Copy(copy))
}

api! {
    per_thread cuMemcpy_ptds
    fn cuMemcpy(to: DevicePointer, from: DevicePointer, bytes: usize) {
        synchronous(Copy::linear((Unified, to), (Unified, from), bytes))
    }

    per_thread cuMemcpyAsync_ptsz
    fn cuMemcpyAsync(to: DevicePointer, from: DevicePointer, bytes: usize, stream: Handle) {
        asynchronous(Copy::linear((Unified, to), (Unified, from), bytes), stream)
    }

    per_thread cuMemcpyPeer_ptds
    fn cuMemcpyPeer(
        to: DevicePointer,
        to_context: Handle,
        from: DevicePointer,
        from_context: Handle,
        bytes: usize,
    ) {
        Context::by_handle(to_context)?;
        Context::by_handle(from_context)?;
        synchronous(Copy::linear((Device, to), (Device, from), bytes))
    }

    per_thread cuMemcpyPeerAsync_ptsz
    fn cuMemcpyPeerAsync(
        to: DevicePointer,
        to_context: Handle,
        from: DevicePointer,
        from_context: Handle,
        bytes: usize,
        stream: Handle,
    ) {
        Context::by_handle(to_context)?;
        Context::by_handle(from_context)?;
        asynchronous(Copy::linear((Device, to), (Device, from), bytes), stream)
    }

    per_thread cuMemcpyHtoD_v2_ptds
    fn cuMemcpyHtoD_v2(to: DevicePointer, from: u64, bytes: usize) {
        synchronous(Copy::linear((Device, to), (Host, from), bytes))
    }

    per_thread cuMemcpyHtoDAsync_v2_ptsz
    fn cuMemcpyHtoDAsync_v2(
        to: DevicePointer,
        from: u64,
        bytes: usize,
        stream: Handle,
    ) {
        asynchronous(Copy::linear((Device, to), (Host, from), bytes), stream)
    }

    per_thread cuMemcpyDtoH_v2_ptds
    fn cuMemcpyDtoH_v2(to: u64, from: DevicePointer, bytes: usize) {
        synchronous(Copy::linear((Host, to), (Device, from), bytes))
    }

    per_thread cuMemcpyDtoHAsync_v2_ptsz
    fn cuMemcpyDtoHAsync_v2(
        to: u64,
        from: DevicePointer,
        bytes: usize,
        stream: Handle,
    ) {
        asynchronous(Copy::linear((Host, to), (Device, from), bytes), stream)
    }

    per_thread cuMemcpyDtoD_v2_ptds
    fn cuMemcpyDtoD_v2(to: DevicePointer, from: DevicePointer, bytes: usize) {
        synchronous(Copy::linear((Device, to), (Device, from), bytes))
    }

    per_thread cuMemcpyDtoDAsync_v2_ptsz
    fn cuMemcpyDtoDAsync_v2(
        to: DevicePointer,
        from: DevicePointer,
        bytes: usize,
        stream: Handle,
    ) {
        asynchronous(Copy::linear((Device, to), (Device, from), bytes), stream)
    }

    per_thread cuMemcpy2D_v2_ptds
    fn cuMemcpy2D_v2(parameters: In<Memcpy2d>) {
        synchronous(Copy::from_2d(&parameters.get()?)?)
    }

    per_thread cuMemcpy2DUnaligned_v2_ptds
    fn cuMemcpy2DUnaligned_v2(parameters: In<Memcpy2d>) {
        synchronous(Copy::from_2d(&parameters.get()?)?)
    }

    per_thread cuMemcpy2DAsync_v2_ptsz
    fn cuMemcpy2DAsync_v2(parameters: In<Memcpy2d>, stream: Handle) {
        asynchronous(Copy::from_2d(&parameters.get()?)?, stream)
    }

    per_thread cuMemcpy3D_v2_ptds
    fn cuMemcpy3D_v2(parameters: In<Memcpy3d>) {
        synchronous(Copy::from_3d(&parameters.get()?)?)
    }

    per_thread cuMemcpy3DAsync_v2_ptsz
    fn cuMemcpy3DAsync_v2(parameters: In<Memcpy3d>, stream: Handle) {
        asynchronous(Copy::from_3d(&parameters.get()?)?, stream)
    }
}
