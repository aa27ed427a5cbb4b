//! What a command read, told to the user before anything is computed and recorded with its results.

use crate::data::Reading;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The images that were measured on.
    pub images: Reading,
    /// The images that were trained on, if any were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Reading>,
}

impl Input {
    /// Images that are measured on.
    pub fn of(images: Reading) -> Input {
        Input { images, train: None }
    }

    /// Images that are trained on, and images that are measured on.
    pub fn of_training(train: Reading, images: Reading) -> Input {
        Input { images, train: Some(train) }
    }
}

/// A few lines for people, without an end of line.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(train) = &self.train {
            writeln!(f, "{train}")?;
        }
        write!(f, "{}", self.images)
    }
}
