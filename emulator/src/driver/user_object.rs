//! Objects of the program that live as long as a graph needs them.

use super::error::{Code, Result};
use super::graph::Graph;
use super::handles::{Registry, lock};
use super::sys::{Handle, HostFunction, Out};
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

fn by_handle(handle: Handle) -> Result<Arc<UserObject>> {
    super::device::driver()?;
    OBJECTS
        .get(handle)
        .ok_or_else(|| Code::INVALID_VALUE.because(format!("{handle:#x} is not a user object")))
}

fn checked(count: u32) -> Result<u64> {
    match count {
        1..=0x7fff_ffff => Ok(count.into()),
        _ => Err(Code::INVALID_VALUE.because(format!("{count} references"))),
    }
}

/// More references.
fn retain(handle: Handle, count: u64) -> Result {
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

    fn add(&self, handle: Handle, count: u64) {
        lock(&self.0).push((handle, count));
    }

    fn remove(&self, handle: Handle, mut count: u64) -> Result {
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

/// The references that were the caller's become the graph's.
const MOVE: u32 = 1;
/// The only flag of creation, and it must be given: the destructor is not waited for.
const NO_DESTRUCTOR_SYNC: u32 = 1;

api! {
    fn cuUserObjectCreate(
        object: Out<Handle>,
        data: *mut c_void,
        destroy: HostFunction,
        count: u32,
        flags: u32,
    ) {
        super::device::driver()?;
        let count = Mutex::new(checked(count)?);
        match destroy {
            Some(destroy) if flags == NO_DESTRUCTOR_SYNC && !object.is_null() => {
                object.set(OBJECTS.insert(UserObject { destroy, data, count }))
            }
            _ => Err(Code::INVALID_VALUE.because(format!("null pointers, or flags {flags:#x}"))),
        }
    }

    fn cuUserObjectRetain(object: Handle, count: u32) {
        retain(object, checked(count)?)
    }

    fn cuUserObjectRelease(object: Handle, count: u32) {
        release(object, checked(count)?)
    }

    fn cuGraphRetainUserObject(graph: Handle, object: Handle, count: u32, flags: u32) {
        let (graph, count) = (Graph::by_handle(graph)?, checked(count)?);
        by_handle(object)?;
        match flags {
            0 => retain(object, count)?,
            MOVE => {}
            _ => return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}"))),
        }
        graph.held.add(object, count);
        Ok(())
    }

    fn cuGraphReleaseUserObject(graph: Handle, object: Handle, count: u32) {
        let (graph, count) = (Graph::by_handle(graph)?, checked(count)?);
        graph.held.remove(object, count)?;
        release(object, count)
    }
}
