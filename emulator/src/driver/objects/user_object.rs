//! Objects of the program that live as long as a graph needs them.

use crate::driver::device::driver;
use crate::driver::error::{Code, Result};
use crate::driver::handles::{Registry, lock};
use crate::driver::sys::Handle;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

/// A counted object; when nobody holds it any more, its destructor is called.
pub struct UserObject {
    destroy: unsafe extern "C" fn(*mut c_void),
    data: *mut c_void,
    count: Mutex<u64>,
}

// SAFETY: the emulator only hands `data` to `destroy`; that this may happen in any thread is part of the contract of
// cuUserObjectCreate.
unsafe impl Send for UserObject {}
// SAFETY: as above.
unsafe impl Sync for UserObject {}

static OBJECTS: Registry<UserObject> = Registry::new(12);

/// A new object, held so often; its handle. The program promised that `destroy` may be called with `data`, in any thread.
pub fn create(destroy: unsafe extern "C" fn(*mut c_void), data: *mut c_void, count: u64) -> Handle {
    OBJECTS.insert(UserObject { destroy, data, count: Mutex::new(count) })
}

/// The object of a handle.
pub fn by_handle(handle: Handle) -> Result<Arc<UserObject>> {
    driver()?;
    OBJECTS
        .get(handle)
        .ok_or_else(|| Code::INVALID_VALUE.because(format!("{handle:#x} is not a user object")))
}

/// More references.
pub fn retain(handle: Handle, count: u64) -> Result {
    *lock(&by_handle(handle)?.count) += count;
    Ok(())
}

/// Fewer references; the last one destroys the object.
pub fn release(handle: Handle, count: u64) -> Result {
    let object = by_handle(handle)?;
    {
        let mut held = lock(&object.count);
        let Some(left) = held.checked_sub(count) else {
            return Err(Code::INVALID_VALUE.because(format!("{count} references, where {held} are held")));
        };
        *held = left;
        if left > 0 {
            return Ok(());
        }
    }
    if OBJECTS.remove(handle).is_some() {
        // SAFETY: a function of the program, called once with the argument it gave, as it asked.
        unsafe { (object.destroy)(object.data) };
    }
    Ok(())
}

/// References that a graph holds, and gives back when it is dropped.
#[derive(Default)]
pub struct Held(Mutex<Vec<(Handle, u64)>>);

impl Held {
    /// The same once more, for an executable graph or a copy.
    pub fn again(&self) -> Held {
        let list = lock(&self.0).clone();
        let list = list.into_iter().filter(|&(handle, count)| retain(handle, count).is_ok()).collect();
        Held(Mutex::new(list))
    }

    /// Takes over references.
    pub fn add(&self, handle: Handle, count: u64) {
        lock(&self.0).push((handle, count));
    }

    /// Gives references up.
    pub fn remove(&self, handle: Handle, mut count: u64) -> Result {
        let mut list = lock(&self.0);
        if list.iter().filter(|e| e.0 == handle).map(|e| e.1).sum::<u64>() < count {
            return Err(Code::INVALID_VALUE.because("the graph does not hold that many references"));
        }
        for entry in list.iter_mut().filter(|e| e.0 == handle) {
            let part = entry.1.min(count);
            entry.1 -= part;
            count -= part;
        }
        list.retain(|e| e.1 > 0);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for (handle, count) in std::mem::take(&mut *lock(&self.0)) {
            let _ = release(handle, count);
        }
    }
}
