//! What a program hands over as code: PTX text, alone or in a fat binary; machine code is refused.

use super::error::{Code, Failure, Result};
use super::host;

/// Between the texts of a linked image: a comment, so that a single text is an image as it stands.
pub const SEPARATOR: &str = "\n// -- cuda-emulator: next module --\n";

/// What a linked image begins with if registers were limited; a number and the end of the line follow.
pub const REGISTERS: &str = "// -- cuda-emulator: registers ";

/// Longest text that is read.
const MOST: usize = 1 << 30;
const PAGE: u64 = 4096;

const ELF: [u8; 4] = *b"\x7fELF";
/// Of `__fatBinC_Wrapper_t`, and of the fat binary that it points to.
const WRAPPER: [u8; 4] = 0x466243b1_u32.to_le_bytes();
const FAT_BINARY: [u8; 4] = 0xba55ed50_u32.to_le_bytes();
/// Kind of an entry that holds PTX; flags of one that is compressed (LZ4, Zstandard).
const PTX_ENTRY: u16 = 1;
const COMPRESSED: u64 = 0x2000 | 0x8000;

/// The PTX texts of the image at an address, whose length nobody knows.
pub fn at(address: u64) -> Result<Vec<String>> {
    let mut magic = [0; 4];
    host::read(address, &mut magic[..1])?;
    if magic[0] != 0 {
        // Text may be shorter than a magic number, and may end where mapped memory does.
        let _ = host::read(address, &mut magic);
    }
    match magic {
        ELF => Err(machine_code()),
        WRAPPER => {
            let mut wrapper = [0; 16];
            host::read(address, &mut wrapper)?;
            let inner = u64::from_le_bytes(field(&wrapper, 8)?);
            fat_binary(&fat_binary_at(inner)?)
        }
        FAT_BINARY => fat_binary(&fat_binary_at(address)?),
        _ => texts(&c_string(address)?),
    }
}

/// The PTX texts of an image of known length.
pub fn of(bytes: &[u8]) -> Result<Vec<String>> {
    match bytes.first_chunk::<4>() {
        Some(&ELF) => Err(machine_code()),
        Some(&FAT_BINARY) => fat_binary(bytes),
        Some(&WRAPPER) => {
            Err(Code::INVALID_IMAGE.because("a wrapper of a fat binary where a file was expected"))
        }
        _ => texts(bytes.split(|&b| b == 0).next().unwrap_or_default()),
    }
}

fn machine_code() -> Failure {
    Code::NO_BINARY_FOR_GPU.because("this is machine code (a cubin); the emulator runs PTX only")
}

fn texts(bytes: &[u8]) -> Result<Vec<String>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Code::INVALID_IMAGE.because("this is neither PTX nor a fat binary"));
    };
    if !text.contains(".version") {
        return Err(Code::INVALID_IMAGE.because("this is not PTX: there is no .version in it"));
    }
    Ok(text.split(SEPARATOR).map(str::to_string).collect())
}

/// The bytes up to the next zero, read page by page.
fn c_string(address: u64) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < MOST {
        let at = address.wrapping_add(text.len() as u64);
        let mut page = vec![0; (PAGE - at % PAGE) as usize];
        host::read(at, &mut page)?;
        if let Some(end) = page.iter().position(|&b| b == 0) {
            text.extend(&page[..end]);
            return Ok(text);
        }
        text.extend(page);
    }
    Err(Code::INVALID_IMAGE.because("text without an end"))
}

fn fat_binary_at(address: u64) -> Result<Vec<u8>> {
    let mut head = [0; 16];
    host::read(address, &mut head)?;
    if head[..4] != FAT_BINARY {
        return Err(Code::INVALID_IMAGE.because("the wrapper does not point to a fat binary"));
    }
    let (header, length) = (u16::from_le_bytes(field(&head, 6)?), u64::from_le_bytes(field(&head, 8)?));
    let total = length.saturating_add(header.into());
    if total > MOST as u64 {
        return Err(Code::INVALID_IMAGE.because("a fat binary of impossible length"));
    }
    let mut bytes = vec![0; total as usize];
    host::read(address, &mut bytes)?;
    Ok(bytes)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    found.copied().ok_or_else(|| Code::INVALID_IMAGE.because("a fat binary that ends too early"))
}

