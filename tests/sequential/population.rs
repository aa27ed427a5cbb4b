//! Images whose outcomes under every filtered network of a layer are known.

use std::path::Path;
use synfilter::bits::Bits;
use synfilter::filter::FilterKind;
use synfilter::random::Random;
use synfilter::statistics::{Baseline, Curve, Estimates, Point, Pool, Sample, Seen};
use synfilter::sweep::Record;
use synfilter::sweep::export::read_cells;

/// The outcomes of one filter's networks: for each image a word, whose bit k is the network with threshold number k.
struct Outcomes {
    filter: FilterKind,
    kept: Vec<f64>,
    clean: Vec<u32>,
    adv: Vec<u32>,
}

/// All images, with what the networks of one layer make of them.
pub struct Population {
    clean: Vec<bool>,
    adv: Vec<bool>,
    filters: Vec<Outcomes>,
}

/// Some images of a population in the order in which they are visited, and the unfiltered network's outcomes on them.
pub struct Visit<'p> {
    population: &'p Population,
    /// The words of these images, filter by filter, clean and attacked.
    words: Vec<[Vec<u32>; 2]>,
    pub clean: Bits,
    pub adv: Bits,
}

impl Population {
    /// Made-up outcomes. An image is easy or hard; high-pass and low-pass lose it at a threshold that follows from that, by a little
    /// more or less for each filter, pulse loses few, and single networks are right or wrong at random the more the nearer an image is
    /// to being lost. Under attack images are lost earlier, and some that the unfiltered network gets wrong are right with a
    /// filter. Where `sorted`, images come class by class, and a class is the easier the higher its number.
    pub fn made_up(images: usize, sorted: bool, seed: u64) -> Population {
        let mut random = Random::new(seed, 0);
        let severities = (0..25).map(|k| k as f32 / 24.0);
        let filters = FilterKind::ALL.map(|filter| {
            let kept = severities.clone().map(|severity| match filter {
                FilterKind::Pulse => 0.97,
                _ => 0.99 * (1.0 - f64::from(severity)),
            });
            Outcomes { filter, kept: kept.collect(), clean: Vec::new(), adv: Vec::new() }
        });
        let mut made = Population { clean: Vec::new(), adv: Vec::new(), filters: filters.into() };
        for image in 0..images {
            let class = (image * 10 / images) as f32;
            let ease = if sorted { 0.09 * class + 0.1 * random.uniform() } else { random.uniform() };
            let base = ease + 0.3 * random.uniform();
            let needed = [0.15, 0.7];
            made.clean.push(base > needed[0]);
            made.adv.push(base > needed[1]);
            for outcomes in &mut made.filters {
                let own = random.uniform() - 0.5;
                let (spread, chance) =
                    if outcomes.filter == FilterKind::Pulse { (0.1, 0.005) } else { (0.7, 0.08) };
                for (needed, words) in needed.into_iter().zip([&mut outcomes.clean, &mut outcomes.adv]) {
                    let mut word = 0;
                    for (k, severity) in severities.clone().enumerate() {
                        let lost = match outcomes.filter {
                            FilterKind::Pulse => (0.2 - 0.8 * (severity - 0.5).abs()).max(0.0),
                            _ => 0.8 * severity,
                        };
                        let left =
                            base - needed - lost * (1.0 - 0.4 * own) + spread * (random.uniform() - 0.5);
                        word |= u32::from(left > 0.0 || random.uniform() < chance) << k;
                    }
                    words.push(word);
                }
            }
        }
        made
    }

