//! The front door of studies: a study file on a device, looked over or run.

use super::check::check;
use super::cost::{Cost, costs};
use super::execute::Executor;
use super::images::Store;
use super::run::{Event, StudySummary, finished, run};
use super::spec::Spec;
use super::state::StepRecord;
use super::steps::{Step, steps};
use crate::backend::opened::Device;
use crate::error::Result;
use crate::lock::Lock;
use crate::watch::Watch;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A study on a device.
pub struct Study<'a> {
    /// What its file says.
    pub spec: Spec,
    /// Its steps, in the order in which they are done.
    pub steps: Vec<Step>,
    file: PathBuf,
    device: &'a Device,
    watch: &'a dyn Watch,
}

impl<'a> Study<'a> {
    /// Reads a study file; `out` takes the place of its folder.
    ///
    /// # Errors
    /// An input error with line and key for a study that cannot be.
    pub fn open(
        file: &Path,
        out: Option<&Path>,
        device: &'a Device,
        watch: &'a dyn Watch,
    ) -> Result<Study<'a>> {
        let mut spec = Spec::read(file, out)?;
        spec.keep_file_order()?;
        let compute = json!({ "backend": device.name(), "dtype": device.dtype() });
        Ok(Study { steps: steps(&spec, &compute), spec, file: file.to_owned(), device, watch })
    }

    /// Of every step whether it is done, and what it costs.
    ///
    /// # Errors
    /// Those of the images, the given checkpoints and the device.
    pub fn outlook(&self) -> Result<Vec<(bool, Cost)>> {
        let store = Store::new(&self.spec);
        let executor = self.executor(&store);
        let done = finished(&self.steps)?;
        self.check(&executor, &done)?;
        let costs = costs(&executor, &self.steps, &done)?;
        Ok(done.iter().map(Option::is_some).zip(costs).collect())
    }

    /// Does what is not done; `hear` is told of every step.
    ///
    /// # Errors
    /// Those of [`run`], and of what the steps need: refused before the first of them begins.
    pub fn run(&self, hear: &mut dyn FnMut(Event)) -> Result<StudySummary> {
        let store = Store::new(&self.spec);
        let executor = self.executor(&store);
        self.check(&executor, &finished(&self.steps)?)?;
        let _lock = Lock::of(&self.spec.out, "study")?;
        let mut execute = |step: &Step| executor.execute(step);
        run(&self.steps, &self.file, &mut execute, hear, &|| self.watch.stop())
    }

    fn executor<'s>(&'s self, images: &'s Store<'s>) -> Executor<'s> {
        Executor { spec: &self.spec, device: self.device, images, watch: self.watch }
    }

    fn check(&self, executor: &Executor, done: &[Option<StepRecord>]) -> Result<()> {
        let pending = self.steps.iter().zip(done).filter(|(_, done)| done.is_none());
        check(executor, &pending.map(|(step, _)| step).collect::<Vec<_>>())
    }
}
