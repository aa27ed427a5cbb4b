//! `attack.parquet`: what became of each image, one row per network and attack.

use super::document::{Filtered, NetworkCurves, SecurityRecord};
use crate::attack::{Method, Pgd};
use crate::columnar::{Field, Kind, TableWriter, Value};
use crate::error::{Error, Result};
use crate::sweep::Bits;
use std::path::Path;

/// The name of the file in its folder.
pub const ATTACK_PARQUET: &str = "attack.parquet";

/// Its columns. A row without `method` is of the clean images; `seed` is u64 in the bits of a signed number.
pub const COLUMNS: &[Field] = &[
    Field { name: "checkpoint", kind: Kind::Text, optional: false },
    Field { name: "file", kind: Kind::Text, optional: false },
    Field { name: "arch", kind: Kind::Text, optional: false },
    Field { name: "stem", kind: Kind::Text, optional: true },
    Field { name: "dataset", kind: Kind::Text, optional: false },
    Field { name: "epoch", kind: Kind::Int, optional: true },
    Field { name: "layer", kind: Kind::Text, optional: true },
    Field { name: "filter", kind: Kind::Text, optional: true },
    Field { name: "k", kind: Kind::Int, optional: true },
    Field { name: "method", kind: Kind::Text, optional: true },
    Field { name: "steps", kind: Kind::Int, optional: true },
    Field { name: "step_size", kind: Kind::Double, optional: true },
    Field { name: "seed", kind: Kind::Int, optional: true },
    Field { name: "eps", kind: Kind::Double, optional: true },
    Field { name: "images", kind: Kind::Int, optional: false },
    Field { name: "correct", kind: Kind::Int, optional: false },
    Field { name: "loss", kind: Kind::Double, optional: true },
    Field { name: "bits", kind: Kind::Bytes, optional: false },
];

/// One bit per image, 1 where it was classified correctly, of the clean images and of every point of every curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// Of the clean images.
    pub clean: Bits,
    /// Per curve and point.
    pub curves: Vec<Vec<Bits>>,
}

/// Writes `attack.parquet` into `folder`, with the outcomes of each of the document's networks.
///
/// # Errors
/// [`Error::Write`]; a failure where outcomes and document are not of the same images.
pub fn write_outcomes(folder: &Path, document: &SecurityRecord, outcomes: &[Outcomes]) -> Result<()> {
    let mut table = TableWriter::create(&folder.join(ATTACK_PARQUET), COLUMNS, &[])?;
    for (network, outcomes) in document.networks.iter().zip(outcomes) {
        let mut rows = vec![row(document, network, None, &outcomes.clean)?];
        for (curve, bits) in network.curves.iter().zip(&outcomes.curves) {
            for (point, bits) in curve.points.iter().zip(bits) {
                rows.push(row(document, network, Some((&curve.attack, point)), bits)?);
            }
        }
        table.write_rows(&rows)?;
    }
    table.finish()
}

fn row(
    document: &SecurityRecord,
    network: &NetworkCurves,
    attacked: Option<(&Method, &super::Point)>,
    bits: &Bits,
) -> Result<Vec<Value>> {
    let count = attacked.map_or(&network.clean, |(_, point)| &point.count);
    if (bits.len(), bits.count_ones()) != (document.images, count.correct) {
        let (images, correct) = (document.images, count.correct);
        return Err(Error::Failed(format!(
            "attack: expected {correct} of {images} images right, found {} of {}",
            bits.count_ones(),
            bits.len()
        )));
    }
    let filtered = network.filtered.as_ref();
    let of = |value: fn(&Filtered) -> Value| filtered.map_or(Value::Null, value);
    let pgd = attacked.and_then(|(method, _)| match method {
        Method::Fgsm => None,
        Method::Pgd(pgd) => Some(pgd),
    });
    let setting = |value: fn(&Pgd) -> Value| pgd.map_or(Value::Null, value);
    Ok(vec![
        network.checkpoint.sha256.as_str().into(),
        network.file.as_str().into(),
        network.arch.as_str().into(),
        network.stem.told().into(),
        document.dataset.as_str().into(),
        network.checkpoint.epoch.into(),
        of(|filtered| filtered.layer.as_str().into()),
        of(|filtered| filtered.filter.name().into()),
        of(|filtered| (filtered.k as i64).into()),
        attacked.map(|(method, _)| method.name().to_string()).into(),
        setting(|pgd| pgd.steps.into()),
        attacked.and_then(|(_, point)| point.step_size).into(),
        setting(|pgd| pgd.seed.map(|seed| seed as i64).into()),
        attacked.map(|(_, point)| point.eps).into(),
        (document.images as i64).into(),
        (count.correct as i64).into(),
        count.loss.into(),
        bits.as_bytes().to_vec().into(),
    ])
}
