//! The primary context of each device: counted, and shared by all who retain it.

use super::context::Context;
use crate::driver::device::driver;
use crate::driver::error::Result;
use crate::driver::handles::lock;
use crate::driver::sys::Ordinal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The state of a device's primary context.
#[derive(Default)]
pub struct Primary {
    pub context: Option<Arc<Context>>,
    pub retained: u32,
    pub flags: u32,
}

static PRIMARIES: Mutex<BTreeMap<Ordinal, Primary>> = Mutex::new(BTreeMap::new());

/// Does something with the state of a device's primary context.
pub fn with<T>(ordinal: Ordinal, body: impl FnOnce(&mut Primary) -> Result<T>) -> Result<T> {
    driver()?.device(ordinal)?;
    body(lock(&PRIMARIES).entry(ordinal).or_default())
}

/// The device's primary context, if it is active.
pub fn active(ordinal: Ordinal) -> Result<Option<Arc<Context>>> {
    with(ordinal, |primary| Ok(primary.context.clone()))
}

/// Whether a context is that of a device.
pub fn is_primary(context: &Arc<Context>) -> bool {
    let is = |primary: &Primary| primary.context.as_ref().is_some_and(|c| Arc::ptr_eq(c, context));
    lock(&PRIMARIES).values().any(is)
}
