//! How images are normalised for a network, and who says so.

use super::said::Said;
use super::taken::Origin;
use crate::checkpoint::{File, Found, Metadata};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::network::Normalisation;
use std::path::Path;

/// Names that are looked at for a normalisation.
const MOST_ENDING: usize = 100;

/// What is to be said of tensors beside the network that look like a normalisation: a network that begins with one wants
/// images that are normalised so.
pub(super) fn own_normalisation(file: &File, found: &Found, taken: bool) -> Option<String> {
    let named = |ends: [&str; 3]| {
        let lower = |name: &str| name.to_ascii_lowercase();
        let ending = found.passed_over.iter().filter(|name| {
            let counts = taken && ["mean", "std"].contains(&name.as_str());
            !counts && ends.iter().any(|end| lower(name).ends_with(end))
        });
        let few = |name: &String| {
            let values = file.small(name).filter(|values| values.len() <= 4)?;
            Some((name.escape_debug().to_string(), values))
        };
        ending.take(MOST_ENDING).find_map(few)
    };
    let ((mean_name, mean), (std_name, std)) =
        (named(["mean", "mu", "means"])?, named(["std", "sigma", "sds"])?);
    Some(format!(
        "`{mean_name}` = {mean:?} and `{std_name}` = {std:?} lie beside the network; if it normalises images with them, say \
         --mean and --std"
    ))
}

/// How images are normalised, and who says so: the user, else the file, else the data set.
pub(super) fn normalisation(
    path: &Path,
    choice: &Said,
    meta: &Metadata,
    images: &Images,
) -> Result<(Normalisation, Origin)> {
    let channels = images.shape[0];
    let told = |recorded: &Option<Vec<f32>>, said: &Option<Vec<f32>>| recorded.is_some() || said.is_some();
    let all_told = told(&meta.mean, &choice.mean) && told(&meta.std, &choice.std);
    let Normalisation { mean, std } = match default_normalisation(images) {
        Some(default) => default,
        // Neither is used.
        None if all_told => Normalisation::none(channels),
        None => {
            let what =
                "normalisation: expected --mean and --std, as neither the file nor a data set tells them";
            return Err(Error::usage(format!("{}: {what}", path.display())));
        }
    };
    let recorded = |name: &str, recorded: &Option<Vec<f32>>, default| match recorded {
        Some(values) if values.len() == channels => Ok(values.clone()),
        Some(values) => {
            let expected = format!("{channels} values, one per channel");
            Err(Error::input(path, format!("metadata `{name}`"), expected, values.len()))
        }
        None => Ok(default),
    };
    let own =
        Normalisation { mean: recorded("mean", &meta.mean, mean)?, std: recorded("std", &meta.std, std)? };
    let by = if choice.mean.is_some() || choice.std.is_some() {
        Origin::Flag
    } else if meta.mean.is_some() || meta.std.is_some() {
        Origin::Metadata
    } else {
        Origin::Dataset
    };
    Ok((choice.over(own)?, by))
}

/// What images of their data set are normalised with where nothing else is told.
pub(super) fn default_normalisation(images: &Images) -> Option<Normalisation> {
    let (mean, std) = images.dataset?.default_mean_std(images.shape[0]);
    Some(Normalisation { mean, std })
}
