//! Copies: of bytes, rows and boxes, between host and devices.

use crate::driver::device::{Driver, driver};
use crate::driver::error::{Code, Failure, Result};
use crate::driver::host;
use crate::driver::sys::{Memcpy2d, Memcpy3d};

/// Where one side of a copy lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Host,
    Device,
    /// Wherever the address belongs.
    Unified,
}

/// One side of a copy.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    pub place: Place,
    pub address: u64,
    /// Bytes from row to row, and from slice to slice.
    pub pitch: u64,
    pub slice: u64,
}

/// A copy of `depth` slices of `height` rows of `width` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    pub to: Side,
    pub from: Side,
    pub width: u64,
    pub height: u64,
    pub depth: u64,
}

/// Bytes that are under way at once between host and device.
const STAGE: u64 = 1 << 20;

impl Copy {
    /// Consecutive bytes.
    pub fn linear(to: (Place, u64), from: (Place, u64), bytes: usize) -> Copy {
        let side = |(place, address)| Side { place, address, pitch: 0, slice: 0 };
        Copy { to: side(to), from: side(from), width: bytes as u64, height: 1, depth: 1 }
    }

    /// As a `CUDA_MEMCPY2D` describes it.
    pub fn from_2d(p: &Memcpy2d) -> Result<Copy> {
        let [x, y] = [p.src_x, p.src_y];
        let extent = [p.width as u64, p.height as u64, 1];
        let from = side(p.src_type, [p.src_host, p.src_device], [x, y, 0], [p.src_pitch, 0], extent)?;
        let [x, y] = [p.dst_x, p.dst_y];
        let to = side(p.dst_type, [p.dst_host, p.dst_device], [x, y, 0], [p.dst_pitch, 0], extent)?;
        Ok(Copy { to, from, width: extent[0], height: extent[1], depth: 1 })
    }

    /// As a `CUDA_MEMCPY3D` describes it.
    pub fn from_3d(p: &Memcpy3d) -> Result<Copy> {
        if p.src_lod != 0 || p.dst_lod != 0 || p.reserved0 != 0 || p.reserved1 != 0 {
            return Err(Code::INVALID_VALUE.because("levels of detail and reserved fields must be 0"));
        }
        let extent = [p.width, p.height, p.depth].map(|n| n as u64);
        let from = side(
            p.src_type,
            [p.src_host, p.src_device],
            [p.src_x, p.src_y, p.src_z],
            [p.src_pitch, p.src_height],
            extent,
        )?;
        let to = side(
            p.dst_type,
            [p.dst_host, p.dst_device],
            [p.dst_x, p.dst_y, p.dst_z],
            [p.dst_pitch, p.dst_height],
            extent,
        )?;
        let [width, height, depth] = extent;
        Ok(Copy { to, from, width, height, depth })
    }

    /// The structure that describes it.
    pub fn to_3d(self) -> Memcpy3d {
        let kind = |side: Side| match side.place {
            Place::Host => 1,
            Place::Device => 2,
            Place::Unified => 4,
        };
        let host = |side: Side| if side.place == Place::Host { side.address } else { 0 };
        let device = |side: Side| if side.place == Place::Host { 0 } else { side.address };
        let rows = |side: Side| side.slice.checked_div(side.pitch).unwrap_or(0) as usize;
        Memcpy3d {
            src_x: 0,
            src_y: 0,
            src_z: 0,
            src_lod: 0,
            src_type: kind(self.from),
            src_host: host(self.from),
            src_device: device(self.from),
            src_array: 0,
            reserved0: 0,
            src_pitch: self.from.pitch as usize,
            src_height: rows(self.from),
            dst_x: 0,
            dst_y: 0,
            dst_z: 0,
            dst_lod: 0,
            dst_type: kind(self.to),
            dst_host: host(self.to),
            dst_device: device(self.to),
            dst_array: 0,
            reserved1: 0,
            dst_pitch: self.to.pitch as usize,
            dst_height: rows(self.to),
            width: self.width as usize,
            height: self.height as usize,
            depth: self.depth as usize,
        }
    }

