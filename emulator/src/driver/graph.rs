//! The functions that make graphs, join their nodes and tell of them.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::lock;
use super::objects::graph::{Graph, NODES};
use super::sys::{Handle, In, Out};

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
        driver()?;
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
