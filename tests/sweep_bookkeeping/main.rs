//! The bookkeeping of sweeps, with a measure that makes its outcomes up from a hash: whatever happens to blocks,
//! shards, journals and processes, the finished tables are the same.

mod before_stems;
mod fake;
mod refusals;
mod results;
mod sampled;
