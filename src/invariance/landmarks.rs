//! What layers are in their network, read off its graph.

use super::document::Role;
use crate::graph::{Graph, NodeId, Op, ParamId};

/// The layers of a network that have a role, by position among the filterable tensors, in network order.
///
/// A branch is the shorter of the two ways (in layers, one at least) that lead from a fork to a sum or a concatenation:
/// beside a ResNet's blocks the 1×1 convolution of `downsample`, in the ShuffleNet's units that halve the map the two of
/// `branch1`. The two convolutions that follow a squeeze of the SqueezeNet are no way around one another: it has none.
pub fn roles(graph: &Graph) -> Vec<(usize, Role)> {
    let filterable = graph.filterable();
    let first = graph.nodes.iter().find_map(|node| {
        let reads_images = node.inputs.iter().any(|&input| graph.nodes[input].op == Op::Input);
        weight(&node.op).filter(|_| reads_images)
    });
    let last = last_layer(graph);
    let branches = branches(graph);
    let role = |(index, param): (usize, &ParamId)| {
        let role = match param {
            param if Some(*param) == first => Role::First,
            param if Some(*param) == last => Role::Last,
            param if branches.contains(param) => Role::Branch,
            _ => return None,
        };
        Some((index, role))
    };
    filterable.iter().enumerate().filter_map(role).collect()
}

fn weight(op: &Op) -> Option<ParamId> {
    match op {
        Op::Conv { weight, .. } => Some(*weight),
        _ => None,
    }
}

/// The layer from which no other leads to the logits.
fn last_layer(graph: &Graph) -> Option<ParamId> {
    let mut node = graph.logits;
    loop {
        if let Some(weight) = weight(&graph.nodes[node].op) {
            return Some(weight);
        }
        node = *graph.nodes[node].inputs.first()?;
    }
}

/// The layers of all branches.
fn branches(graph: &Graph) -> Vec<ParamId> {
    let mut found = Vec::new();
    for node in &graph.nodes {
        let (Op::Add | Op::Concat, &[a, b]) = (&node.op, &*node.inputs) else { continue };
        let (before_a, before_b) = (before(graph, a), before(graph, b));
        let only = |own: &[bool], other: &[bool]| -> Vec<ParamId> {
            let nodes = graph.nodes.iter().zip(own.iter().zip(other));
            nodes
                .filter(|(_, (own, other))| **own && !**other)
                .filter_map(|(node, _)| weight(&node.op))
                .collect()
        };
        let (a, b) = (only(&before_a, &before_b), only(&before_b, &before_a));
        match a.len().cmp(&b.len()) {
            std::cmp::Ordering::Less => found.extend(a),
            std::cmp::Ordering::Greater => found.extend(b),
            std::cmp::Ordering::Equal => (),
        }
    }
    found
}

/// Which nodes a value depends on, itself included.
fn before(graph: &Graph, node: NodeId) -> Vec<bool> {
    let mut before = vec![false; graph.nodes.len()];
    before[node] = true;
    for at in (0..=node).rev() {
        if before[at] {
            graph.nodes[at].inputs.iter().for_each(|&input| before[input] = true);
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;
    use crate::models::Arch;

    fn named(arch: Arch, wanted: Role) -> Vec<String> {
        let graph = arch.build(Shape { c: 3, h: 64, w: 64 }, 10).unwrap();
        let filterable = graph.filterable();
        roles(&graph)
            .into_iter()
            .filter(|(_, role)| *role == wanted)
            .map(|(index, _)| graph.params[filterable[index]].name.clone())
            .collect()
    }

    #[test]
    fn every_network_begins_and_ends() {
        for (arch, first, last) in [
            (Arch::Resnet18, "conv1.weight", "fc.weight"),
            (Arch::Resnet50, "conv1.weight", "fc.weight"),
            (Arch::Squeezenet1_1, "features.0.weight", "classifier.1.weight"),
            (Arch::ShufflenetV2X1_0, "conv1.0.weight", "fc.weight"),
            (Arch::ShufflenetV2X0_5, "conv1.0.weight", "fc.weight"),
            (Arch::MobilenetV2, "features.0.0.weight", "classifier.1.weight"),
            (Arch::Densenet121, "features.conv0.weight", "classifier.weight"),
        ] {
            assert_eq!(named(arch, Role::First), [first], "{arch}");
            assert_eq!(named(arch, Role::Last), [last], "{arch}");
        }
        for arch in Arch::ALL {
            let [first, last] = [Role::First, Role::Last].map(|role| named(arch, role).len());
            assert_eq!([first, last], [1, 1], "{arch}");
        }
    }

    #[test]
    fn branches_are_the_shorter_ways() {
        let downsample = |stages: &[usize]| -> Vec<String> {
            stages.iter().map(|stage| format!("layer{stage}.0.downsample.0.weight")).collect()
        };
        assert_eq!(named(Arch::Resnet18, Role::Branch), downsample(&[2, 3, 4]));
        assert_eq!(named(Arch::Resnet50, Role::Branch), downsample(&[1, 2, 3, 4]));
        assert!(named(Arch::Squeezenet1_1, Role::Branch).is_empty());
        let branch1: Vec<String> = [2, 3, 4]
            .iter()
            .flat_map(|stage| [0, 2].map(|at| format!("stage{stage}.0.branch1.{at}.weight")))
            .collect();
        assert_eq!(named(Arch::ShufflenetV2X1_0, Role::Branch), branch1);
    }
}
