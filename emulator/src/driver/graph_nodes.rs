//! Nodes that are added and changed by hand.

use super::error::{Code, Result};
use super::objects::context::{CONTEXTS, Context};
use super::objects::copy::Copy;
use super::objects::event::Event;
use super::objects::fill::Fill;
use super::objects::function::Function;
use super::objects::graph::Graph;
use super::objects::launch::Launch;
use super::objects::operation::{HostCall, Operation};
use super::sys::{
    Handle, HostParams, In, KernelParams, KernelParamsV1, Memcpy3d, MemsetParams, NodeParams, Out,
};

/// A kernel with its launch, of whichever structure.
pub fn kernel(p: &KernelParamsV1, kernel: Handle, context: Handle) -> Result<Operation> {
    let context = match context {
        0 => Context::current()?,
        named => Context::by_handle(named)?,
    };
    let handle = if p.function != 0 { p.function } else { kernel };
    let function = Function::resolve(handle, &context)?;
    Ok(Operation::Kernel(Launch::new(
        function,
        handle,
        p.grid,
        p.block,
        p.shared,
        p.parameters,
        p.extra,
        false,
    )?))
}

pub fn copy(p: &Memcpy3d, context: Handle) -> Result<Operation> {
    known_context(context)?;
    Ok(Operation::Copy(Copy::from_3d(p)?))
}

pub fn fill(p: &MemsetParams, context: Handle) -> Result<Operation> {
    known_context(context)?;
    Ok(Operation::Fill(Fill::from_params(p)?))
}

pub fn host(p: &HostParams) -> Result<Operation> {
    match HostCall::new(p.function, p.data) {
        Some(call) => Ok(Operation::Host(call)),
        None => Err(Code::INVALID_VALUE.because("the function is null")),
    }
}

fn known_context(context: Handle) -> Result {
    match context == 0 || CONTEXTS.get(context).is_some() {
        true => Ok(()),
        false => Err(Code::INVALID_CONTEXT.because(format!("{context:#x} is not a context"))),
    }
}

/// The operation that a `CUgraphNodeParams` describes.
pub fn from_params(p: &NodeParams) -> Result<Operation> {
    if p.reserved0 != [0; 3] || p.reserved2 != 0 {
        return Err(Code::INVALID_VALUE.because("reserved fields must be 0"));
    }
    let payload = &p.payload;
    // SAFETY: a union of plain data: the structures read here are no longer than the payload, aligned as it is, and
    // valid for any bits.
    unsafe {
        match p.kind {
            0 => {
                let p = payload.as_ptr().cast::<KernelParams>().read();
                kernel(&p.v1, p.kernel, p.context)
            }
            1 => {
                let context = payload[1] as Handle;
                copy(&payload[2..].as_ptr().cast::<Memcpy3d>().read(), context)
            }
            2 => fill(&payload.as_ptr().cast::<MemsetParams>().read(), payload[5] as Handle),
            3 => host(&payload.as_ptr().cast::<HostParams>().read()),
            4 => Ok(Operation::Graph(Graph::by_handle(payload[0] as Handle)?.duplicate())),
            5 => Ok(Operation::Empty),
            6 => Ok(Operation::Wait(Event::by_handle(payload[0] as Handle)?)),
            7 => Ok(Operation::Record(Event::by_handle(payload[0] as Handle)?)),
            kind => Err(Code::NOT_SUPPORTED.because(format!("nodes of kind {kind} are not supported"))),
        }
    }
}

/// Adds a node to a graph.
fn add(
    place: Out<Handle>,
    graph: Handle,
    after: In<Handle>,
    count: usize,
    operation: impl FnOnce() -> Result<Operation>,
) -> Result {
    let graph = Graph::by_handle(graph)?;
    let after = after.array(count)?;
    graph.check_nodes(&after)?;
    let mut sorted = after.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != after.len() {
        return Err(Code::INVALID_VALUE.because("a node is named twice"));
    }
    if place.is_null() {
        return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
    }
    let operation = operation()?;
    place.set(graph.add(operation, after))
}

fn set(node: Handle, operation: Operation) -> Result {
    Graph::of_node(node)?.set_operation(node, operation)
}

/// The operation of a node, if it is of the wanted kind.
fn get<T>(node: Handle, wanted: impl FnOnce(Operation) -> Option<T>) -> Result<T> {
    let operation = Graph::of_node(node)?.operation(node)?;
    wanted(operation).ok_or_else(|| Code::INVALID_VALUE.because("the node is of another kind"))
}

fn launch_of(node: Handle) -> Result<Launch> {
    get(node, |o| if let Operation::Kernel(launch) = o { Some(launch) } else { None })
}

fn copy_of(node: Handle) -> Result<Copy> {
    get(node, |o| if let Operation::Copy(copy) = o { Some(copy) } else { None })
}

fn event_of(node: Handle) -> Result<Handle> {
    let event = get(node, |o| match o {
        Operation::Record(event) | Operation::Wait(event) => Some(event),
        _ => None,
    })?;
    let found = super::objects::event::EVENTS.select(|e| std::ptr::eq(e, &*event));
    found
        .first()
        .map(|(handle, _)| *handle)
        .ok_or_else(|| Code::INVALID_HANDLE.because("the event was destroyed"))
}

