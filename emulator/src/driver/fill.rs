//! Memory that is set to a value.

use super::capture;
use super::context::Context;
use super::device::driver;
use super::error::{Code, Result};
use super::memory::device_of;
use super::operation::Operation;
use super::stream::Stream;
use super::sys::{DevicePointer, Handle, MemsetParams};

/// `height` rows of `width` elements.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    pub address: u64,
    /// Bytes from row to row.
    pub pitch: u64,
    pub value: u32,
    /// Bytes of an element: 1, 2 or 4.
    pub element: u32,
    pub width: u64,
    pub height: u64,
}

impl Fill {
    pub fn from_params(p: &MemsetParams) -> Result<Fill> {
        let fill = Fill {
            address: p.dst,
            pitch: p.pitch as u64,
            value: p.value,
            element: p.element_size,
            width: p.width as u64,
            height: p.height as u64,
        };
        fill.row_bytes()?;
        Ok(fill)
    }

    pub fn params(self) -> MemsetParams {
        MemsetParams {
            dst: self.address,
            pitch: self.pitch as usize,
            value: self.value,
            element_size: self.element,
            width: self.width as usize,
            height: self.height as usize,
        }
    }

    fn row_bytes(&self) -> Result<u64> {
        let row = self.width.checked_mul(u64::from(self.element));
        match row {
            _ if ![1, 2, 4].contains(&self.element)
                || !self.address.is_multiple_of(u64::from(self.element)) =>
            {
                let (element, address) = (self.element, self.address);
                Err(Code::INVALID_VALUE.because(format!("elements of {element} bytes at {address:#x}")))
            }
            Some(row) if self.height <= 1 || row <= self.pitch => Ok(row),
            _ => Err(Code::INVALID_VALUE.because("a row is longer than the pitch")),
        }
    }

    /// Does it.
    pub fn run(&self) -> Result {
        let driver = driver()?;
        let row = self.row_bytes()?;
        if row == 0 {
            return Ok(());
        }
        let pattern = &self.value.to_le_bytes()[..self.element as usize];
        for y in 0..self.height {
            let address = y.checked_mul(self.pitch).and_then(|offset| self.address.checked_add(offset));
            let filled = address.is_some_and(|address| {
                device_of(driver, address).is_some_and(|d| d.machine.memory().fill(address, row, pattern))
            });
            if !filled {
                let detail =
                    format!("{row} bytes in row {y} from {:#x} do not lie in one allocation", self.address);
                return Err(Code::INVALID_VALUE.because(detail));
            }
        }
        Ok(())
    }
}

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
