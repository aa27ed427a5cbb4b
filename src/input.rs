//! What a command read, told to the user before anything is computed and recorded with its results.

use crate::data::Reading;
use crate::model::Taken;
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
    /// The networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Taken>,
}

impl Input {
    /// Images that are measured on.
    pub fn of(images: Reading) -> Input {
        Input { images, train: None, networks: Vec::new() }
    }

    /// Images that are trained on, and images that are measured on.
    pub fn of_training(train: Reading, images: Reading) -> Input {
        Input { images, train: Some(train), networks: Vec::new() }
    }

    /// The same with the networks that were read.
    pub fn with(self, networks: Vec<Taken>) -> Input {
        Input { networks, ..self }
    }
}

/// A few lines for people, without an end of line.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(train) = &self.train {
            writeln!(f, "{train}")?;
        }
        write!(f, "{}", self.images)?;
        // Of several networks, such as the epochs of a training, all of the first, of the others what differs.
        let mut before: Vec<String> = Vec::new();
        for network in &self.networks {
            let lines = network.lines();
            for line in lines.iter().filter(|line| !before.contains(line)) {
                write!(f, "\n{line}")?;
            }
            before = lines;
        }
        Ok(())
    }
}
