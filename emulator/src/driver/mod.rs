//! The CUDA driver API: the exported functions of `libcuda.so.1`.
//!
//! Every call does its work before it returns: a stream is in order because there is nothing left to order, and an
//! event has happened as soon as it was recorded. What a program can observe is what the CUDA documentation promises
//! for asynchronous calls: a fault of a kernel is not reported by its launch but by the next call that waits
//! (`cuStreamSynchronize`, `cuCtxSynchronize`, `cuEventSynchronize`, a synchronous copy, …) and then by every later
//! call of that context. Handles are looked up, never dereferenced; buffers of the caller are copied by the kernel of
//! the operating system, which refuses addresses that are not mapped.

/// Defines exported functions: `fn name(arguments) { body }`, where the body is a [`error::Result`].
/// `per_thread alias` in front also exports the variant whose null stream is the calling thread's own.
macro_rules! api {
    ($(
        $(#[$attribute:meta])*
        $(per_thread $alias:ident)?
        fn $name:ident $arguments:tt $body:block
    )*) => {
        $(
            exported! { $(#[$attribute])* $name false $arguments $body }
            $(
                exported! {
                    /// The same, with the null stream as the calling thread's own.
                    $alias true $arguments $body
                }
            )?
        )*

        /// Looks up a function of this file.
        pub(super) fn address(symbol: &str) -> Option<*const std::ffi::c_void> {
            $(
                if symbol == stringify!($name) {
                    return Some($name as *const std::ffi::c_void);
                }
                $(
                    if symbol == stringify!($alias) {
                        return Some($alias as *const std::ffi::c_void);
                    }
                )?
            )*
            None
        }
    };
}

/// One exported function.
macro_rules! exported {
    ($(#[$attribute:meta])* $name:ident $per_thread:ident ($($argument:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// Pointers are null or valid for what the CUDA driver API says that the function reads or writes.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "names of the CUDA driver API")]
        pub unsafe extern "C" fn $name($($argument: $ty),*) -> i32 {
            $crate::driver::error::guard(stringify!($name), $per_thread, move || $body)
        }
    };
}

pub mod config;
pub mod context;
pub mod copy;
pub mod device;
pub mod error;
pub mod event;
pub mod fill;
pub mod function;
pub mod graph;
pub mod graph_exec;
pub mod graph_nodes;
pub mod handles;
pub mod host;
pub mod image;
pub mod launch;
pub mod library;
pub mod limits;
pub mod link;
pub mod load;
pub mod memory;
pub mod merge;
pub mod module;
pub mod objects;
pub mod occupancy;
pub mod pointer;
pub mod primary;
pub mod proc_address;
pub mod profile;
pub mod run;
pub mod stream;
pub mod stream_capture;
pub mod submit;
pub mod sys;
pub mod teardown;
pub mod unsupported;
pub mod user_object;
