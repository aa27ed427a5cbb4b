//! Makes the security curves of checkpoints, on a device, in a folder.

use super::cell::FilteredCell;
use super::document::{Count, Filtered, NetworkCurves, Point, SecurityCurve, SecurityRecord, VERSION};
use super::outcomes::{Outcomes, write_outcomes};
use super::unfinished::Unfinished;
use crate::attack::{Attack, Eps, Method};
use crate::backend::opened::{Device, Work, on_device};
use crate::backend::{Backend, Verdicts};
use crate::bits::Bits;
use crate::data::{Images, Reading};
use crate::error::Result;
use crate::eval::{Chunks, Evaluation, Tally, chunk, evaluate};
use crate::filter::Mask;
use crate::input::Input;
use crate::model::{CheckpointId, Model, Said};
use crate::models::Stem;
use crate::network::{BnMode, Network};
use crate::provenance::Provenance;
use crate::watch::Watch;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Security curves to be made: of which checkpoints, on which images, under which attacks.
pub struct Curves<'a> {
    /// The device.
    pub device: &'a Device,
    /// The files.
    pub checkpoints: &'a [PathBuf],
    /// The images to attack.
    pub images: &'a Images,
    /// Which they are of all, and how they were prepared.
    pub reading: &'a Reading,
    /// What the user says of the networks.
    pub said: &'a Said,
    /// The attacks.
    pub methods: &'a [Method],
    /// Their sizes, ascending.
    pub eps: &'a [Eps],
    /// What is filtered, if anything is.
    pub cell: Option<FilteredCell>,
    /// Whether adversarial images are clipped.
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
    /// Images computed at a time; no result depends on it.
    pub batch: Option<NonZeroUsize>,
    /// The command that is recorded, word by word.
    pub command: Vec<String>,
    /// The seed that is recorded.
    pub seed: u64,
    /// Who hears how it goes on.
    pub watch: &'a dyn Watch,
}

