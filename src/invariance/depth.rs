//! Networks with different layers, by depth.

use super::document::{Bin, DepthAgreement, DepthPair, Landmark, LandmarkScore, Layer};
use super::gather::Scored;
use super::landmarks::roles;
use super::layers::Column;
use super::statistics::{mean, spearman_rho};
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::graph::{Graph, Shape};
use crate::models::Arch;
use crate::score::Which;
use std::path::Path;

/// Into how many parts depth is divided.
pub const BINS: usize = 10;

/// The bin of the layer at `index` of `count`: ⌊10·index/(count − 1)⌋, the last layer in the last bin.
pub fn bin(index: usize, count: usize) -> usize {
    match count {
        0 | 1 => 0,
        _ => (BINS * index / (count - 1)).min(BINS - 1),
    }
}

/// A network as far as depth goes: how many filterable tensors it has, and which of them are landmarks.
pub struct Frame {
    count: usize,
    /// Its landmarks, in network order.
    pub landmarks: Vec<Landmark>,
}

impl Frame {
    /// That of a checkpoint's network.
    ///
    /// # Errors
    /// An input error if this program does not know the network, or not the layers that were swept.
    pub fn of(scored: &Scored) -> Result<Frame> {
        let run = Path::new(&scored.checkpoint.run);
        let (arch, stem) = (&scored.checkpoint.arch, scored.checkpoint.stem);
        let known: Arch = arch.parse().map_err(|_| {
            Error::input(run, "architecture", "one that this program knows", format!("\"{arch}\""))
        })?;
        // Names, order and edges depend neither on the size of the images nor on the number of classes.
        let graph = known.build_with(Shape { c: 3, h: 64, w: 64 }, 10, stem)?;
        let names = names(&graph);
        if let Some(odd) = scored.layers.iter().find(|layer| names.get(layer.index) != Some(&layer.name)) {
            let expected = names.get(odd.index).map_or("none", String::as_str);
            return Err(Error::input(run, format!("layer {} of {arch}", odd.index), expected, &odd.name));
        }
        let count = names.len();
        let landmarks = roles(&graph).into_iter().map(|(index, role)| Landmark {
            role,
            layer: Layer { name: names[index].clone(), index },
            depth: index as f64 / (count.max(2) - 1) as f64,
            swept: scored.layers.iter().any(|layer| layer.index == index),
        });
        Ok(Frame { count, landmarks: landmarks.collect() })
    }
}

fn names(graph: &Graph) -> Vec<String> {
    graph.filterable().into_iter().map(|param| graph.params[param].name.clone()).collect()
}

/// How far `members`, whose networks are `frames`, agree.
pub fn agreement(
    members: &[&Scored],
    frames: &[Frame],
    by: Which,
    filter: Option<FilterKind>,
) -> DepthAgreement {
    let columns: Vec<Column> = members.iter().map(|member| Column::of(member, by, filter)).collect();
    let without_score: Vec<usize> =
        (0..members.len()).filter(|&member| columns[member].complete().is_none()).collect();
    let each = || members.iter().zip(frames).zip(&columns);
    let bins: Vec<Vec<Bin>> = each().map(|((member, frame), column)| bins(member, frame, column)).collect();
    let landmarks = each().map(|((member, frame), column)| {
        frame.landmarks.iter().map(|landmark| landmark_score(member, landmark, column)).collect()
    });
    let landmarks = landmarks.collect();
    let mut pairs = Vec::new();
    for a in 0..members.len() {
        for b in a + 1..members.len() {
            if without_score.contains(&a) || without_score.contains(&b) {
                continue;
            }
            let both = bins[a].iter().zip(&bins[b]).filter_map(|(a, b)| a.mean.zip(b.mean));
            let (of_a, of_b): (Vec<f64>, Vec<f64>) = both.unzip();
            let left_out = BINS - of_a.len();
            pairs.push(DepthPair { a, b, bins: of_a.len(), left_out, rho: spearman_rho(&of_a, &of_b) });
        }
    }
    let mean_rho = mean(pairs.iter().map(|pair| &pair.rho));
    DepthAgreement { by, filter, without_score, bins, pairs, mean_rho, landmarks }
}

fn bins(member: &Scored, frame: &Frame, column: &Column) -> Vec<Bin> {
    let in_bin = |wanted: usize| {
        let layers = member.layers.iter().zip(&column.scores);
        let scores =
            layers.filter(|(layer, _)| bin(layer.index, frame.count) == wanted).map(|(_, score)| *score);
        let scores: Vec<Option<f64>> = scores.collect();
        let sum: Option<f64> = scores.iter().copied().sum();
        Bin {
            layers: scores.len(),
            mean: sum.filter(|_| !scores.is_empty()).map(|sum| sum / scores.len() as f64),
        }
    };
    (0..BINS).map(in_bin).collect()
}

fn landmark_score(member: &Scored, landmark: &Landmark, column: &Column) -> LandmarkScore {
    match member.layers.iter().position(|layer| *layer == landmark.layer) {
        None => LandmarkScore { score: None, se: None, label: None },
        Some(at) => {
            LandmarkScore { score: column.scores[at], se: column.ses[at], label: Some(column.labels[at]) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_have_exact_boundaries() {
        // 21 layers: 20 steps, two to a bin; the last layer joins the two before it.
        let of_21: Vec<usize> = (0..21).map(|index| bin(index, 21)).collect();
        assert_eq!(of_21, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 9]);
        // Depth 0.3 and 0.7 are boundaries, which floating-point numbers miss: 10·(3/10) and 10·(21/30) fall below.
        for (index, count, expected) in [
            (3, 11, 3),
            (2, 11, 2),
            (7, 11, 7),
            (21, 31, 7),
            (20, 31, 6),
            (10, 11, 9),
            (9, 11, 9),
            (0, 11, 0),
        ] {
            assert_eq!(bin(index, count), expected, "{index} of {count}");
        }
        // Fewer layers than bins leave bins empty.
        assert_eq!([0, 1, 2].map(|index| bin(index, 3)), [0, 5, 9]);
        assert_eq!([bin(0, 1), bin(0, 2), bin(1, 2)], [0, 0, 9]);
    }
}
