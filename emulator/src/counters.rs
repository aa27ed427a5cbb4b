//! What a launch did, counted exactly.

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
    /// Loads from global memory (atomics aside, copies by `cp.async` included), and stores.
    pub global_loads: GlobalTraffic,
    pub global_stores: GlobalTraffic,
    /// Loads from shared memory, and stores.
    pub shared_loads: SharedTraffic,
    pub shared_stores: SharedTraffic,
    /// Atomics.
    pub global_atomics: Traffic,
    pub shared_atomics: Traffic,
    /// Local memory: variables of functions, and what calls pass in memory.
    pub local_loads: Traffic,
    pub local_stores: Traffic,
    pub constant_loads: Traffic,
    pub parameter_loads: Traffic,
    /// Copies by `cp.async`; the bytes are those that come to shared memory.
    pub async_copies: SharedTraffic,
    /// Blocks that ran.
    pub blocks: u64,
    /// Warps that ran.
    pub warps: u64,
}

/// Accesses to a memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Warp instructions.
    pub requests: u64,
    /// Bytes that their lanes asked for, together.
    pub bytes: u64,
}

/// Accesses to global memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct GlobalTraffic {
    /// Warp instructions.
    pub requests: u64,
    /// Bytes that their lanes asked for, together.
    pub bytes: u64,
    /// Different bytes per request: those that several lanes asked for count once.
    pub used_bytes: u64,
    /// Different sectors of 32 bytes per request: what is moved. `used_bytes` of `32 * sectors` are of use.
    pub sectors: u64,
    /// Different bytes in the whole launch: the traffic that no cache could save.
    pub distinct_bytes: u64,
}

/// Accesses to shared memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SharedTraffic {
    /// Warp instructions.
    pub requests: u64,
    /// Bytes that their lanes asked for, together.
    pub bytes: u64,
    /// Times that the banks were asked.
    pub wavefronts: u64,
    /// Times that they would have been asked without conflicts.
    pub ideal_wavefronts: u64,
}

impl Traffic {
    fn merge(&mut self, other: &Traffic) {
        self.requests += other.requests;
        self.bytes += other.bytes;
    }
}

impl GlobalTraffic {
    fn merge(&mut self, other: &GlobalTraffic) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.used_bytes += other.used_bytes;
        self.sectors += other.sectors;
        self.distinct_bytes += other.distinct_bytes;
    }

    /// How much of what is moved is used; 1 is perfect coalescing.
    pub fn efficiency(&self) -> f64 {
        if self.sectors == 0 { 1.0 } else { self.used_bytes as f64 / (32 * self.sectors) as f64 }
    }
}

impl SharedTraffic {
    fn merge(&mut self, other: &SharedTraffic) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.wavefronts += other.wavefronts;
        self.ideal_wavefronts += other.ideal_wavefronts;
    }

    /// Wavefronts that conflicts cost.
    pub fn conflicts(&self) -> u64 {
        self.wavefronts - self.ideal_wavefronts
    }
}

/// What instructions are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    Integer,
    Logic,
    Move,
    Compare,
    Convert,
    F16,
    F32,
    F64,
    Special,
    Matrix,
    LoadGlobal,
    StoreGlobal,
    LoadShared,
    StoreShared,
    LoadLocal,
    StoreLocal,
    LoadConstant,
    LoadParameter,
    StoreParameter,
    Atomic,
    AsyncCopy,
    LoadMatrix,
    Shuffle,
    Vote,
    Barrier,
    Fence,
    Branch,
    Call,
    Other,
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Class; 29] = {
        use Class::*;
        [
            Integer,
            Logic,
            Move,
            Compare,
            Convert,
            F16,
            F32,
            F64,
            Special,
            Matrix,
            LoadGlobal,
            StoreGlobal,
            LoadShared,
            StoreShared,
            LoadLocal,
            StoreLocal,
            LoadConstant,
            LoadParameter,
            StoreParameter,
            Atomic,
            AsyncCopy,
            LoadMatrix,
            Shuffle,
            Vote,
            Barrier,
            Fence,
            Branch,
            Call,
            Other,
        ]
    };
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
        self.global_loads.merge(&other.global_loads);
        self.global_stores.merge(&other.global_stores);
        self.shared_loads.merge(&other.shared_loads);
        self.shared_stores.merge(&other.shared_stores);
        self.global_atomics.merge(&other.global_atomics);
        self.shared_atomics.merge(&other.shared_atomics);
        self.local_loads.merge(&other.local_loads);
        self.local_stores.merge(&other.local_stores);
        self.constant_loads.merge(&other.constant_loads);
        self.parameter_loads.merge(&other.parameter_loads);
        self.async_copies.merge(&other.async_copies);
        self.blocks += other.blocks;
        self.warps += other.warps;
    }

    /// Lanes active in an instruction, on average.
    pub fn average_active_lanes(&self) -> f64 {
        self.lane_instructions.total() as f64 / self.warp_instructions.total().max(1) as f64
    }
}
