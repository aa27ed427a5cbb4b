//! The end of a context: what belongs to it is freed.

use super::objects::context::{CONTEXTS, Context};
use super::objects::event::EVENTS;
use super::objects::module::MODULES;
use super::objects::stream::STREAMS;
use super::{library, memory, profile};

/// Frees what belongs to a context; what the program should have freed is told, unless a fault kept it from doing so.
pub fn release_resources(context: &Context) {
    memory::release(context.handle, !context.has_failed());
    for (handle, module) in MODULES.select(|m| m.context == context.handle) {
        module.forget_functions();
        MODULES.remove(handle);
    }
    library::release(context.handle);
    STREAMS.remove_where(|s| s.context == context.handle);
    EVENTS.remove_where(|e| e.context == context.handle);
    context.reset();
    profile::write();
}

/// Ends a context.
pub fn destroy(context: &Context) {
    release_resources(context);
    CONTEXTS.remove(context.handle);
}
