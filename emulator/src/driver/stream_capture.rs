//! The functions that begin, end and describe captures.

use super::error::{Code, Result};
use super::handles::lock;
use super::objects::capture;
use super::objects::graph::Graph;
use super::objects::stream::Stream;
use super::sys::{Handle, In, Out};
use std::cell::RefCell;

/// `CUstreamCaptureStatus`.
const NONE: i32 = 0;
const ACTIVE: i32 = 1;
const INVALIDATED: i32 = 2;

thread_local! {
    /// The list that `cuStreamGetCaptureInfo` last gave this thread a pointer to.
    static LISTED: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// What `cuStreamGetCaptureInfo` of all versions tells.
fn info(
    stream: Handle,
    status: Out<i32>,
    id: Out<u64>,
    graph: Out<Handle>,
    after: Out<*const Handle>,
    count: Out<usize>,
) -> Result {
    let stream = Stream::resolve(stream)?;
    if stream.is_legacy {
        capture::forbid_legacy(stream.context()?.handle)?;
    }
    let membership = lock(&stream.capture);
    let Some(membership) = membership.as_ref() else { return status.set(NONE) };
    if !membership.capture.is_valid() {
        return status.set(INVALIDATED);
    }
    status.set(ACTIVE)?;
    id.set_if_wanted(membership.capture.id);
    graph.set_if_wanted(membership.capture.graph.handle);
    count.set_if_wanted(membership.after.len());
    after.set_if_wanted(LISTED.with_borrow_mut(|list| {
        list.clone_from(&membership.after);
        list.as_ptr()
    }));
    Ok(())
}

fn update(stream: Handle, nodes: In<Handle>, count: usize, flags: u32) -> Result {
    let stream = Stream::resolve(stream)?;
    let mut membership = lock(&stream.capture);
    let Some(membership) = membership.as_mut() else {
        return Err(Code::ILLEGAL_STATE.because("the stream is not being captured"));
    };
    membership.capture.check()?;
    let nodes = nodes.array(count)?;
    membership.capture.graph.check_nodes(&nodes)?;
    match flags {
        0 => membership.after.extend(nodes),
        1 => membership.after = nodes,
        _ => return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}"))),
    }
    membership.after.sort_unstable();
    membership.after.dedup();
    Ok(())
}

api! {
    per_thread cuStreamBeginCapture_v2_ptsz
    fn cuStreamBeginCapture_v2(stream: Handle, mode: i32) {
        capture::begin(&Stream::resolve(stream)?, mode, None)
    }

    per_thread cuStreamBeginCaptureToGraph_ptsz
    fn cuStreamBeginCaptureToGraph(
        stream: Handle,
        graph: Handle,
        nodes: In<Handle>,
        _edges: In<u64>,
        count: usize,
        mode: i32,
    ) {
        let (stream, graph) = (Stream::resolve(stream)?, Graph::by_handle(graph)?);
        let nodes = nodes.array(count)?;
        graph.check_nodes(&nodes)?;
        capture::begin(&stream, mode, Some((graph, nodes)))
    }

    per_thread cuStreamEndCapture_ptsz
    fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>) {
        graph.set(0)?;
        graph.set(capture::end(&*Stream::resolve(stream)?)?.handle)
    }

    per_thread cuStreamIsCapturing_ptsz
    fn cuStreamIsCapturing(stream: Handle, status: Out<i32>) {
        info(stream, status, Out::null(), Out::null(), Out::null(), Out::null())
    }

    per_thread cuStreamGetCaptureInfo_ptsz
    fn cuStreamGetCaptureInfo(stream: Handle, status: Out<i32>, id: Out<u64>) {
        info(stream, status, id, Out::null(), Out::null(), Out::null())
    }

    per_thread cuStreamGetCaptureInfo_v2_ptsz
    fn cuStreamGetCaptureInfo_v2(
        stream: Handle,
        status: Out<i32>,
        id: Out<u64>,
        graph: Out<Handle>,
        after: Out<*const Handle>,
        count: Out<usize>,
    ) {
        info(stream, status, id, graph, after, count)
    }

    per_thread cuStreamGetCaptureInfo_v3_ptsz
    fn cuStreamGetCaptureInfo_v3(
        stream: Handle,
        status: Out<i32>,
        id: Out<u64>,
        graph: Out<Handle>,
        after: Out<*const Handle>,
        edges: Out<*const u64>,
        count: Out<usize>,
    ) {
        edges.set_if_wanted(std::ptr::null());
        info(stream, status, id, graph, after, count)
    }

    per_thread cuStreamUpdateCaptureDependencies_ptsz
    fn cuStreamUpdateCaptureDependencies(
        stream: Handle,
        nodes: In<Handle>,
        count: usize,
        flags: u32,
    ) {
        update(stream, nodes, count, flags)
    }

    per_thread cuStreamUpdateCaptureDependencies_v2_ptsz
    fn cuStreamUpdateCaptureDependencies_v2(
        stream: Handle,
        nodes: In<Handle>,
        _edges: In<u64>,
        count: usize,
        flags: u32,
    ) {
        update(stream, nodes, count, flags)
    }

    fn cuThreadExchangeStreamCaptureMode(mode: Out<i32>) {
        super::device::driver()?;
        let wanted = mode.get()?;
        if !(capture::GLOBAL..=capture::RELAXED).contains(&wanted) {
            return Err(Code::INVALID_VALUE.because(format!("there is no capture mode {wanted}")));
        }
        mode.set(capture::exchange_mode(wanted))
    }
}
