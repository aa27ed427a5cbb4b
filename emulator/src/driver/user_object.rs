//! The functions that make objects of the program, and have graphs hold them.

use super::device::driver;
use super::error::{Code, Result};
use super::objects::graph::Graph;
use super::objects::user_object::{by_handle, create, release, retain};
use super::sys::{Handle, HostFunction, Out};
use std::ffi::c_void;

fn checked(count: u32) -> Result<u64> {
    match count {
        1..=0x7fff_ffff => Ok(count.into()),
        _ => Err(Code::INVALID_VALUE.because(format!("{count} references"))),
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
        driver()?;
        let count = checked(count)?;
        match destroy {
            Some(destroy) if flags == NO_DESTRUCTOR_SYNC && !object.is_null() => {
                object.set(create(destroy, data, count))
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
