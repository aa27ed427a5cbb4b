//! Operations that are recorded once, as a CUDA graph, and run again with one call.

use super::context::Context;
use cudarc::driver::{CudaGraph, sys};
use std::sync::Arc;

/// A CUDA graph.
pub struct Recording {
    graph: CudaGraph,
    /// Keeps the device open.
    context: Arc<Context>,
}

// SAFETY: a graph may move between threads as long as one at a time uses it; it is only used through `&mut`.
unsafe impl Send for Recording {}

impl Recording {
    /// Records what `work` begins on the context's stream, without running it. Nothing is recorded after a failure.
    pub fn of(context: &Arc<Context>, work: impl FnOnce()) -> Option<Recording> {
        let stream = context.stream();
        let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        context.attempt("beginning a recording", || stream.begin_capture(mode))?;
        work();
        let flags = sys::CUgraphInstantiate_flags_enum::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = context.attempt("ending a recording", || stream.end_capture(flags))??;
        Some(Recording { graph, context: context.clone() })
    }

    /// Runs what was recorded.
    pub fn replay(&mut self) {
        self.context.attempt("replaying a recording", || self.graph.launch());
    }
}
