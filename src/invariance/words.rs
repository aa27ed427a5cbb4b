//! Figures of a comparison as people read them.

use super::document::{Measure, Share};
use crate::filter::FilterKind;

pub(super) fn percent(share: Share) -> String {
    match share.compared {
        0 => "–".to_owned(),
        compared => format!("{:.1} %", 100.0 * share.agreeing as f64 / compared as f64),
    }
}

/// The lowest and the highest of the measures that are numbers.
pub(super) fn range<'m>(measures: impl Iterator<Item = &'m Measure>) -> [String; 2] {
    let mut values: Vec<f64> = measures.filter_map(Measure::value).collect();
    values.sort_by(f64::total_cmp);
    [values.first(), values.last()]
        .map(|value| value.map_or("–".to_owned(), |value| format!("{value:+.3}")))
}

/// Those that are told layer by layer: of the combined scores, or of the first filter where there are none.
pub fn shown<A>(agreements: &[A], filter: impl Fn(&A) -> Option<FilterKind>) -> Vec<&A> {
    let first = agreements.first().map(&filter);
    let combined = agreements.iter().any(|agreement| filter(agreement).is_none());
    agreements
        .iter()
        .filter(
            |agreement| if combined { filter(agreement).is_none() } else { Some(filter(agreement)) == first },
        )
        .collect()
}
