//! Memory that is set to a value.

use crate::driver::device::driver;
use crate::driver::error::{Code, Result};
use crate::driver::sys::MemsetParams;

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

    /// Bytes of a row; an error if elements or rows cannot be.
    pub fn row_bytes(&self) -> Result<u64> {
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
                driver.device_of(address).is_some_and(|d| d.machine.memory().fill(address, row, pattern))
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
