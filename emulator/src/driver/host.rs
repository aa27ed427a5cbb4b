//! Memory of the calling program: read and written through the kernel of the operating system, which refuses addresses
//! that are not mapped, where a plain copy would end the process.

use super::error::{Code, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set where the system forbids the call (a strict container): copies are plain ones from then on.
static PLAIN: AtomicBool = AtomicBool::new(false);

fn pieces(address: u64, bytes: usize) -> libc::iovec {
    libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes }
}

/// What a failed call means: whether to copy plainly instead.
fn must_copy_plainly() -> bool {
    let error = std::io::Error::last_os_error().raw_os_error();
    let forbidden = matches!(error, Some(libc::EPERM | libc::ENOSYS));
    if forbidden {
        PLAIN.store(true, Ordering::Relaxed);
    }
    forbidden
}

/// Copies from the program's memory.
pub fn read(address: u64, out: &mut [u8]) -> Result {
    let bytes = out.len();
    let unmapped = || {
        Code::INVALID_VALUE.because(format!("{bytes} bytes of host memory at {address:#x} cannot be read"))
    };
    if address == 0 && !out.is_empty() {
        return Err(unmapped());
    }
    let mut done = 0;
    while done < out.len() && !PLAIN.load(Ordering::Relaxed) {
        let local = pieces(out[done..].as_mut_ptr() as u64, out.len() - done);
        let remote = pieces(address.wrapping_add(done as u64), out.len() - done);
        // SAFETY: the local piece is the rest of `out`; the remote one is checked by the system.
        let copied = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
        match usize::try_from(copied) {
            Ok(n) if n > 0 => done += n,
            _ if must_copy_plainly() => {}
            _ => return Err(unmapped()),
        }
    }
    if done < out.len() {
        let from = address.wrapping_add(done as u64) as *const u8;
        let rest = &mut out[done..];
        // SAFETY: the system offers no check; the caller of the API promises that its buffer has so many bytes.
        unsafe { std::ptr::copy(from, rest.as_mut_ptr(), rest.len()) };
    }
    Ok(())
}

/// Copies to the program's memory.
pub fn write(address: u64, bytes: &[u8]) -> Result {
    let count = bytes.len();
    let unmapped = || {
        Code::INVALID_VALUE.because(format!("{count} bytes of host memory at {address:#x} cannot be written"))
    };
    if address == 0 && !bytes.is_empty() {
        return Err(unmapped());
    }
    let mut done = 0;
    while done < bytes.len() && !PLAIN.load(Ordering::Relaxed) {
        let local = pieces(bytes[done..].as_ptr() as u64, bytes.len() - done);
        let remote = pieces(address.wrapping_add(done as u64), bytes.len() - done);
        // SAFETY: the local piece is the rest of `bytes` and only read; the remote one is checked by the system.
        let copied = unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
        match usize::try_from(copied) {
            Ok(n) if n > 0 => done += n,
            _ if must_copy_plainly() => {}
            _ => return Err(unmapped()),
        }
    }
    if done < bytes.len() {
        let to = address.wrapping_add(done as u64) as *mut u8;
        let rest = &bytes[done..];
        // SAFETY: as in `read`.
        unsafe { std::ptr::copy(rest.as_ptr(), to, rest.len()) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_refuses() {
        let mut to = [0u8; 5];
        let from = [1u8, 2, 3, 4, 5];
        read(from.as_ptr() as u64, &mut to).unwrap();
        assert_eq!(to, from);
        write(to.as_mut_ptr() as u64, &[9, 8]).unwrap();
        assert_eq!(to, [9, 8, 3, 4, 5]);
        assert_eq!(read(0, &mut to).unwrap_err().code, Code::INVALID_VALUE);
        assert_eq!(read(64, &mut to).unwrap_err().code, Code::INVALID_VALUE);
        assert_eq!(write(64, &from).unwrap_err().code, Code::INVALID_VALUE);
        read(0, &mut []).unwrap();
    }
}
