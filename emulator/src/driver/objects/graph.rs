//! Graphs: operations and what each comes after.

use super::operation::Operation;
use super::user_object::Held;
use crate::driver::device::driver;
use crate::driver::error::{Code, Result};
use crate::driver::handles::{Registry, lock};
use crate::driver::sys::Handle;
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
        driver()?;
        GRAPHS.get(handle).ok_or_else(|| Code::INVALID_VALUE.because(format!("{handle:#x} is not a graph")))
    }

    /// The graph of a node.
    pub fn of_node(node: Handle) -> Result<Arc<Graph>> {
        driver()?;
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
