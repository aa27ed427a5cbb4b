//! The outcomes of a checkpoint's cells as statistics take them.
//!
//! Cells hold their bits in file order. A sampled sweep visited images in another order, and where a network's images stand in it
//! is what its estimates rest on; so here its bits are put into that order, and the images that a cell names are held against those
//! that its threshold says.

use crate::bits::Bits;
use crate::statistics::{Point, Pool, Sample, Seen};
use crate::sweep::{Order, Record};
use std::borrow::Cow;

/// What is wrong with the cells of a checkpoint: what, what was expected, what was found.
pub(super) type Misfit = (&'static str, String, String);

/// The outcomes of the cells of one checkpoint.
pub(super) struct Outcomes<'r> {
    sample: Sample,
    cells: Vec<Seeing<'r>>,
}

/// What one network did.
struct Seeing<'r> {
    seen: Seen,
    clean: Cow<'r, Bits>,
    adv: Cow<'r, Bits>,
}

impl<'r> Outcomes<'r> {
    /// Those of the records of a checkpoint, of which the first is the unfiltered network's.
    ///
    /// # Errors
    /// What is wrong, if the records are not of the same images, or of other ones than their thresholds say.
    pub fn of(unfiltered: &Record, records: &'r [Record]) -> Result<Outcomes<'r>, Misfit> {
        let sampling = |record: &Record| (record.cell.pool, record.cell.thin, record.cell.order_seed);
        let (expected, all) = (sampling(unfiltered), unfiltered.cell.images);
        if let Some(odd) = records.iter().find(|record| sampling(record) != expected) {
            return Err(("sample", format!("{expected:?}"), format!("{:?}", sampling(odd))));
        }
        let (Some(pool), Some(thin), Some(seed)) = expected else {
            return Outcomes::whole(all, records);
        };
        let sample = Sample::new(pool, thin)
            .map_err(|error| ("sample", "one that can be".to_owned(), error.to_string()))?;
        let order = Order::new(seed, pool);
        let cells =
            records.iter().map(|record| Seeing::sampled(record, sample, &order)).collect::<Result<_, _>>()?;
        Ok(Outcomes { sample, cells })
    }

    fn whole(images: usize, records: &'r [Record]) -> Result<Outcomes<'r>, Misfit> {
        let misfit = |what, expected: usize, found: usize| (what, expected.to_string(), found.to_string());
        for record in records {
            if record.cell.images != images {
                return Err(misfit("images", images, record.cell.images));
            }
            if [record.clean.len(), record.adv.len()] != [images; 2] {
                return Err(misfit("outcomes", images, record.clean.len().min(record.adv.len())));
            }
        }
        let seeing = |record: &'r Record| Seeing {
            seen: Seen::All,
            clean: Cow::Borrowed(&record.clean),
            adv: Cow::Borrowed(&record.adv),
        };
        Ok(Outcomes { sample: Sample::whole(images), cells: records.iter().map(seeing).collect() })
    }

    /// The unfiltered network's, on all images.
    pub fn pool(&self) -> Pool<'_> {
        Pool::new(self.sample, &self.cells[0].clean, &self.cells[0].adv)
    }

    /// The point of a curve that a record, by position, is.
    pub fn point(&self, at: usize, kept: f64) -> Point<'_> {
        let Seeing { seen, clean, adv } = &self.cells[at];
        Point { seen: *seen, kept, clean, adv }
    }
}

impl Seeing<'_> {
    /// The outcomes of a cell in the order of the positions of its images.
    fn sampled(record: &Record, sample: Sample, order: &Order) -> Result<Self, Misfit> {
        let (pool, thin) = (sample.images(), sample.thin());
        let found = || {
            let name = record.cell.layer.as_deref().unwrap_or("network");
            let k = record.cell.k.map_or(String::new(), |k| format!(", k = {k}"));
            format!("others, or another number, for {name}{k}")
        };
        let misfit = || ("bits_seen", format!("the images that a sample of one in {thin} takes"), found());
        let of = record.seen.as_ref().filter(|of| of.len() == pool).ok_or_else(misfit)?;
        let mut outcomes = record.clean.iter().zip(record.adv.iter());
        let by_file: Vec<Option<(bool, bool)>> =
            of.iter().map(|seen| if seen { outcomes.next() } else { None }).collect();
        // A network that drops nothing is the unfiltered one, which sees all. The others have the images of the first cell that is the
        // same network: whose threshold that is, the group of their first image tells.
        let first =
            (0..pool).find(|&position| by_file[order.files()[position]].is_some()).ok_or_else(misfit)?;
        let seen = match of.count_ones() == pool {
            true => Seen::All,
            false => Seen::Variant(thin - Sample::group(first) % thin),
        };
        if [of.count_ones(), record.clean.len(), record.adv.len()] != [sample.count(seen); 3] {
            return Err(misfit());
        }
        let (mut clean, mut adv) = (Bits::new(), Bits::new());
        for position in sample.saw(seen) {
            let (a, b) = by_file[order.files()[position]].ok_or_else(misfit)?;
            clean.push(a);
            adv.push(b);
        }
        Ok(Seeing { seen, clean: Cow::Owned(clean), adv: Cow::Owned(adv) })
    }
}
