//! What a launch did, counted exactly.

use crate::isa::Class;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Counts of one launch; those of blocks add up, in any order, to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Warp instructions issued.
    pub warp_instructions: PerClass,
    /// The same, times active lanes.
    pub lane_instructions: PerClass,
    /// Multiply-adds of lanes on the FMA units.
    pub fma_macs: u64,
    /// Multiply-adds on matrix units.
    pub matrix_macs: u64,
    /// Conditional and indexed branches of warps.
    pub branches: u64,
    /// Those of them whose lanes went different ways.
    pub divergent_branches: u64,
    /// Barriers of a block that were completed.
    pub barriers: u64,
    /// Blocks that ran.
    pub blocks: u64,
    /// Warps that ran.
    pub warps: u64,
}

/// A count per class of instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerClass([u64; Class::ALL.len()]);

impl PerClass {
    /// The count of a class.
    pub fn get(&self, class: Class) -> u64 {
        self.0[class as usize]
    }

    /// Counts more of a class.
    #[inline(always)]
    pub fn add(&mut self, class: Class, count: u64) {
        self.0[class as usize] += count;
    }

    /// Of all classes together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &PerClass) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a += b;
        }
    }
}

/// As a map from class to count, without zeros.
impl Serialize for PerClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for class in Class::ALL {
            if self.get(class) != 0 {
                map.serialize_entry(&class, &self.get(class))?;
            }
        }
        map.end()
    }
}

impl Counters {
    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Counters) {
        self.warp_instructions.merge(&other.warp_instructions);
        self.lane_instructions.merge(&other.lane_instructions);
        self.fma_macs += other.fma_macs;
        self.matrix_macs += other.matrix_macs;
        self.branches += other.branches;
        self.divergent_branches += other.divergent_branches;
        self.barriers += other.barriers;
        self.blocks += other.blocks;
        self.warps += other.warps;
    }

    /// Lanes active in an instruction, on average.
    pub fn average_active_lanes(&self) -> f64 {
        self.lane_instructions.total() as f64 / self.warp_instructions.total().max(1) as f64
    }
}
