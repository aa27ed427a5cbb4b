//! A made-up network, and sweeps with it.

use std::cell::Cell as Counter;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use synfilter::filter::{FilterKind, Mask};
use synfilter::provenance::Provenance;
use synfilter::sweep::Keep;
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET};
use synfilter::sweep::plan::resolve_layers;
use synfilter::sweep::*;
use synfilter::{Error, Result};
use tempfile::TempDir;

pub const LAYERS: [&str; 3] = ["conv1.weight", "layer1.0.conv1.weight", "fc.weight"];

/// Their output channels.
pub const OUTPUTS: [usize; 3] = [4, 5, 2];

/// A network without arithmetic: every image's outcome is a hash of the checkpoint, the target, the mask and the
/// image. It insists on the order of calls that the trait promises.
pub struct Fake<'c> {
    pub checkpoint: usize,
    /// Which image lies at each place, where that is another.
    pub laid: Option<Vec<usize>>,
    pub block: Option<Range<usize>>,
    pub target: Option<Target>,
    /// Networks measured so far, and after how many to fail.
    pub measured: &'c Counter<usize>,
    pub fail_after: usize,
}

impl Fake<'_> {
    fn outcome(&self, mask: &Mask) -> Result<Outcome> {
        if self.measured.get() >= self.fail_after {
            return Err(Error::Device("the device is gone".into()));
        }
        self.measured.set(self.measured.get() + 1);
        let block = self.block.clone().expect("begin_block comes first");
        Ok(block.fold(Outcome::default(), |mut outcome, place| {
            let image = self.laid.as_ref().map_or(place, |laid| laid[place]);
            let (clean, adv) = fake_image(self.checkpoint, self.target, mask, image);
            outcome.push(clean, adv);
            outcome
        }))
    }
}

/// What the fake network does on one image: correct and loss, clean and adversarial.
pub fn fake_image(
    checkpoint: usize,
    target: Option<Target>,
    mask: &Mask,
    image: usize,
) -> ((bool, f32), (bool, f32)) {
    let target = match target {
        None => 1000,
        Some(Target::Network) => 1001,
        Some(Target::Layer(index)) => index as u64,
        Some(Target::Channel { layer, channel }) => (2000 + 100 * layer + channel) as u64,
    };
    let bounds = u64::from(mask.lo.to_bits()) << 32 | u64::from(mask.hi.to_bits());
    let mut hash = 0x9e37_79b9_7f4a_7c15u64;
    for word in [checkpoint as u64, target, bounds, u64::from(mask.keep_inside), image as u64] {
        hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    let loss = |bits: u64| (bits & 0xffff) as f32 / 4096.0;
    ((hash & 3 != 0, loss(hash >> 8)), (hash & 0x30 == 0, loss(hash >> 24)))
}

impl Measure for Fake<'_> {
    fn begin_block(&mut self, images: Range<usize>) -> Result<Outcome> {
        assert_eq!(self.target, None);
        self.block = Some(images);
        self.outcome(&Mask::ALL)
    }

    fn begin_target(&mut self, target: &Target) -> Result<()> {
        assert_eq!(self.target.replace(*target), None);
        Ok(())
    }

    fn variants(&mut self, masks: &[Mask], after_each: &mut AfterEach) -> Result<Vec<Outcome>> {
        assert!(self.target.is_some());
        let mut outcomes = Vec::new();
        for mask in masks {
            outcomes.push(self.outcome(mask)?);
            after_each()?;
        }
        Ok(outcomes)
    }

    fn end_target(&mut self) -> Result<()> {
        assert!(self.target.take().is_some());
        Ok(())
    }
}

/// The layers that have to be named in this scope: all but the first.
fn named(scope: Scope) -> Option<Vec<String>> {
    (scope == Scope::Channel).then(|| LAYERS[1..].iter().map(|name| name.to_string()).collect())
}

