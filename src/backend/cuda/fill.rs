//! How full launches make a device, and how many of their kind side by side would fill it.
//!
//! A device holds so many blocks of a launch at once: a *wave*. A launch of b blocks, of which it holds w, takes ⌈b/w⌉ waves and
//! makes them (b/w) / ⌈b/w⌉ full: small maps and few images leave a device empty within a wave, grids of a few waves in their
//! last one. The mean over the launches of a run is its fill, as if all of them took equally long: where one wave or two are
//! all that a kernel has, its time is hardly that of its work.

/// How full launches make a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill {
    launches: u32,
    sum: f64,
}

/// The fill that is enough: what grids of three waves have, if their last wave is half full.
const ENOUGH: f64 = 0.8;
/// The most queues. Each has working tapes of its own, and further ones would share caches that hold the values of a few.
const MOST: usize = 4;

impl Fill {
    /// Adds a launch of `blocks`, of which the device holds `wave` at once.
    pub fn add(&mut self, blocks: usize, wave: usize) {
        let waves = blocks as f64 / wave.max(1) as f64;
        self.launches += 1;
        self.sum += waves / waves.ceil();
    }

    /// Mean of the launches: more than 0, at most 1, and 1 without launches.
    pub fn mean(self) -> f64 {
        if self.launches == 0 { 1.0 } else { self.sum / f64::from(self.launches) }
    }

    /// How many runs of such launches it takes side by side: as many as together are 0.8 full, at most 4.
    pub fn queues(self) -> usize {
        ((ENOUGH / self.mean()).ceil() as usize).clamp(1, MOST)
    }
}
