//! Graphs: operations and what each comes after.

use super::context::Context;
use super::error::{Code, Result};
use super::handles::{Registry, lock};
use super::operation::Operation;
use super::sys::{Handle, In, Out};
use super::user_object::Held;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

/// A node.
#[derive(Clone)]
pub struct Node {
    pub operation: Operation,
    /// Sorted, without repetition.
    pub after: Vec<Handle>,
    /// The node that it was cloned from.
    pub original: Handle,
}

/// A graph; handles of nodes count up, so its nodes lie in the order in which they were made.
pub struct Graph {
    pub handle: Handle,
    pub nodes: Mutex<BTreeMap<Handle, Node>>,
    pub held: Held,
}

/// Where a node belongs.
pub struct Place {
    pub graph: Handle,
}

pub static GRAPHS: Registry<Graph> = Registry::new(4);
pub static NODES: Registry<Place> = Registry::new(5);

impl Graph {
    /// An empty graph, entered in the registry.
    pub fn create() -> Arc<Graph> {
        Graph::create_holding(Held::default())
    }

    fn create_holding(held: Held) -> Arc<Graph> {
        let handle = GRAPHS.reserve();
        let graph = Arc::new(Graph { handle, nodes: Mutex::default(), held });
        GRAPHS.enter(handle, graph.clone());
        graph
    }

    pub fn by_handle(handle: Handle) -> Result<Arc<Graph>> {
        super::device::driver()?;
        GRAPHS.get(handle).ok_or_else(|| Code::INVALID_VALUE.because(format!("{handle:#x} is not a graph")))
    }

    /// The graph of a node.
    pub fn of_node(node: Handle) -> Result<Arc<Graph>> {
        super::device::driver()?;
        let place = NODES.get(node);
        let place = place.ok_or_else(|| Code::INVALID_VALUE.because(format!("{node:#x} is not a node")))?;
        Graph::by_handle(place.graph)
    }

    /// Adds a node after others, which are its own.
    pub fn add(&self, operation: Operation, mut after: Vec<Handle>) -> Handle {
        after.sort_unstable();
        after.dedup();
        let node = NODES.insert(Place { graph: self.handle });
        lock(&self.nodes).insert(node, Node { operation, after, original: node });
        node
    }

    /// Its nodes, in the order in which they were made.
    pub fn handles(&self) -> Vec<Handle> {
        lock(&self.nodes).keys().copied().collect()
    }

    /// All must be its own.
    pub fn check_nodes(&self, wanted: &[Handle]) -> Result {
        let nodes = lock(&self.nodes);
        match wanted.iter().find(|n| !nodes.contains_key(n)) {
            None => Ok(()),
            Some(node) => Err(Code::INVALID_VALUE.because(format!("{node:#x} is not a node of the graph"))),
        }
    }

