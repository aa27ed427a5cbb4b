//! Which score, and against what: the three scores and the two baselines by their names.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What accuracy is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The share of kept weights ρ, as the authors' own analysis does.
    Density,
    /// The unfiltered network: 1.
    Unfiltered,
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Baseline::Density => "density",
            Baseline::Unfiltered => "unfiltered",
        })
    }
}

impl FromStr for Baseline {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Baseline::Density, Baseline::Unfiltered]
            .into_iter()
            .find(|baseline| baseline.to_string() == name)
            .ok_or_else(|| {
                Error::usage(format!("unknown baseline \"{name}\": expected density or unfiltered"))
            })
    }
}

/// One of the three scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The clean score S.
    Clean,
    /// The adversarial score Sε.
    Adversarial,
    /// The difference score SΔ.
    Difference,
}

impl Which {
    /// All of them.
    pub const ALL: [Which; 3] = [Which::Clean, Which::Adversarial, Which::Difference];
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Which::Clean => "clean",
            Which::Adversarial => "adversarial",
            Which::Difference => "difference",
        })
    }
}

impl FromStr for Which {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Which::ALL.into_iter().find(|which| which.to_string() == name).ok_or_else(|| {
            Error::usage(format!("unknown score \"{name}\": expected clean, adversarial or difference"))
        })
    }
}
