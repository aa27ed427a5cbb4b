//! What is known of a pointer.

use super::error::{Code, Result};
use super::host;
use super::memory::{Allocation, Kind, find};
use super::objects::context::{CONTEXTS, Context};
use super::sys::{DevicePointer, In, Out};

/// Bytes of an attribute's value, with the value for a pointer of nobody's.
enum Value {
    Four(u32),
    Eight(u64),
}

/// The value of a `CUpointer_attribute`.
fn attribute(id: i32, pointer: u64, found: Option<&Allocation>) -> Result<Value> {
    let unknown =
        || Code::INVALID_VALUE.because(format!("{pointer:#x} is not memory of a device or page-locked"));
    let of = |value: &dyn Fn(&Allocation) -> u64| found.map(value).ok_or_else(unknown);
    let registered = found.is_some_and(|a| matches!(a.kind, Kind::Registered(_)));
    let host = found.is_some_and(|a| matches!(a.kind, Kind::Host(_) | Kind::Registered(_)));
    Ok(match id {
        1 => Value::Eight(of(&|a| a.context as u64)?),
        2 => Value::Four(of(&|_| if host { 1 } else { 2 })? as u32),
        3 if registered => return Err(unknown()),
        3 => Value::Eight(of(&|_| pointer)?),
        4 if host || found.is_some_and(|a| a.kind == Kind::Managed) => Value::Eight(pointer),
        4 => return Err(unknown()),
        6 => Value::Four(0),
        7 => Value::Eight(of(&|a| a.number)?),
        8 => Value::Four(u32::from(found.is_some_and(|a| a.kind == Kind::Managed))),
        9 => Value::Four(of(&|a| a.ordinal as u64)? as u32),
        10 => Value::Four(0),
        11 => Value::Eight(of(&|a| a.address)?),
        12 => Value::Eight(of(&|a| a.bytes)?),
        13 => Value::Four(u32::from(found.is_some() && !registered)),
        14 => Value::Eight(0),
        15 => Value::Four(0),
        16 => Value::Four(3),
        17 => Value::Eight(0),
        _ => return Err(Code::INVALID_VALUE.because(format!("there is no pointer attribute {id}"))),
    })
}

fn put(place: Out<u8>, value: Value) -> Result {
    match value {
        Value::Four(value) => host::write(place.address(), &value.to_ne_bytes()),
        Value::Eight(value) => host::write(place.address(), &value.to_ne_bytes()),
    }
}

/// Zeros for attributes that a pointer of nobody's does not have.
fn absent(id: i32) -> Option<Value> {
    match id {
        2 | 6 | 8 | 10 | 13 | 15 | 16 => Some(Value::Four(0)),
        9 => Some(Value::Four(u32::MAX - 1)),
        1 | 3 | 4 | 7 | 11 | 12 | 14 | 17 => Some(Value::Eight(0)),
        _ => None,
    }
}

api! {
    fn cuPointerGetAttribute(place: Out<u8>, id: i32, pointer: DevicePointer) {
        super::device::driver()?;
        put(place, attribute(id, pointer, find(pointer).as_ref()).map_err(|f| f.code)?)
    }

    /// Unlike for one attribute, a pointer of nobody's is no error: the values are zero.
    fn cuPointerGetAttributes(count: u32, ids: In<i32>, places: In<Out<u8>>, pointer: DevicePointer) {
        super::device::driver()?;
        let found = find(pointer);
        for (id, place) in ids.array(count as usize)?.into_iter().zip(places.array(count as usize)?) {
            match attribute(id, pointer, found.as_ref()) {
                Ok(value) => put(place, value)?,
                Err(failure) => put(place, absent(id).ok_or(failure)?)?,
            }
        }
        Ok(())
    }

    /// The only attribute that can be set is that copies of this memory are synchronous: they are.
    fn cuPointerSetAttribute(value: In<u32>, id: i32, pointer: DevicePointer) {
        value.get()?;
        let known = find(pointer).is_some_and(|a| CONTEXTS.get(a.context).is_some());
        match id == 6 && known {
            true => Context::current().map(|_| ()),
            false => Err(Code::INVALID_VALUE.because(format!("attribute {id} of {pointer:#x} cannot be set"))),
        }
    }
}