pub fn settings(scope: Scope) -> SweepSettings {
    SweepSettings {
        checkpoints: [10, 20]
            .map(|epoch| CheckpointId {
                sha256: format!("{epoch:064x}"),
                key: None,
                epoch: Some(epoch),
                seed: None,
                mean: vec![0.5],
                std: vec![0.25],
            })
            .to_vec(),
        arch: "resnet18".into(),
        stem: Default::default(),
        graph: "graph".into(),
        dataset: "digits".into(),
        dataset_digest: "digest".into(),
        images: [3, 40],
        pick: None,
        prepare: None,
        scope,
        layers: resolve_layers(scope, named(scope).as_deref(), &LAYERS).unwrap(),
        filters: FilterKind::ALL.to_vec(),
        thresholds: 3,
        eps: 8.0 / 255.0,
        attack: AttackMode::Adaptive,
        pgd: None,
        clamp: true,
        bn: BnMode::Running,
        sampling: None,
        dtype: "f32".into(),
        backend: "cpu".into(),
        version: "0.1.0".into(),
    }
}

/// A new folder, in memory where the system has such a place: the tests flush to the disk thousands of times.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Weights of the filterable tensors of checkpoint 0 or 1; the last tensor has one value only.
pub fn weights(checkpoint: usize) -> [Vec<f32>; 3] {
    let spread = |n: usize, seed: usize| {
        (0..n).map(|at| ((at * 37 + seed * 11 + checkpoint * 5) % 101) as f32 / 50.0 - 1.0).collect()
    };
    [spread(20, 1), spread(50, 2), vec![0.5; 4]]
}

pub fn plan_with(settings: SweepSettings, block: usize) -> SweepPlan {
    let checkpoints = (0..settings.checkpoints.len()).map(|checkpoint| {
        let weights = weights(checkpoint);
        let tensors: Vec<(&str, &[f32])> =
            LAYERS.iter().zip(&weights).map(|(name, weights)| (*name, weights.as_slice())).collect();
        CheckpointPlan::of(&settings, &tensors, &OUTPUTS, Path::new("net.safetensors")).unwrap()
    });
    let checkpoints = checkpoints.collect();
    SweepPlan::new(settings, block, checkpoints).unwrap()
}

pub fn plan(block: usize) -> SweepPlan {
    plan_with(settings(Scope::Layer), block)
}

pub fn provenance() -> Provenance {
    Provenance {
        version: "0.1.0".into(),
        command: ["synfilter", "sweep"].map(String::from).to_vec(),
        ..Provenance::default()
    }
}

pub fn job(folder: &Path, shard: Shard, resume: bool) -> Keep<'_> {
    Keep { folder, shard, resume, provenance: provenance(), input: None }
}

/// Sweeps with the fake; stops it after `fail_after` networks. Returns how many it measured, too.
pub fn sweep_until(job: Keep<'_>, plan: &mut SweepPlan, fail_after: usize) -> (Result<Finished>, usize) {
    let measured = Counter::new(0);
    let order = plan.settings.sampling.as_ref().map(|of| Order::new(of.order_seed, plan.settings.images[1]));
    let mut open = |checkpoint| -> Result<Box<dyn Measure + '_>> {
        let laid = order.as_ref().map(Order::laid);
        Ok(Box::new(Fake { checkpoint, laid, block: None, target: None, measured: &measured, fail_after }))
    };
    let result = sweep(job, plan, &mut open, &mut |_| {}, &|| false);
    (result, measured.get())
}

pub fn sweep_all(folder: &Path, plan: &mut SweepPlan, resume: bool) -> Finished {
    sweep_until(job(folder, Shard::WHOLE, resume), plan, usize::MAX).0.unwrap()
}

/// Both finished tables.
pub fn tables(folder: &Path) -> (String, Vec<u8>) {
    (fs::read_to_string(folder.join(CELLS_JSONL)).unwrap(), fs::read(folder.join(CELLS_PARQUET)).unwrap())
}

/// The tables of an uninterrupted run in one block.
pub fn reference() -> (String, Vec<u8>) {
    let folder = scratch();
    sweep_all(folder.path(), &mut plan(1000), false);
    tables(folder.path())
}

pub fn journal(folder: &Path) -> PathBuf {
    folder.join("journal-1-of-1.jsonl")
}

pub fn usage(result: Result<Finished>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}
