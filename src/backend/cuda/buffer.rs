//! Memory of the device.

use super::context::Context;
use crate::error::Result;
use bytemuck::Pod;
use cudarc::driver::result;
use std::sync::Arc;

/// Some bytes of device memory, freed when dropped. After a failure it has no memory, and nothing is done with it.
pub struct Buffer {
    context: Arc<Context>,
    address: u64,
    bytes: usize,
}

impl Buffer {
    /// `bytes` of unspecified content.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Buffer {
        // An address is wanted even where nothing is stored.
        let size = bytes.max(1);
        let address = context.attempt(format_args!("allocating {bytes} bytes"), || {
            if context.async_memory() {
                // SAFETY: the size is not zero.
                unsafe { result::malloc_async(context.stream().cu_stream(), size) }
            } else {
                // SAFETY: the size is not zero.
                unsafe { result::malloc_sync(size) }
            }
        });
        Buffer { context: context.clone(), address: address.unwrap_or(0), bytes }
    }

    /// `bytes` zeros.
    pub fn zeros(context: &Arc<Context>, bytes: usize) -> Buffer {
        let mut buffer = Buffer::new(context, bytes);
        buffer.zero();
        buffer
    }

    /// Memory that holds `data`.
    pub fn of<T: Pod>(context: &Arc<Context>, data: &[T]) -> Buffer {
        let mut buffer = Buffer::new(context, size_of_val(data));
        buffer.write(data);
        buffer
    }

    /// Its address on the device; 0 after a failure.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets every byte to zero.
    pub fn zero(&mut self) {
        let (address, bytes) = (self.address, self.bytes);
        if bytes > 0 {
            let stream = self.context.stream().cu_stream();
            // SAFETY: the buffer has that many bytes.
            self.context.attempt("zeroing", || unsafe { result::memset_d8_async(address, 0, bytes, stream) });
        }
    }

    /// Overwrites it with `data` of its size, which is read before this returns.
    ///
    /// # Panics
    /// Where the size differs: sizes follow from shapes, not from users.
    pub fn write<T: Pod>(&mut self, data: &[T]) {
        assert_eq!(size_of_val(data), self.bytes, "bytes of a buffer");
        if !data.is_empty() {
            let (address, stream) = (self.address, self.context.stream());
            self.context.attempt("copying to the device", || {
                // SAFETY: the buffer has as many bytes as the data, which is kept until the copy is done.
                unsafe { result::memcpy_htod_async(address, data, stream.cu_stream()) }?;
                stream.synchronize()
            });
        }
    }

    /// Overwrites it with another of its size.
    ///
    /// # Panics
    /// As [`Buffer::write`].
    pub fn copy_from(&mut self, other: &Buffer) {
        assert_eq!(other.bytes, self.bytes, "bytes of a buffer");
        if self.bytes > 0 {
            let stream = self.context.stream().cu_stream();
            let copy = || {
                // SAFETY: both have that many bytes, and are freed, in the stream's order, after this.
                unsafe { result::memcpy_dtod_async(self.address, other.address, self.bytes, stream) }
            };
            self.context.attempt("copying on the device", copy);
        }
    }

    /// What it holds, after everything that was begun before.
    ///
    /// # Errors
    /// The first failure on the device.
    ///
    /// # Panics
    /// Where the size is no multiple of that of `T`.
    pub fn read<T: Pod>(&self) -> Result<Vec<T>> {
        assert!(self.bytes.is_multiple_of(size_of::<T>()), "whole elements");
        let mut data = vec![T::zeroed(); self.bytes / size_of::<T>()];
        if !data.is_empty() {
            let stream = self.context.stream();
            self.context.attempt("copying to the host", || {
                // SAFETY: the vector has as many bytes as the buffer, and is kept until the copy is done.
                unsafe { result::memcpy_dtoh_async(&mut data, self.address, stream.cu_stream()) }?;
                stream.synchronize()
            });
        }
        self.context.check()?;
        Ok(data)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.address == 0 {
            return;
        }
        let (address, context) = (self.address, &self.context);
        context.always("freeing memory", || {
            if context.async_memory() {
                // SAFETY: allocated here, freed once, after all work that was begun before.
                unsafe { result::free_async(address, context.stream().cu_stream()) }
            } else {
                // SAFETY: as above; this call waits for the work.
                unsafe { result::free_sync(address) }
            }
        });
    }
}