/// The PTX of a fat binary: the entry for the newest target.
fn fat_binary(bytes: &[u8]) -> Result<Vec<String>> {
    let mut at = u16::from_le_bytes(field(bytes, 6)?) as usize;
    let (mut best, mut compressed) = (None, false);
    while at < bytes.len() {
        let kind = u16::from_le_bytes(field(bytes, at)?);
        let header = u32::from_le_bytes(field(bytes, at + 4)?) as usize;
        let length = u64::from_le_bytes(field(bytes, at + 8)?) as usize;
        let target = u32::from_le_bytes(field(bytes, at + 28)?);
        let flags = u64::from_le_bytes(field(bytes, at + 40)?);
        let start = at.saturating_add(header);
        let end = start.saturating_add(length);
        let Some(payload) = bytes.get(start..end).filter(|_| end > at) else {
            return Err(Code::INVALID_IMAGE.because("a fat binary that ends too early"));
        };
        if kind == PTX_ENTRY && flags & COMPRESSED != 0 {
            compressed = true;
        } else if kind == PTX_ENTRY && best.is_none_or(|(t, _)| target > t) {
            best = Some((target, payload));
        }
        at = end;
    }
    match best {
        Some((_, payload)) => texts(payload.split(|&b| b == 0).next().unwrap_or_default()),
        None if compressed => Err(Code::NO_BINARY_FOR_GPU
            .because("the PTX of this fat binary is compressed; compile with -Xfatbin -compress-mode=none")),
        None => Err(Code::NO_BINARY_FOR_GPU.because("this fat binary holds no PTX")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u16, target: u32, flags: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 64];
        out[..2].copy_from_slice(&kind.to_le_bytes());
        out[4..8].copy_from_slice(&64u32.to_le_bytes());
        out[8..16].copy_from_slice(&(payload.len() as u64).to_le_bytes());
        out[28..32].copy_from_slice(&target.to_le_bytes());
        out[40..48].copy_from_slice(&flags.to_le_bytes());
        out.extend(payload);
        out
    }

    fn binary(entries: &[Vec<u8>]) -> Vec<u8> {
        let body = entries.concat();
        let mut out = FAT_BINARY.to_vec();
        out.extend(1u16.to_le_bytes());
        out.extend(16u16.to_le_bytes());
        out.extend((body.len() as u64).to_le_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn fat_binaries() {
        let (old, new) = (b".version 7.0 // old\0".as_slice(), b".version 8.0 // new\0\0\0".as_slice());
        let all = binary(&[entry(2, 80, 0, b"\x7fELF"), entry(1, 75, 0, old), entry(1, 80, 0, new)]);
        assert_eq!(of(&all).unwrap(), [".version 8.0 // new"]);
        assert_eq!(at(all.as_ptr() as u64).unwrap(), [".version 8.0 // new"]);
        let only_code = binary(&[entry(2, 80, 0, b"\x7fELF")]);
        assert_eq!(of(&only_code).unwrap_err().code, Code::NO_BINARY_FOR_GPU);
        let packed = of(&binary(&[entry(1, 80, 0x2000, b"zz")])).unwrap_err();
        assert!(packed.code == Code::NO_BINARY_FOR_GPU && packed.detail.unwrap().contains("compressed"));
        for length in 0..all.len() {
            let _ = of(&all[..length]); // no panic
        }
    }

    #[test]
    fn texts_and_other_things() {
        let linked = format!(".version 8.0 a{SEPARATOR}.version 8.0 b\0");
        assert_eq!(of(linked.as_bytes()).unwrap().len(), 2);
        assert_eq!(at(linked.as_ptr() as u64).unwrap().len(), 2);
        assert_eq!(of(b"\x7fELF\x02").unwrap_err().code, Code::NO_BINARY_FOR_GPU);
        assert_eq!(of(b"hello").unwrap_err().code, Code::INVALID_IMAGE);
        assert_eq!(of(b"").unwrap_err().code, Code::INVALID_IMAGE);
        assert_eq!(at(c"".as_ptr() as u64).unwrap_err().code, Code::INVALID_IMAGE);
        assert_eq!(at(8).unwrap_err().code, Code::INVALID_VALUE);
    }
}