    /// Does it.
    pub fn run(&self) -> Result {
        let driver = driver()?;
        if self.width == 0 || self.height == 0 || self.depth == 0 {
            return Ok(());
        }
        for z in 0..self.depth {
            for y in 0..self.height {
                let at = |side: &Side| {
                    let offset = z.checked_mul(side.slice)?.checked_add(y.checked_mul(side.pitch)?)?;
                    side.address.checked_add(offset)
                };
                let (Some(to), Some(from)) = (at(&self.to), at(&self.from)) else {
                    return Err(Code::INVALID_VALUE.because("an address beyond 64 bits"));
                };
                transfer(driver, (self.to.place, to), (self.from.place, from), self.width)?;
            }
        }
        Ok(())
    }
}

/// Checks one side of a copy of boxes, and folds its offsets into the address.
fn side(
    kind: i32,
    [host, device]: [u64; 2],
    [x, y, z]: [usize; 3],
    [pitch, rows]: [usize; 2],
    extent: [u64; 3],
) -> Result<Side> {
    let (place, base) = match kind {
        1 => (Place::Host, host),
        2 => (Place::Device, device),
        4 => (Place::Unified, device),
        3 => return Err(Code::NOT_SUPPORTED.because("arrays are not supported")),
        _ => return Err(Code::INVALID_VALUE.because(format!("there is no memory of type {kind}"))),
    };
    let [width, height, depth] = extent;
    let invalid = |what: &str| Code::INVALID_VALUE.because(what.to_string());
    let pitch = if pitch == 0 && height <= 1 { width + x as u64 } else { pitch as u64 };
    let pitch = if pitch == 0 { width } else { pitch };
    if pitch < width.saturating_add(x as u64) {
        return Err(invalid("a row is longer than the pitch"));
    }
    let rows = if rows == 0 { height.saturating_add(y as u64) } else { rows as u64 };
    if depth > 1 && rows < height.saturating_add(y as u64) {
        return Err(invalid("a slice is higher than the pitch of slices"));
    }
    let slice = pitch.checked_mul(rows).ok_or_else(|| invalid("the size of a slice does not fit"))?;
    let offset = (z as u64).checked_mul(slice).and_then(|o| o.checked_add((y as u64).checked_mul(pitch)?));
    let address = offset.and_then(|o| base.checked_add(o)?.checked_add(x as u64));
    let address = address.ok_or_else(|| invalid("an address beyond 64 bits"))?;
    Ok(Side { place, address, pitch, slice })
}

/// Copies consecutive bytes.
fn transfer(driver: &Driver, to: (Place, u64), from: (Place, u64), bytes: u64) -> Result {
    // Page-locked and managed memory lies among the devices' memory: a host address may be one of theirs.
    let memory = |(place, address): (Place, u64)| {
        let owner = driver.devices.iter().map(|d| d.machine.memory()).find(|m| m.owns(address));
        match owner {
            Some(memory) if memory.contains(address, bytes) => Ok(Some(memory)),
            None if place != Place::Device => Ok(None),
            _ => Err(outside(address, bytes)),
        }
    };
    let (target, source) = (memory(to)?, memory(from)?);
    if let (Some(target), Some(source)) = (target, source)
        && std::ptr::eq(target, source)
    {
        return if target.copy(to.1, from.1, bytes) { Ok(()) } else { Err(outside(to.1, bytes)) };
    }
    let mut stage = vec![0; bytes.min(STAGE) as usize];
    let mut done = 0;
    while done < bytes {
        let piece = &mut stage[..(bytes - done).min(STAGE) as usize];
        match source {
            Some(memory) if memory.read(from.1 + done, piece) => {}
            Some(_) => return Err(outside(from.1, bytes)),
            None => host::read(from.1.wrapping_add(done), piece)?,
        }
        match target {
            Some(memory) if memory.write(to.1 + done, piece) => {}
            Some(_) => return Err(outside(to.1, bytes)),
            None => host::write(to.1.wrapping_add(done), piece)?,
        }
        done += piece.len() as u64;
    }
    Ok(())
}

fn outside(address: u64, bytes: u64) -> Failure {
    Code::INVALID_VALUE
        .because(format!("{bytes} bytes at {address:#x} do not lie in one allocation of a device"))
}
