//! The network of one cell of a sweep, to be attacked.

use super::document::Filtered;
use crate::error::{Error, Result};
use crate::filter::{Census, FilterKind, Mask, WeightRange, variants};
use crate::model::Model;
use crate::sweep::Scope;
use crate::sweep::plan::resolve_layers;
use std::path::Path;
use std::slice;

/// A cell of a sweep, which says what a filter leaves of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct FilteredCell {
    /// The filter.
    pub filter: FilterKind,
    /// The layer, by the name of its tensor (`conv1.weight`).
    pub layer: String,
    /// The number of the threshold, from 0.
    pub threshold: usize,
    /// Thresholds of the filter.
    pub thresholds: usize,
}

impl FilteredCell {
    /// What is filtered of a network, and the mask that does it. `path` is only named in errors.
    ///
    /// # Errors
    /// A usage error for a layer that it does not have and a threshold beyond the last; those of [`WeightRange::of`].
    pub fn of(&self, model: &Model, path: &Path) -> Result<Option<(Filtered, Mask)>> {
        let FilteredCell { filter, ref layer, threshold: k, thresholds } = *self;
        let tensors = model.weights.filterable(&model.graph);
        let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
        resolve_layers(Scope::Layer, Some(slice::from_ref(layer)), &names)?;
        let found = tensors.iter().enumerate().find(|(_, (name, _))| name == layer);
        let Some((layer_index, &(_, weights))) = found else { return Ok(None) };
        let range = WeightRange::of(&[(layer, weights)], path)?;
        let variants = variants(&[filter], thresholds, range)?;
        let Some(variant) = variants.get(k) else {
            let last = variants.len() - 1;
            return Err(Error::usage(format!("--threshold: expected 0 to {last}, found {k}")));
        };
        let census = Census::of(&variants, &[weights]);
        let filtered = Filtered {
            layer: layer.clone(),
            layer_index,
            filter,
            thresholds,
            k,
            alpha: variant.alpha,
            kept: census.kept[k],
            total: census.total,
        };
        Ok(Some((filtered, variant.mask)))
    }
}
