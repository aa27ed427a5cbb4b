//! The figures of a report, each from the data that it shows.

pub(super) mod channels;
mod heatmap;
pub(super) mod invariance;
mod labels;
mod responses;
pub(super) mod retraining;
pub(super) mod security;

use super::figure::Figure;
use super::gather::Material;
use std::collections::BTreeSet;

/// All figures of a report, in its order.
pub fn figures(material: &Material) -> Vec<Figure> {
    let mut figures = responses::figures(material);
    figures.extend(heatmap::figures(material));
    figures.extend(invariance::figures(material));
    figures.extend(channels::figures(material));
    figures.extend(security::figures(material));
    figures.extend(retraining::figures(material));
    // Two runs may have swept the same network.
    let mut taken = BTreeSet::new();
    for figure in &mut figures {
        let name =
            if figure.name.is_empty() { "figure".to_owned() } else { std::mem::take(&mut figure.name) };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name));
        figure.name = free.unwrap_or(name);
        taken.insert(figure.name.clone());
    }
    figures
}
