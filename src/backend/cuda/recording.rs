//! Operations that are recorded once, as a CUDA graph, and run again with one call.

use super::context::Context;
use super::fill::Fill;
use cudarc::driver::{CudaGraph, sys};
use std::sync::Arc;

/// Operations that can be run again.
pub enum Recording {
    /// They have run once, so that all their kernels are loaded: a driver loads none while it records. This is how full they
    /// made the device.
    Warm(Fill),
    /// They are recorded.
    Graph(Graph, Fill),
}

/// A CUDA graph.
pub struct Graph {
    graph: CudaGraph,
    /// Keeps the device open.
    context: Arc<Context>,
}

// SAFETY: a graph may move between threads as long as one at a time uses it; it is only used through `&mut`.
unsafe impl Send for Graph {}

impl Recording {
    /// Runs `work`: as it is the first time, recorded the second, replayed from then on.
    pub fn run(recording: &mut Option<Recording>, context: &Arc<Context>, work: impl FnOnce()) {
        match recording {
            None => {
                *recording = Some(Recording::Warm(context.filling(work)));
            }
            Some(Recording::Warm(fill)) => {
                if let Some(mut graph) = Graph::of(context, work) {
                    graph.replay();
                    *recording = Some(Recording::Graph(graph, *fill));
                }
            }
            Some(Recording::Graph(graph, _)) => graph.replay(),
        }
    }

    /// How full the operations make the device.
    pub fn fill(&self) -> Fill {
        match self {
            Recording::Warm(fill) | Recording::Graph(_, fill) => *fill,
        }
    }
}

impl Graph {
    /// Records what `work` begins on the context's stream, without running it. Nothing is recorded after a failure.
    fn of(context: &Arc<Context>, work: impl FnOnce()) -> Option<Graph> {
        let stream = context.stream();
        let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        context.attempt("beginning a recording", || stream.begin_capture(mode))?;
        work();
        let flags = sys::CUgraphInstantiate_flags_enum::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        // Whatever failed meanwhile: a stream that records runs nothing.
        let graph = context.always("ending a recording", || stream.end_capture(flags))??;
        let graph = Graph { graph, context: context.clone() };
        context.check().is_ok().then_some(graph)
    }

    fn replay(&mut self) {
        self.context.attempt("replaying a recording", || self.graph.launch());
    }
}
