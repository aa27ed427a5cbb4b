//! The way through many images: some at a time, so that progress shows and a wish to stop is heard.

use super::{Evaluation, evaluate};
use crate::attack::Attack;
use crate::backend::{Backend, SLAB, Verdicts};
use crate::data::Images;
use crate::error::Result;
use crate::network::{BnMode, Network, STATISTICS_BATCH};
use crate::watch::{Part, Watch, check};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Images computed at a time if nothing is said.
const DEFAULT_CHUNK: usize = 1000;

/// Images computed at a time, in whole slabs or batches. No result depends on it.
pub fn chunk(bn: BnMode, wanted: Option<NonZeroUsize>) -> usize {
    let whole = if bn == BnMode::Batch { STATISTICS_BATCH } else { SLAB };
    wanted.map_or(DEFAULT_CHUNK, NonZeroUsize::get).div_ceil(whole).saturating_mul(whole)
}

/// How many images are taken at a time.
#[derive(Clone, Copy)]
pub struct Chunks<'a> {
    /// What is done, as the watcher hears it.
    pub what: &'a str,
    /// Images at a time: see [`chunk`].
    pub chunk: usize,
    /// Who hears how it goes on.
    pub watch: &'a dyn Watch,
}

impl Chunks<'_> {
    /// Evaluates a network on a range of images, as [`evaluate`] does.
    ///
    /// # Errors
    /// Those of [`evaluate`]; [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn evaluate<B: Backend>(
        self,
        network: &Network<B>,
        images: &Images,
        range: Range<usize>,
        attacks: &[Attack],
        outputs: bool,
    ) -> Result<Evaluation> {
        self.each(range, attacks.len(), |part, done| evaluate(network, images, part, attacks, outputs, done))
    }

    /// The same with what `find` finds of every chunk; it says how many of its images are done.
    ///
    /// # Errors
    /// Those of `find`; [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn each(
        self,
        range: Range<usize>,
        attacks: usize,
        mut find: impl FnMut(Range<usize>, &(dyn Fn(usize) + Sync)) -> Result<Evaluation>,
    ) -> Result<Evaluation> {
        let Chunks { what, chunk, watch } = self;
        watch.begins(&Part { what, units: range.len() as u64, unit: "images", before: 0 });
        let all_done = AtomicU64::new(0);
        let done = |images: usize| {
            let before = all_done.fetch_add(images as u64, Ordering::Relaxed);
            watch.done(before + images as u64, &String::new);
        };
        let adversarial = vec![Verdicts::default(); attacks];
        let mut all = Evaluation { adversarial, ..Evaluation::default() };
        for start in range.clone().step_by(chunk) {
            check(watch)?;
            all.append(find(start..range.end.min(start.saturating_add(chunk)), &done)?);
        }
        watch.ends();
        Ok(all)
    }
}