impl Curves<'_> {
    /// Makes them in a folder, or goes on with those that were begun there.
    ///
    /// # Errors
    /// Those of the checkpoints, of the device and of the folder's files; [`Error::Interrupted`](crate::Error::Interrupted) where
    /// the watcher stops it, with every finished block kept.
    pub fn run(&self, folder: &Path) -> Result<SecurityRecord> {
        on_device!(self.device, Work::Measuring, |backend| self.on(backend, folder))
    }

    fn on<B: Backend>(&self, backend: &B, folder: &Path) -> Result<SecurityRecord> {
        // What cannot be is known before the first attack: of several checkpoints each is read twice.
        let (mut first, mut ids) = (None, Vec::new());
        let (mut taken, mut stems) = (Vec::new(), Vec::new());
        for path in self.checkpoints.iter().rev() {
            let model = self.load(path)?;
            stems.push(model.stem);
            ids.push((model.id(), self.filtered(&model, path)?.map(|(filtered, _)| filtered)));
            taken.push(model.taken.clone());
            first = Some(model);
        }
        ids.reverse();
        taken.reverse();
        stems.reverse();
        let unfinished = Unfinished::open(folder, &self.settings(&ids, &stems))?;
        let input = Input::of(self.reading.clone()).with(taken);
        self.watch.taken(&input);
        let (mut networks, mut outcomes) = (Vec::new(), Vec::new());
        for (at, path) in self.checkpoints.iter().enumerate() {
            let model = first.take().map_or_else(|| self.load(path), Ok)?;
            let (curves, bits) = self.network(backend, path, model, (&unfinished, at))?;
            networks.push(curves);
            outcomes.push(bits);
        }
        let device = self.device.description()?;
        let document = SecurityRecord {
            version: VERSION,
            dataset: self.images.name().to_owned(),
            dataset_digest: self.images.digest.clone(),
            images: self.images.len(),
            clamp: self.clamp,
            bn: self.bn,
            dtype: self.device.dtype().to_owned(),
            backend: self.device.name().to_owned(),
            networks,
            provenance: Provenance::of(self.command.clone(), self.seed, device, self.checkpoints),
            input: Some(input),
        };
        write_outcomes(folder, &document, &outcomes)?;
        document.write(folder)?;
        unfinished.remove()?;
        Ok(document)
    }

    fn load(&self, path: &Path) -> Result<Model> {
        Model::open(path, self.said, self.images)
    }

    /// What is filtered of a network, and the mask that does it.
    fn filtered(&self, model: &Model, path: &Path) -> Result<Option<(Filtered, Mask)>> {
        self.cell.as_ref().map_or(Ok(None), |cell| cell.of(model, path))
    }

    /// The curves of one network.
    fn network<B: Backend>(
        &self,
        backend: &B,
        path: &Path,
        model: Model,
        (unfinished, at): (&Unfinished, usize),
    ) -> Result<(NetworkCurves, Outcomes)> {
        let (checkpoint, arch, stem) = (model.id(), model.name.clone(), model.stem);
        let cell = self.filtered(&model, path)?;
        let mut network = Network::new(backend, model.graph, &model.weights, model.norm, self.bn.mode());
        let filtered = cell.map(|(filtered, mask)| {
            network.mask(filtered.layer_index, mask);
            filtered
        });
        let attacks: Vec<Attack> = self
            .methods
            .iter()
            .flat_map(|&method| self.eps.iter().map(move |eps| eps.attack(method, self.clamp)))
            .collect();
        let what = format!("attack {}", path.display());
        let chunks = Chunks { what: &what, chunk: chunk(self.bn, self.batch), watch: self.watch };
        let found = chunks.each(0..self.images.len(), attacks.len(), |block, done| {
            if let Some(kept) = unfinished.kept(at, &block, attacks.len())? {
                done(block.len());
                return Ok(kept);
            }
            let found = evaluate(&network, self.images, block.clone(), &attacks, false, done)?;
            unfinished.keep(at, &block, &found)?;
            Ok(found)
        })?;
        let Evaluation { clean, adversarial, .. } = found;
        let points = attacks.iter().zip(&adversarial).map(|(attack, verdicts)| Point {
            eps: attack.eps,
            step_size: attack.method.step_size(attack.eps),
            count: count(verdicts),
        });
        let points: Vec<Point> = points.collect();
        let bits: Vec<_> = adversarial.iter().map(bits).collect();
        let per_curve = self.eps.len().max(1);
        let curve =
            |(&attack, points): (&Method, &[Point])| SecurityCurve { attack, points: points.to_vec() };
        let curves = NetworkCurves {
            file: path.display().to_string(),
            checkpoint,
            arch,
            stem,
            filtered,
            clean: count(&clean),
            curves: self.methods.iter().zip(points.chunks(per_curve)).map(curve).collect(),
        };
        let outcomes = Outcomes {
            clean: self::bits(&clean),
            curves: bits.chunks(per_curve).map(<[_]>::to_vec).collect(),
        };
        Ok((curves, outcomes))
    }

    /// Everything that results depend on, in a form to compare.
    fn settings(&self, networks: &[(CheckpointId, Option<Filtered>)], stems: &[Stem]) -> Value {
        let mut settings = json!({
            "dataset_digest": self.images.digest, "images": self.images.len(), "clamp": self.clamp, "bn": self.bn,
            "methods": self.methods, "eps": self.eps.iter().map(|eps| eps.0).collect::<Vec<_>>(), "networks": networks,
            "dtype": self.device.dtype(), "backend": self.device.name(),
            "program": env!("CARGO_PKG_VERSION"),
        });
        // Only where there are others than torchvision's, so that attacks of versions that knew no other go on.
        if !stems.iter().all(Stem::is_imagenet) {
            settings["stems"] = json!(stems);
        }
        // Only where there is one, as folders of versions without a choice have it.
        if let Some(pick) = &self.reading.pick {
            settings["pick"] = json!(pick);
        }
        settings
    }
}

fn count(verdicts: &Verdicts) -> Count {
    let tally = Tally::from(verdicts);
    let loss = tally.loss / verdicts.correct.len() as f64;
    Count { correct: tally.correct, loss: Some(loss).filter(|loss| loss.is_finite()) }
}

fn bits(verdicts: &Verdicts) -> Bits {
    verdicts.correct.iter().copied().collect()
}
