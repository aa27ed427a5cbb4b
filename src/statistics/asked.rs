//! Which scores of a layer have to be known before a sweep leaves it.

use super::which::Which;
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::named_choice::named_choice;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

named_choice!(
    /// Over which filters a score has to be known.
    Over, "filters" {
        /// The mean over the filters that are swept.
        Combined = "combined",
        /// Each filter by itself.
        Filters = "filters",
        /// Both.
        All = "all"
    }
);

/// Which scores of a layer have to be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Asked {
    /// At least one, each once, in the order of [`Which::ALL`].
    scores: Vec<Which>,
    over: Over,
}

impl Asked {
    /// These scores, in any order, over these filters.
    ///
    /// # Errors
    /// A usage error for no score.
    pub fn new(scores: &[Which], over: Over) -> Result<Asked> {
        let scores: Vec<Which> = Which::ALL.into_iter().filter(|which| scores.contains(which)).collect();
        if scores.is_empty() {
            return Err(Error::usage("by: expected at least one score, found none"));
        }
        Ok(Asked { scores, over })
    }

    /// The scores that are asked for of a target that is swept with these filters. One filter has no combined score, and
    /// its own stands for it.
    pub fn of(&self, filters: &[FilterKind]) -> Vec<(Option<FilterKind>, Which)> {
        let combined = (self.over != Over::Filters && filters.len() > 1).then_some(None);
        let each = self.over != Over::Combined || filters.len() == 1;
        let each = filters.iter().filter(|_| each).map(|&filter| Some(filter));
        each.chain(combined)
            .flat_map(|filter| self.scores.iter().map(move |&which| (filter, which)))
            .collect()
    }
}

impl Default for Asked {
    /// The three combined scores.
    fn default() -> Self {
        Asked { scores: Which::ALL.to_vec(), over: Over::Combined }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        if self.scores.len() < Which::ALL.len() {
            words.extend(self.scores.iter().map(Which::to_string));
        }
        if self.over != Over::Combined || words.is_empty() {
            words.push(self.over.to_string());
        }
        f.pad(&words.join(","))
    }
}

impl FromStr for Asked {
    type Err = Error;

    /// Scores (clean, adversarial, difference; all three if none is named) and over which filters (combined, filters, all;
    /// combined if nothing is said), with commas between them: "adversarial", "clean,adversarial", "difference,all", "all".
    fn from_str(text: &str) -> Result<Self> {
        let (mut scores, mut over) = (Vec::new(), None);
        let twice = || {
            Error::usage(format!("by: expected each score once and one choice of filters, found \"{text}\""))
        };
        for word in text.split(',').map(str::trim) {
            match (word.parse::<Which>(), word.parse::<Over>()) {
                (Ok(which), _) if scores.contains(&which) => return Err(twice()),
                (Ok(which), _) => scores.push(which),
                (_, Ok(_)) if over.is_some() => return Err(twice()),
                (_, Ok(named)) => over = Some(named),
                _ => {
                    return Err(Error::usage(format!(
                        "by: expected scores (clean, adversarial, difference) and combined, filters or all, found \"{word}\""
                    )));
                }
            }
        }
        let scores = if scores.is_empty() { &Which::ALL[..] } else { &scores };
        Asked::new(scores, over.unwrap_or(Over::Combined))
    }
}

impl From<Asked> for String {
    fn from(asked: Asked) -> String {
        asked.to_string()
    }
}

impl TryFrom<String> for Asked {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_and_are_short() {
        for (text, short, labels) in [
            ("combined", "combined", 3),
            ("all", "all", 12),
            ("filters", "filters", 9),
            ("adversarial", "adversarial", 1),
            ("adversarial, clean", "clean,adversarial", 2),
            ("all,difference", "difference,all", 4),
            ("difference,adversarial,clean", "combined", 3),
        ] {
            let asked: Asked = text.parse().unwrap();
            assert_eq!((asked.to_string().as_str(), asked.of(&FilterKind::ALL).len()), (short, labels));
            assert_eq!(short.parse::<Asked>().unwrap(), asked);
            let json = serde_json::to_string(&asked).unwrap();
            assert_eq!(
                (json.clone(), serde_json::from_str::<Asked>(&json).unwrap()),
                (format!("\"{short}\""), asked)
            );
        }
        assert_eq!("combined".parse::<Asked>().unwrap(), Asked::default());
    }

    #[test]
    fn one_filter_stands_for_the_mean_it_has_not() {
        let [high, low] = [FilterKind::HighPass, FilterKind::LowPass];
        let asked: Asked = "adversarial".parse().unwrap();
        assert_eq!(asked.of(&[high]), [(Some(high), Which::Adversarial)]);
        assert_eq!(asked.of(&[high, low]), [(None, Which::Adversarial)]);
        let all: Asked = "clean,all".parse().unwrap();
        assert_eq!(all.of(&[high]), [(Some(high), Which::Clean)]);
        assert_eq!(all.of(&[low, high]), [Some(low), Some(high), None].map(|filter| (filter, Which::Clean)));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, expected) in [
            ("", "found \"\""),
            ("adversarial,both", "found \"both\""),
            ("clean,clean", "by: expected each score once and one choice of filters, found \"clean,clean\""),
            ("all,combined", "found \"all,combined\""),
        ] {
            let error = text.parse::<Asked>().unwrap_err();
            assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{error}");
        }
        assert_eq!(Asked::new(&[], Over::All).unwrap_err().exit_code(), 2);
    }
}
