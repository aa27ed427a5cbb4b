//! Shares of a sweep for several machines.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A share of the units: the I-th of N, counted from 1 in text ("2/3") and from 0 inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Position among the shards, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// Number of shards, at least 1.
    pub fn count(self) -> usize {
        self.count
    }

    /// All shards of a division into `count` (at least 1).
    pub fn all(count: usize) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard { index, count })
    }

    /// The name of the shard's journal.
    pub fn journal_name(self) -> String {
        format!("journal-{}-of-{}.jsonl", self.index + 1, self.count)
    }

    /// The shard whose journal is called `name`.
    pub fn of_journal(name: &str) -> Option<Shard> {
        let (index, count) = name.strip_prefix("journal-")?.strip_suffix(".jsonl")?.split_once("-of-")?;
        format!("{index}/{count}").parse().ok()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shard> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((i @ 1.., count)) if i <= count => Ok(Shard { index: i - 1, count }),
            _ => Err(Error::usage(format!(
                "shard: expected I/N with 1 ≤ I ≤ N, such as 2/3, found \"{text}\""
            ))),
        }
    }
}