api! {
    fn cuGraphAddKernelNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        parameters: In<KernelParamsV1>,
    ) {
        add(node, graph, after, count, || kernel(&parameters.get()?, 0, 0))
    }

    fn cuGraphAddKernelNode_v2(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        parameters: In<KernelParams>,
    ) {
        add(node, graph, after, count, || {
            let p = parameters.get()?;
            kernel(&p.v1, p.kernel, p.context)
        })
    }

    fn cuGraphAddMemcpyNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        parameters: In<Memcpy3d>,
        context: Handle,
    ) {
        add(node, graph, after, count, || copy(&parameters.get()?, context))
    }

    fn cuGraphAddMemsetNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        parameters: In<MemsetParams>,
        context: Handle,
    ) {
        add(node, graph, after, count, || fill(&parameters.get()?, context))
    }

    fn cuGraphAddHostNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        parameters: In<HostParams>,
    ) {
        add(node, graph, after, count, || host(&parameters.get()?))
    }

    fn cuGraphAddEmptyNode(node: Out<Handle>, graph: Handle, after: In<Handle>, count: usize) {
        add(node, graph, after, count, || Ok(Operation::Empty))
    }

    fn cuGraphAddChildGraphNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        child: Handle,
    ) {
        if graph == child {
            return Err(Code::INVALID_VALUE.because("a graph as its own child"));
        }
        add(node, graph, after, count, || Ok(Operation::Graph(Graph::by_handle(child)?.duplicate())))
    }

    fn cuGraphAddEventRecordNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        event: Handle,
    ) {
        add(node, graph, after, count, || Ok(Operation::Record(Event::by_handle(event)?)))
    }

    fn cuGraphAddEventWaitNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        event: Handle,
    ) {
        add(node, graph, after, count, || Ok(Operation::Wait(Event::by_handle(event)?)))
    }

    fn cuGraphAddNode(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        count: usize,
        parameters: In<NodeParams>,
    ) {
        add(node, graph, after, count, || from_params(&parameters.get()?))
    }

    fn cuGraphAddNode_v2(
        node: Out<Handle>,
        graph: Handle,
        after: In<Handle>,
        _edges: In<u64>,
        count: usize,
        parameters: In<NodeParams>,
    ) {
        add(node, graph, after, count, || from_params(&parameters.get()?))
    }

    fn cuGraphNodeSetParams(node: Handle, parameters: In<NodeParams>) {
        set(node, from_params(&parameters.get()?)?)
    }

    fn cuGraphKernelNodeGetParams(node: Handle, parameters: Out<KernelParamsV1>) {
        parameters.set(launch_of(node)?.params())
    }

    fn cuGraphKernelNodeGetParams_v2(node: Handle, parameters: Out<KernelParams>) {
        let launch = launch_of(node)?;
        parameters.set(KernelParams { v1: launch.params(), kernel: 0, context: launch.function.context() })
    }

    fn cuGraphKernelNodeSetParams(node: Handle, parameters: In<KernelParamsV1>) {
        set(node, kernel(&parameters.get()?, 0, 0)?)
    }

    fn cuGraphKernelNodeSetParams_v2(node: Handle, parameters: In<KernelParams>) {
        let p = parameters.get()?;
        set(node, kernel(&p.v1, p.kernel, p.context)?)
    }

    fn cuGraphMemcpyNodeGetParams(node: Handle, parameters: Out<Memcpy3d>) {
        parameters.set(copy_of(node)?.to_3d())
    }

    fn cuGraphMemcpyNodeSetParams(node: Handle, parameters: In<Memcpy3d>) {
        set(node, copy(&parameters.get()?, 0)?)
    }

    fn cuGraphMemsetNodeGetParams(node: Handle, parameters: Out<MemsetParams>) {
        parameters.set(get(node, |o| if let Operation::Fill(fill) = o { Some(fill.params()) } else { None })?)
    }

    fn cuGraphMemsetNodeSetParams(node: Handle, parameters: In<MemsetParams>) {
        set(node, fill(&parameters.get()?, 0)?)
    }

    fn cuGraphHostNodeGetParams(node: Handle, parameters: Out<HostParams>) {
        parameters.set(get(node, |o| if let Operation::Host(call) = o { Some(call.params()) } else { None })?)
    }

    fn cuGraphHostNodeSetParams(node: Handle, parameters: In<HostParams>) {
        set(node, host(&parameters.get()?)?)
    }

    fn cuGraphChildGraphNodeGetGraph(node: Handle, child: Out<Handle>) {
        child.set(get(node, |o| if let Operation::Graph(child) = o { Some(child.handle) } else { None })?)
    }

    fn cuGraphEventRecordNodeGetEvent(node: Handle, event: Out<Handle>) {
        event.set(event_of(node)?)
    }

    fn cuGraphEventRecordNodeSetEvent(node: Handle, event: Handle) {
        set(node, Operation::Record(Event::by_handle(event)?))
    }

    fn cuGraphEventWaitNodeGetEvent(node: Handle, event: Out<Handle>) {
        event.set(event_of(node)?)
    }

    fn cuGraphEventWaitNodeSetEvent(node: Handle, event: Handle) {
        set(node, Operation::Wait(Event::by_handle(event)?))
    }
}
