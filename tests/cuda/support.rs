//! The device that the tests share.

use std::sync::Arc;
use synfilter::backend::cuda::context::Context;

/// Device 0, opened anew.
pub fn context() -> Arc<Context> {
    Context::open(0).expect("a CUDA device")
}
