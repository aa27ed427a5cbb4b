//! Fragile, robust, antifragile: what a score says of a layer.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What filtering a layer does to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// It loses.
    Fragile,
    /// It neither loses nor gains beyond doubt.
    Robust,
    /// It gains.
    Antifragile,
    /// There is no score: the unfiltered network gets no clean image right.
    UndefinedClean,
    /// There is no score: the unfiltered network gets no adversarial image right.
    UndefinedAdversarial,
}

impl Label {
    /// The label in one word.
    pub fn word(self) -> &'static str {
        match self {
            Label::Fragile => "fragile",
            Label::Robust => "robust",
            Label::Antifragile => "antifragile",
            Label::UndefinedClean | Label::UndefinedAdversarial => "undefined",
        }
    }
}

impl fmt::Display for Label {
    /// The word; for a score that is missing, with the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Label::UndefinedClean => "undefined: the unfiltered clean accuracy is 0",
            Label::UndefinedAdversarial => "undefined: the unfiltered adversarial accuracy is 0",
            label => label.word(),
        })
    }
}

impl Label {
    /// All of them, in the order from fragile to antifragile, the undefined last.
    pub const ALL: [Label; 5] = [
        Label::Fragile,
        Label::Robust,
        Label::Antifragile,
        Label::UndefinedClean,
        Label::UndefinedAdversarial,
    ];
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Label, D::Error> {
        let text = String::deserialize(deserializer)?;
        Label::ALL
            .into_iter()
            .find(|label| label.to_string() == text)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown label \"{text}\"")))
    }
}
