//! Does a checkpoint fit a network: the same names, the same shapes, finite numbers, variances that are none below zero.

use super::fault::{Fault, Parsed, tensor_place};
use super::found::Expected;
use super::tensor::{Checkpoint, is_batch_counter};
use crate::error::Result;
use std::collections::HashSet;
use std::path::Path;

/// The last part of the name of a batch norm's variances.
const VARIANCE: &str = "running_var";

impl Checkpoint {
    /// Checks that the network's tensors are exactly the `expected` ones and hold finite numbers.
    ///
    /// `expected` lists names and shapes in the order of the network, so that its last entry belongs to
    /// the classifier; `path` is the file to name in the error. `num_batches_tracked` is ignored on
    /// both sides.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input), which names the first missing or mis-shaped tensor in the
    /// order of `expected`, else the first extra one, and counts all three; if the classifier alone
    /// differs, it tells the two class counts; if all shapes agree, it names the first NaN or infinite
    /// weight, or negative variance, by tensor and flat index.
    pub fn check_shapes(&self, path: impl AsRef<Path>, expected: &[Expected]) -> Result<()> {
        self.compare(expected).and_then(|()| self.check_finite()).map_err(|fault| fault.at(path.as_ref()))
    }

    fn compare(&self, expected: &[Expected]) -> Parsed<()> {
        let expected: Vec<&Expected> = expected.iter().filter(|(name, _)| !is_batch_counter(name)).collect();
        let known: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let extra: Vec<_> = self
            .model_tensors()
            .filter(|(name, _)| !is_batch_counter(name) && !known.contains(name))
            .collect();
        let differing: Vec<_> = expected
            .iter()
            .map(|(name, shape)| (name.as_str(), shape, self.tensors.get(name).map(|tensor| &tensor.shape)))
            .filter(|(_, shape, found)| *found != Some(shape))
            .collect();

        let misshaped = differing.iter().filter(|(_, _, found)| found.is_some()).count();
        let missing = differing.len() - misshaped;
        if missing == 0 && extra.is_empty() {
            let shapes: Vec<_> = differing
                .iter()
                .filter_map(|(name, shape, found)| Some((*name, *shape, (*found)?)))
                .collect();
            if let Some(fault) = another_class_count(&expected, &shapes) {
                return Err(fault);
            }
        }
        let counts = format!("{missing} missing, {} extra, {misshaped} mis-shaped", extra.len());
        match (differing.first(), extra.first()) {
            (Some((name, shape, found)), _) => {
                let found = found.map_or("no such tensor".to_owned(), |shape| format!("shape {shape:?}"));
                Err(Fault::new(tensor_place(name), format!("shape {shape:?}"), format!("{found} ({counts})")))
            }
            (None, Some((name, tensor))) => Err(Fault::new(
                tensor_place(name),
                "no tensor of this name in the network",
                format!("shape {:?} ({counts})", tensor.shape),
            )),
            (None, None) => Ok(()),
        }
    }

    fn check_finite(&self) -> Parsed<()> {
        for (name, tensor) in self.model_tensors().filter(|(name, _)| !is_batch_counter(name)) {
            if let Some(index) = tensor.data.iter().position(|value| !value.is_finite()) {
                let place = format!("{}, flat index {index}", tensor_place(name));
                return Err(Fault::new(place, "a finite number", tensor.data[index]));
            }
            let variance = name.rsplit('.').next() == Some(VARIANCE);
            if let Some(index) = tensor.data.iter().position(|value| variance && *value < 0.0) {
                let place = format!("{}, flat index {index}", tensor_place(name));
                return Err(Fault::new(place, "a variance of 0 or more", tensor.data[index]));
            }
        }
        Ok(())
    }
}

/// The fault of a checkpoint of the same network for another number of classes: every mis-shaped tensor
/// belongs to the last module and differs in its first extent alone, by the same two counts.
fn another_class_count(
    expected: &[&Expected],
    misshaped: &[(&str, &Vec<usize>, &Vec<usize>)],
) -> Option<Fault> {
    let (classifier, _) = expected.last()?.0.rsplit_once('.')?;
    let (_, shape, found) = misshaped.first()?;
    let counts = (*shape.first()?, *found.first()?);
    let differs_by_classes = |(name, shape, found): &(&str, &Vec<usize>, &Vec<usize>)| {
        name.rsplit_once('.').is_some_and(|(module, _)| module == classifier)
            && (shape.first(), found.first()) == (Some(&counts.0), Some(&counts.1))
            && shape[1..] == found[1..]
    };
    misshaped.iter().all(differs_by_classes).then(|| {
        Fault::new(
            format!("classifier `{}`", classifier.escape_debug()),
            format!("{} classes", counts.0),
            format!("{} classes", counts.1),
        )
    })
}
