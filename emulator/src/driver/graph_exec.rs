//! Graphs that are ready to run.

use super::error::{Code, Failure, Result};
use super::graph_nodes::{copy, fill, from_params, host, kernel};
use super::handles::{Registry, lock};
use super::objects::event::Event;
use super::objects::graph::{Graph, Node};
use super::objects::operation::Operation;
use super::objects::stream::Stream;
use super::objects::user_object::Held;
use super::run;
use super::sys::{
    Handle, HostParams, In, InstantiateParams, KernelParams, KernelParamsV1, Memcpy3d, MemsetParams,
    NodeParams, Out, UpdateResult,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A graph as it was when it was instantiated.
pub struct GraphExec {
    flags: u64,
    /// Keyed by the nodes of the graph it was made from, in the order in which they were made.
    nodes: Mutex<BTreeMap<Handle, Node>>,
    /// In which they run.
    order: Mutex<Vec<Handle>>,
    disabled: Mutex<BTreeSet<Handle>>,
    held: Held,
}

pub static EXECS: Registry<GraphExec> = Registry::new(6);

/// Flags of instantiation: free on launch, upload, device launch, node priority.
const FLAGS: u64 = 15;
const DEVICE_LAUNCH: u64 = 4;

/// `CUgraphExecUpdateResult`.
const TOPOLOGY_CHANGED: i32 = 2;
const KIND_CHANGED: i32 = 3;

fn frozen(graph: &Graph) -> BTreeMap<Handle, Node> {
    let mut nodes = lock(&graph.nodes).clone();
    for node in nodes.values_mut() {
        if let Operation::Graph(child) = &node.operation {
            let copy =
                Graph { handle: child.handle, nodes: Mutex::new(frozen(child)), held: child.held.again() };
            node.operation = Operation::Graph(Arc::new(copy));
        }
    }
    nodes
}

fn instantiate(place: Out<Handle>, graph: Handle, flags: u64) -> Result {
    let graph = Graph::by_handle(graph)?;
    if flags & !FLAGS != 0 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    if flags & DEVICE_LAUNCH != 0 {
        return Err(Code::NOT_SUPPORTED.because("graphs that a device launches are not supported"));
    }
    if place.is_null() {
        return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
    }
    let order = Mutex::new(graph.order()?);
    let nodes = Mutex::new(frozen(&graph));
    place.set(EXECS.insert(GraphExec {
        flags,
        nodes,
        order,
        disabled: Mutex::default(),
        held: graph.held.again(),
    }))
}

impl GraphExec {
    fn by_handle(handle: Handle) -> Result<Arc<GraphExec>> {
        super::device::driver()?;
        let found = EXECS.get(handle);
        found.ok_or_else(|| Code::INVALID_VALUE.because(format!("{handle:#x} is not an executable graph")))
    }

    /// What it runs, as a graph of its own: what is disabled does nothing.
    fn snapshot(&self) -> Graph {
        let mut nodes = lock(&self.nodes).clone();
        for handle in lock(&self.disabled).iter() {
            if let Some(node) = nodes.get_mut(handle) {
                node.operation = Operation::Empty;
            }
        }
        Graph { handle: 0, nodes: Mutex::new(nodes), held: self.held.again() }
    }

    fn launch(&self, stream: &Stream) -> Result {
        if lock(&stream.capture).is_some() {
            return stream.submit(Operation::Graph(self.snapshot().duplicate()));
        }
        // An empty operation checks that the stream may be used; then node after node.
        stream.submit(Operation::Empty)?;
        let context = stream.context()?;
        for node in lock(&self.order).clone() {
            if lock(&self.disabled).contains(&node) {
                continue;
            }
            let operation = lock(&self.nodes).get(&node).map(|n| n.operation.clone());
            operation.map_or(Ok(()), |o| run::operation(&o, &context))?;
        }
        Ok(())
    }

    fn set(&self, node: Handle, operation: Operation) -> Result {
        match lock(&self.nodes).get_mut(&node) {
            Some(found) if found.operation.kind() == operation.kind() => {
                found.operation = operation;
                Ok(())
            }
            Some(_) => Err(Code::INVALID_VALUE.because("the node is of another kind")),
            None => Err(Code::INVALID_VALUE.because("the executable graph has no such node")),
        }
    }

    /// Takes the parameters of a graph of the same shape: nodes are paired in the order in which they were made.
    fn update(&self, graph: &Graph) -> std::result::Result<(), (i32, Handle)> {
        let new = frozen(graph);
        let mut nodes = lock(&self.nodes);
        pair(&nodes, &new)?;
        let renamed: Vec<(Handle, Operation)> =
            nodes.keys().copied().zip(new.into_values().map(|n| n.operation)).collect();
        for (handle, operation) in renamed {
            if let Some(node) = nodes.get_mut(&handle) {
                node.operation = operation;
            }
        }
        Ok(())
    }
}

/// Whether two graphs have the same shape; else what differs, and where in the new one.
fn pair(
    old: &BTreeMap<Handle, Node>,
    new: &BTreeMap<Handle, Node>,
) -> std::result::Result<(), (i32, Handle)> {
    if old.len() != new.len() {
        return Err((TOPOLOGY_CHANGED, 0));
    }
    let position = |nodes: &BTreeMap<Handle, Node>| -> BTreeMap<Handle, usize> {
        nodes.keys().enumerate().map(|(i, &h)| (h, i)).collect()
    };
    let (old_at, new_at) = (position(old), position(new));
    for (before, (&handle, after)) in old.values().zip(new) {
        let place = |at: &BTreeMap<Handle, usize>, n: &Node| -> Vec<Option<usize>> {
            n.after.iter().map(|h| at.get(h).copied()).collect()
        };
        if place(&old_at, before) != place(&new_at, after) {
            return Err((TOPOLOGY_CHANGED, handle));
        }
        match (&before.operation, &after.operation) {
            (Operation::Graph(old), Operation::Graph(new)) => pair(&lock(&old.nodes), &lock(&new.nodes))?,
            (old, new) if old.kind() != new.kind() => return Err((KIND_CHANGED, handle)),
            _ => {}
        }
    }
    Ok(())
}

fn update_failure(result: i32) -> Failure {
    let why = if result == KIND_CHANGED { "a node is of another kind" } else { "the graphs differ in shape" };
    Code::GRAPH_EXEC_UPDATE_FAILURE.because(why)
}

api! {
    fn cuGraphInstantiateWithFlags(exec: Out<Handle>, graph: Handle, flags: u64) {
        instantiate(exec, graph, flags)
    }

    /// Of CUDA 11: errors are told on stderr, not in the buffer.
    fn cuGraphInstantiate_v2(
        exec: Out<Handle>,
        graph: Handle,
        error_node: Out<Handle>,
        log: Out<u8>,
        log_bytes: usize,
    ) {
        error_node.set_if_wanted(0);
        if log_bytes > 0 {
            log.set_if_wanted(0);
        }
        instantiate(exec, graph, 0)
    }

    per_thread cuGraphInstantiateWithParams_ptsz
    fn cuGraphInstantiateWithParams(
        exec: Out<Handle>,
        graph: Handle,
        parameters: Out<InstantiateParams>,
    ) {
        let given = parameters.get()?;
        let result = instantiate(exec, graph, given.flags);
        parameters.set(InstantiateParams { error_node: 0, result: i32::from(result.is_err()), ..given })?;
        result
    }

    fn cuGraphExecDestroy(exec: Handle) {
        GraphExec::by_handle(exec)?;
        EXECS.remove(exec);
        Ok(())
    }

    fn cuGraphExecGetFlags(exec: Handle, flags: Out<u64>) {
        flags.set(GraphExec::by_handle(exec)?.flags)
    }

    /// Nothing has to be moved to a device.
    per_thread cuGraphUpload_ptsz
    fn cuGraphUpload(exec: Handle, stream: Handle) {
        GraphExec::by_handle(exec)?;
        Stream::resolve(stream).map(|_| ())
    }

    per_thread cuGraphLaunch_ptsz
    fn cuGraphLaunch(exec: Handle, stream: Handle) {
        GraphExec::by_handle(exec)?.launch(&*Stream::resolve(stream)?)
    }

    fn cuGraphExecUpdate(exec: Handle, graph: Handle, error_node: Out<Handle>, result: Out<i32>) {
        let (exec, graph) = (GraphExec::by_handle(exec)?, Graph::by_handle(graph)?);
        let outcome = exec.update(&graph);
        let (code, node) = outcome.err().unwrap_or((0, 0));
        error_node.set_if_wanted(node);
        result.set(code)?;
        outcome.map_err(|(code, _)| update_failure(code))
    }

    fn cuGraphExecUpdate_v2(exec: Handle, graph: Handle, result: Out<UpdateResult>) {
        let (exec, graph) = (GraphExec::by_handle(exec)?, Graph::by_handle(graph)?);
        let outcome = exec.update(&graph);
        let (code, node) = outcome.err().unwrap_or((0, 0));
        result.set(UpdateResult { result: code, node, from_node: 0 })?;
        outcome.map_err(|(code, _)| update_failure(code))
    }

    fn cuGraphNodeSetEnabled(exec: Handle, node: Handle, enabled: u32) {
        let exec = GraphExec::by_handle(exec)?;
        let kind = lock(&exec.nodes).get(&node).map(|n| n.operation.kind());
        match kind {
            Some(0..=2) if enabled != 0 => {
                lock(&exec.disabled).remove(&node);
                Ok(())
            }
            Some(0..=2) => {
                lock(&exec.disabled).insert(node);
                Ok(())
            }
            _ => Err(Code::INVALID_VALUE.because("only kernels, copies and fills can be disabled")),
        }
    }

    fn cuGraphNodeGetEnabled(exec: Handle, node: Handle, enabled: Out<u32>) {
        let exec = GraphExec::by_handle(exec)?;
        if !lock(&exec.nodes).contains_key(&node) {
            return Err(Code::INVALID_VALUE.because("the executable graph has no such node"));
        }
        let is_enabled = !lock(&exec.disabled).contains(&node);
        enabled.set(u32::from(is_enabled))
    }

    fn cuGraphExecKernelNodeSetParams(exec: Handle, node: Handle, parameters: In<KernelParamsV1>) {
        GraphExec::by_handle(exec)?.set(node, kernel(&parameters.get()?, 0, 0)?)
    }

    fn cuGraphExecKernelNodeSetParams_v2(exec: Handle, node: Handle, parameters: In<KernelParams>) {
        let p = parameters.get()?;
        GraphExec::by_handle(exec)?.set(node, kernel(&p.v1, p.kernel, p.context)?)
    }

    fn cuGraphExecMemcpyNodeSetParams(exec: Handle, node: Handle, parameters: In<Memcpy3d>, context: Handle) {
        GraphExec::by_handle(exec)?.set(node, copy(&parameters.get()?, context)?)
    }

    fn cuGraphExecMemsetNodeSetParams(exec: Handle, node: Handle, parameters: In<MemsetParams>, context: Handle) {
        GraphExec::by_handle(exec)?.set(node, fill(&parameters.get()?, context)?)
    }

    fn cuGraphExecHostNodeSetParams(exec: Handle, node: Handle, parameters: In<HostParams>) {
        GraphExec::by_handle(exec)?.set(node, host(&parameters.get()?)?)
    }

    fn cuGraphExecChildGraphNodeSetParams(exec: Handle, node: Handle, child: Handle) {
        let (exec, child) = (GraphExec::by_handle(exec)?, Graph::by_handle(child)?);
        let old = lock(&exec.nodes).get(&node).map(|n| n.operation.clone());
        let Some(Operation::Graph(old)) = old else {
            return Err(Code::INVALID_VALUE.because("the node is not a child graph"));
        };
        let new = frozen(&child);
        pair(&lock(&old.nodes), &new).map_err(|(code, _)| update_failure(code))?;
        exec.set(node, Operation::Graph(Arc::new(Graph { handle: child.handle, nodes: Mutex::new(new), held: child.held.again() })))
    }

    fn cuGraphExecEventRecordNodeSetEvent(exec: Handle, node: Handle, event: Handle) {
        GraphExec::by_handle(exec)?.set(node, Operation::Record(Event::by_handle(event)?))
    }

    fn cuGraphExecEventWaitNodeSetEvent(exec: Handle, node: Handle, event: Handle) {
        GraphExec::by_handle(exec)?.set(node, Operation::Wait(Event::by_handle(event)?))
    }

    fn cuGraphExecNodeSetParams(exec: Handle, node: Handle, parameters: In<NodeParams>) {
        GraphExec::by_handle(exec)?.set(node, from_params(&parameters.get()?)?)
    }
}