    /// The layers of a real sweep, with their names.
    pub fn real() -> Vec<(String, Population)> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/outcomes/cells.parquet");
        let (_, records) = read_cells(&file).unwrap();
        let (unfiltered, cells) = records.split_first().unwrap();
        let of_layer = |layer: &[Record]| {
            let filters = layer.chunk_by(|a, b| a.cell.filter == b.cell.filter).map(|curve| {
                let words = |bits: fn(&Record) -> &Bits| {
                    let mut words = vec![0; unfiltered.cell.images];
                    for (k, record) in curve.iter().enumerate() {
                        let each = words.iter_mut().zip(bits(record).iter());
                        each.for_each(|(word, bit)| *word |= u32::from(bit) << k);
                    }
                    words
                };
                let kept = curve.iter().map(|record| record.cell.kept as f64 / record.cell.total as f64);
                Outcomes {
                    filter: curve[0].cell.filter.unwrap(),
                    kept: kept.collect(),
                    clean: words(|record| &record.clean),
                    adv: words(|record| &record.adv),
                }
            });
            let (clean, adv) = (unfiltered.clean.iter().collect(), unfiltered.adv.iter().collect());
            (layer[0].cell.layer.clone().unwrap(), Population { clean, adv, filters: filters.collect() })
        };
        cells.chunk_by(|a, b| a.cell.layer == b.cell.layer).map(of_layer).collect()
    }

    /// How many images there are.
    pub fn images(&self) -> usize {
        self.clean.len()
    }

    /// These images in that order.
    pub fn visit(&self, order: Vec<usize>) -> Visit<'_> {
        let of = |outcomes: &[bool]| order.iter().map(|&image| outcomes[image]).collect();
        let words = |all: &[u32]| order.iter().map(|&image| all[image]).collect();
        let words = self.filters.iter().map(|filter| [words(&filter.clean), words(&filter.adv)]);
        Visit { population: self, words: words.collect(), clean: of(&self.clean), adv: of(&self.adv) }
    }

    /// So many images, drawn at random with replacement.
    pub fn draw(&self, images: usize, seed: u64) -> Visit<'_> {
        let mut random = Random::new(seed, 1);
        self.visit((0..images).map(|_| random.below(self.images() as u32) as usize).collect())
    }

    /// The scores of the whole population: the truth.
    pub fn truth(&self) -> Vec<Estimates> {
        self.visit((0..self.images()).collect()).estimates(Sample::whole(self.images()))
    }
}

impl Visit<'_> {
    /// The unfiltered network's outcomes in a sample of these images.
    pub fn pool(&self, sample: Sample) -> Pool<'_> {
        Pool::new(sample, &self.clean, &self.adv)
    }

    /// The outcomes of a network on the images that it sees: a filter, a threshold, clean or attacked.
    pub fn bits(&self, sample: Sample, [filter, k]: [usize; 2], attacked: bool) -> (Seen, Bits) {
        let outcomes = &self.population.filters[filter];
        let words = &self.words[filter][usize::from(attacked)];
        // What keeps all weights is the unfiltered network.
        let seen = if outcomes.kept[k] == 1.0 { Seen::All } else { Seen::Variant(k) };
        (seen, sample.saw(seen).map(|position| words[position] >> k & 1 == 1).collect())
    }

    /// The scores that a sweep with this sample finds.
    pub fn estimates(&self, sample: Sample) -> Vec<Estimates> {
        let filters = &self.population.filters;
        let bits: Vec<Vec<[(Seen, Bits); 2]>> = filters
            .iter()
            .enumerate()
            .map(|(at, outcomes)| {
                let network = |k| [false, true].map(|attacked| self.bits(sample, [at, k], attacked));
                (0..outcomes.kept.len()).map(network).collect()
            })
            .collect();
        let mut curves = Vec::new();
        for (outcomes, networks) in filters.iter().zip(&bits) {
            let points = networks.iter().zip(&outcomes.kept);
            let points =
                points.map(|([(seen, clean), (_, adv)], &kept)| Point { seen: *seen, kept, clean, adv });
            curves.push(Curve { filter: outcomes.filter, points: points.collect() });
        }
        Estimates::of(&curves, &self.pool(sample), Baseline::Density)
    }
}
