//! The values of a network's parameters: initialised, from a checkpoint, to a checkpoint.

use crate::checkpoint::{Checkpoint, Metadata, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Graph, Init, ParamKind};
use crate::random::Random;
use crate::text::hex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// First random stream of the initial values; parameter `i` takes stream `INIT_STREAM + i`.
const INIT_STREAM: u64 = 1 << 32;

/// One value vector per parameter, in the graph's order; row-major, convolution weights OIHW.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The values.
    pub tensors: Vec<Vec<f32>>,
    /// Training steps that batch norms have seen (`num_batches_tracked`).
    pub batches: i64,
}

impl Weights {
    /// torchvision's default initialisation; the same numbers for the same seed everywhere.
    pub fn init(graph: &Graph, seed: u64) -> Self {
        let values = |(i, param): (usize, &crate::graph::Param)| {
            let mut random = Random::new(seed, INIT_STREAM + i as u64);
            let draw = |_| match param.init {
                Init::Constant(value) => value,
                Init::Normal(deviation) => deviation * random.normal(),
                Init::Uniform(bound) => bound * (2.0 * random.uniform() - 1.0),
            };
            (0..param.len()).map(draw).collect()
        };
        Weights { tensors: graph.params.iter().enumerate().map(values).collect(), batches: 0 }
    }

    /// The values that a checkpoint read from `path` holds for `graph`.
    ///
    /// # Errors
    /// [`crate::Error::Input`] naming the first tensor that is missing, superfluous, of another shape or not finite.
    pub fn from_checkpoint(graph: &Graph, checkpoint: &Checkpoint, path: &Path) -> Result<Self> {
        checkpoint.check_shapes(path, &graph.expected_tensors())?;
        Ok(Self::from_checked(graph, checkpoint))
    }

    /// The values of a checkpoint that is known to hold the tensors of `graph`, as [`crate::checkpoint::File::read`]
    /// sees to it.
    ///
    /// # Panics
    /// Where a tensor is missing.
    pub fn from_checked(graph: &Graph, checkpoint: &Checkpoint) -> Self {
        let tensors = graph.params.iter().map(|p| checkpoint.tensors[&p.name].data.clone()).collect();
        let counters = checkpoint.counters.iter();
        let batches = counters.filter(|(name, _)| name.ends_with(COUNTER)).map(|(_, &n)| n).max();
        Weights { tensors, batches: batches.unwrap_or(0) }
    }

    /// Whether these are finite values of all parameters of `graph`.
    ///
    /// # Errors
    /// A usage error naming the first parameter that is missing, of another length or not finite.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        let (expected, found) = (graph.params.len(), self.tensors.len());
        if expected != found {
            return Err(Error::usage(format!("weights: expected {expected} tensors, found {found}")));
        }
        for (param, values) in graph.params.iter().zip(&self.tensors) {
            let (name, expected, found) = (&param.name, param.len(), values.len());
            if expected != found {
                return Err(Error::usage(format!(
                    "weights: {name}: expected {expected} values, found {found}"
                )));
            }
            if let Some(found) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::usage(format!("weights: {name}: expected finite values, found {found}")));
            }
        }
        Ok(())
    }

    /// SHA-256 over all values in the graph's order, hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"synfilter weights 1\n");
        for tensor in &self.tensors {
            hash.update((tensor.len() as u64).to_le_bytes());
            tensor.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        hex(&hash.finalize())
    }

    /// A checkpoint with these values.
    pub fn to_checkpoint(&self, graph: &Graph, meta: Metadata) -> Checkpoint {
        let mut checkpoint = Checkpoint { meta, ..Checkpoint::default() };
        for (param, data) in graph.params.iter().zip(&self.tensors) {
            let tensor = Tensor { shape: param.shape.clone(), data: data.clone() };
            checkpoint.tensors.insert(param.name.clone(), tensor);
            if param.kind == ParamKind::Statistic
                && let Some(path) = param.name.strip_suffix("running_mean")
            {
                checkpoint.counters.insert(format!("{path}{COUNTER}"), self.batches);
            }
        }
        checkpoint
    }

    /// The filterable tensors by name, in the graph's order.
    pub fn filterable<'a>(&'a self, graph: &'a Graph) -> Vec<(&'a str, &'a [f32])> {
        let tensor = |p: usize| (graph.params[p].name.as_str(), &self.tensors[p][..]);
        graph.filterable().into_iter().map(tensor).collect()
    }

    /// The values by parameter name.
    pub fn by_name<'a>(&'a self, graph: &'a Graph) -> BTreeMap<&'a str, &'a [f32]> {
        graph.params.iter().zip(&self.tensors).map(|(p, t)| (p.name.as_str(), &t[..])).collect()
    }
}

/// What torch calls the step counter of a batch norm.
const COUNTER: &str = "num_batches_tracked";