    /// These nodes, and all that come before them.
    pub fn reach(&self, from: &[Handle]) -> HashSet<Handle> {
        let nodes = lock(&self.nodes);
        let (mut reached, mut open) = (HashSet::new(), from.to_vec());
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(nodes.get(&node).into_iter().flat_map(|n| &n.after));
            }
        }
        reached
    }

    /// A copy with nodes and child graphs of its own.
    pub fn duplicate(&self) -> Arc<Graph> {
        let copy = Graph::create_holding(self.held.again());
        let mut names = BTreeMap::new();
        for (old, node) in lock(&self.nodes).clone() {
            let operation = match node.operation {
                Operation::Graph(child) => Operation::Graph(child.duplicate()),
                other => other,
            };
            let new = NODES.insert(Place { graph: copy.handle });
            names.insert(old, (new, operation, node.after));
        }
        let renamed = |old: &Handle| names.get(old).map_or(*old, |n| n.0);
        let mut nodes = BTreeMap::new();
        for (&original, (new, operation, after)) in &names {
            let mut after: Vec<Handle> = after.iter().map(renamed).collect();
            after.sort_unstable();
            nodes.insert(*new, Node { operation: operation.clone(), after, original });
        }
        *lock(&copy.nodes) = nodes;
        copy
    }

    /// The nodes in an order in which they can run: the earliest made first. An error for a circle.
    pub fn order(&self) -> Result<Vec<Handle>> {
        let nodes = lock(&self.nodes);
        let mut waiting: BTreeMap<Handle, usize> = nodes.iter().map(|(&h, n)| (h, n.after.len())).collect();
        let mut next: BTreeMap<Handle, Vec<Handle>> = BTreeMap::new();
        for (&handle, node) in nodes.iter() {
            for &before in &node.after {
                next.entry(before).or_default().push(handle);
            }
        }
        let mut ready: BTreeSet<Handle> =
            waiting.iter().filter(|(_, n)| **n == 0).map(|(&handle, _)| handle).collect();
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(node) = ready.pop_first() {
            order.push(node);
            for &later in next.get(&node).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(&later) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(later);
                    }
                }
            }
        }
        match order.len() == nodes.len() {
            true => Ok(order),
            false => Err(Code::INVALID_VALUE.because("the graph has a circle")),
        }
    }

    /// Runs all nodes.
    pub fn run(&self, context: &Context) -> Result {
        for node in self.order()? {
            let operation = lock(&self.nodes).get(&node).map(|n| n.operation.clone());
            operation.map_or(Ok(()), |o| o.run(context))?;
        }
        Ok(())
    }

    /// Forgets it, its nodes and its children.
    pub fn forget(&self) {
        GRAPHS.remove(self.handle);
        for (node, Node { operation, .. }) in std::mem::take(&mut *lock(&self.nodes)) {
            NODES.remove(node);
            if let Operation::Graph(child) = operation {
                child.forget();
            }
        }
    }

    /// An operation of one of its nodes.
    pub fn operation(&self, node: Handle) -> Result<Operation> {
        let found = lock(&self.nodes).get(&node).map(|n| n.operation.clone());
        found.ok_or_else(|| Code::INVALID_VALUE.because(format!("{node:#x} is not a node of the graph")))
    }

    /// Puts another operation of the same kind in the place of a node's.
    pub fn set_operation(&self, node: Handle, operation: Operation) -> Result {
        let mut nodes = lock(&self.nodes);
        match nodes.get_mut(&node) {
            Some(found) if found.operation.kind() == operation.kind() => {
                found.operation = operation;
                Ok(())
            }
            Some(_) => Err(Code::INVALID_VALUE.because("the node is of another kind")),
            None => Err(Code::INVALID_VALUE.because(format!("{node:#x} is not a node of the graph"))),
        }
    }
}

/// Writes a list as the driver does: with a null list, only its length; else as much as there is room for, then nulls.
fn put_list(list: &[Handle], place: Out<Handle>, count: Out<usize>) -> Result {
    if place.is_null() {
        return count.set(list.len());
    }
    let room = count.get()?;
    place.fill(list.iter().copied().chain(std::iter::repeat(0)).take(room.min(list.len() + 4096)))?;
    count.set(room.min(list.len()))
}

fn edges(graph: Handle, from: Out<Handle>, to: Out<Handle>, count: Out<usize>) -> Result {
    let graph = Graph::by_handle(graph)?;
    let all: Vec<(Handle, Handle)> =
        lock(&graph.nodes).iter().flat_map(|(&to, n)| n.after.iter().map(move |&from| (from, to))).collect();
    if from.is_null() != to.is_null() {
        return Err(Code::INVALID_VALUE.because("one of the lists is null"));
    }
    if from.is_null() {
        return count.set(all.len());
    }
    let room = count.get()?.min(all.len());
    from.fill(all.iter().take(room).map(|e| e.0))?;
    to.fill(all.iter().take(room).map(|e| e.1))?;
    count.set(room)
}

fn neighbours(node: Handle, place: Out<Handle>, count: Out<usize>, before: bool) -> Result {
    let graph = Graph::of_node(node)?;
    let nodes = lock(&graph.nodes);
    let list: Vec<Handle> = match before {
        true => nodes.get(&node).map(|n| n.after.clone()).unwrap_or_default(),
        false => nodes.iter().filter(|(_, n)| n.after.contains(&node)).map(|(&h, _)| h).collect(),
    };
    put_list(&list, place, count)
}

fn connect(graph: Handle, from: In<Handle>, to: In<Handle>, count: usize, add: bool) -> Result {
    let graph = Graph::by_handle(graph)?;
    let (from, to) = (from.array(count)?, to.array(count)?);
    graph.check_nodes(&from)?;
    graph.check_nodes(&to)?;
    let mut nodes = lock(&graph.nodes);
    for (before, node) in from.into_iter().zip(to) {
        let Some(node_entry) = nodes.get_mut(&node) else { continue };
        match (node_entry.after.binary_search(&before), add) {
            (Err(at), true) if before != node => node_entry.after.insert(at, before),
            (Ok(at), false) => drop(node_entry.after.remove(at)),
            _ => return Err(Code::INVALID_VALUE.because("an edge that exists, or does not, or is a circle")),
        }
    }
    Ok(())
}

