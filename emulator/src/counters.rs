//! What a launch did, counted exactly.

use crate::isa::Class;
use std::collections::BTreeMap;

/// Counts of one launch; those of blocks add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Warp instructions issued, by class.
    pub warp_instructions: BTreeMap<Class, u64>,
    /// The same, times active lanes.
    pub lane_instructions: BTreeMap<Class, u64>,
}
