//! What is checked when memory is touched.

/// Which checks run.
#[derive(Clone, Debug)]
pub struct Checks {
    /// Bounds, alignment and lifetime are always checked; this adds reads of memory that nothing has written.
    pub uninitialized: bool,
    /// Races in shared memory.
    pub races: bool,
    /// Destinations of `cp.async` used before they are waited for.
    pub async_copies: bool,
}