api! {
    fn cuGraphCreate(graph: Out<Handle>, flags: u32) {
        super::device::driver()?;
        if flags != 0 || graph.is_null() {
            return Err(Code::INVALID_VALUE.because("flags that are not 0, or a null pointer"));
        }
        graph.set(Graph::create().handle)
    }

    fn cuGraphDestroy(graph: Handle) {
        Graph::by_handle(graph)?.forget();
        Ok(())
    }

    fn cuGraphClone(copy: Out<Handle>, graph: Handle) {
        let graph = Graph::by_handle(graph)?;
        if copy.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        copy.set(graph.duplicate().handle)
    }

    fn cuGraphGetId(graph: Handle, id: Out<u32>) {
        id.set(Graph::by_handle(graph)?.handle as u32)
    }

    fn cuGraphGetNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) {
        put_list(&Graph::by_handle(graph)?.handles(), nodes, count)
    }

    fn cuGraphGetRootNodes(graph: Handle, nodes: Out<Handle>, count: Out<usize>) {
        let graph = Graph::by_handle(graph)?;
        let roots: Vec<Handle> =
            lock(&graph.nodes).iter().filter(|(_, n)| n.after.is_empty()).map(|(&h, _)| h).collect();
        put_list(&roots, nodes, count)
    }

    fn cuGraphGetEdges(graph: Handle, from: Out<Handle>, to: Out<Handle>, count: Out<usize>) {
        edges(graph, from, to, count)
    }

    fn cuGraphGetEdges_v2(
        graph: Handle,
        from: Out<Handle>,
        to: Out<Handle>,
        data: Out<u64>,
        count: Out<usize>,
    ) {
        edges(graph, from, to, count)?;
        if from.is_null() || data.is_null() {
            return Ok(());
        }
        data.fill(vec![0; count.get()?])
    }

    fn cuGraphNodeGetDependencies(node: Handle, list: Out<Handle>, count: Out<usize>) {
        neighbours(node, list, count, true)
    }

    fn cuGraphNodeGetDependencies_v2(node: Handle, list: Out<Handle>, data: Out<u64>, count: Out<usize>) {
        neighbours(node, list, count, true)?;
        if list.is_null() || data.is_null() { Ok(()) } else { data.fill(vec![0; count.get()?]) }
    }

    fn cuGraphNodeGetDependentNodes(node: Handle, list: Out<Handle>, count: Out<usize>) {
        neighbours(node, list, count, false)
    }

    fn cuGraphNodeGetDependentNodes_v2(node: Handle, list: Out<Handle>, data: Out<u64>, count: Out<usize>) {
        neighbours(node, list, count, false)?;
        if list.is_null() || data.is_null() { Ok(()) } else { data.fill(vec![0; count.get()?]) }
    }

    fn cuGraphAddDependencies(graph: Handle, from: In<Handle>, to: In<Handle>, count: usize) {
        connect(graph, from, to, count, true)
    }

    fn cuGraphAddDependencies_v2(graph: Handle, from: In<Handle>, to: In<Handle>, _data: In<u64>, count: usize) {
        connect(graph, from, to, count, true)
    }

    fn cuGraphRemoveDependencies(graph: Handle, from: In<Handle>, to: In<Handle>, count: usize) {
        connect(graph, from, to, count, false)
    }

    fn cuGraphRemoveDependencies_v2(
        graph: Handle,
        from: In<Handle>,
        to: In<Handle>,
        _data: In<u64>,
        count: usize,
    ) {
        connect(graph, from, to, count, false)
    }

    fn cuGraphNodeGetType(node: Handle, kind: Out<i32>) {
        kind.set(Graph::of_node(node)?.operation(node)?.kind())
    }

    fn cuGraphNodeFindInClone(found: Out<Handle>, original: Handle, copy: Handle) {
        let copy = Graph::by_handle(copy)?;
        let place = lock(&copy.nodes).iter().find(|(_, n)| n.original == original).map(|(&h, _)| h);
        found.set(place.ok_or_else(|| Code::INVALID_VALUE.because("the graph has no copy of this node"))?)
    }

    fn cuGraphDestroyNode(node: Handle) {
        let graph = Graph::of_node(node)?;
        let mut nodes = lock(&graph.nodes);
        nodes.remove(&node);
        for other in nodes.values_mut() {
            other.after.retain(|&n| n != node);
        }
        NODES.remove(node);
        Ok(())
    }
}
