//! The front doors of the library, without a process: sweeps, security curves, networks and images of one's own, somebody who
//! watches and stops.

mod own;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use synfilter::attack::{Eps, Method};
use synfilter::checkpoint::Metadata;
use synfilter::data::{DatasetKind, Images, Reading, Request, Split, open};
use synfilter::eval::{Accuracy, Tally};
use synfilter::input::Input;
use synfilter::model::{Model, Said};
use synfilter::models::{Arch, Stem};
use synfilter::score::Options;
use synfilter::security::{Curves, FilteredCell, SecurityRecord};
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET};
use synfilter::sweep::{Choices, Job, Shard, merge};
use synfilter::watch::{Part, Watch};
use synfilter::{Device, Error, filter::FilterKind, provenance::Provenance};

const ARCH: (Arch, Stem) = (Arch::ShufflenetV2X0_5, Stem::Imagenet);

fn digits(count: usize) -> (Images, Reading) {
    let request = Request::new(DatasetKind::Digits, None, Split::Test);
    let (images, reading) = open(&request).unwrap();
    (images.first(count).unwrap(), reading)
}

/// Two layers, two filters, three thresholds.
fn choices() -> Choices {
    let layers = Some(vec!["conv1.0.weight".to_owned(), "fc.weight".to_owned()]);
    let filters = vec![FilterKind::HighPass, FilterKind::Pulse];
    Choices { filters, thresholds: 3, layers, eps: Eps(0.1), ..Choices::default() }
}

/// Hears everything, and stops after so many notes of progress.
struct Ear {
    heard: Mutex<Vec<String>>,
    progress: AtomicUsize,
    stop_after: usize,
}

impl Ear {
    fn stopping_after(stop_after: usize) -> Ear {
        Ear { heard: Mutex::default(), progress: AtomicUsize::new(0), stop_after }
    }

    fn hear(&self, line: String) {
        self.heard.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Watch for Ear {
    fn stop(&self) -> bool {
        self.progress.load(Ordering::Relaxed) >= self.stop_after
    }

    fn taken(&self, input: &Input) {
        self.hear(format!("taken {}", input.images.dataset));
    }

    fn note(&self, line: &str) {
        self.hear(format!("note {line}"));
    }

    fn begins(&self, part: &Part) {
        self.hear(format!("begins {} of {} {}", part.what, part.units, part.unit));
    }

    fn done(&self, _: u64, detail: &dyn Fn() -> String) {
        detail();
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    fn ends(&self) {
        self.hear("ends".to_owned());
    }
}

fn cells(folder: &Path) -> Vec<Vec<u8>> {
    [CELLS_JSONL, CELLS_PARQUET].map(|name| fs::read(folder.join(name)).unwrap()).to_vec()
}

#[test]
fn a_sweep_that_is_stopped_goes_on_to_the_same_bytes() {
    let (images, reading) = digits(128);
    let (device, folder) = (Device::cpu(), tempfile::tempdir().unwrap());
    let model = || Model::untrained(ARCH, &images, 5).unwrap();
    let job = || Job::new(&device, &images, [model()]).choices(choices()).reading(&reading);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));

    let ear = Ear::stopping_after(usize::MAX);
    let run = job().watch(&ear).run(&whole).unwrap();
    // The unfiltered network, and two layers under two filters and three thresholds.
    assert_eq!(run.finished.cells, Some(1 + 2 * 2 * 3));
    let lines = ear.lines();
    assert_eq!(lines[0], "taken digits");
    assert!(lines[1].starts_with("note shufflenet_v2_x0_5 on digits, 128 images in blocks of"), "{lines:?}");
    assert!(lines[2].starts_with("begins sweep of ") && lines[2].ends_with(" network-images"), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "ends");

    let error = job().watch(&Ear::stopping_after(2)).run(&parts).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert!(!parts.join(CELLS_PARQUET).exists());
    let error = job().run(&parts).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    job().resume(true).run(&parts).unwrap();
    assert!(cells(&whole) == cells(&parts));

    let scores = run.scores(Options::default()).unwrap().scores;
    assert_eq!(scores.len(), 2 * 3);
    assert_eq!(scores[2].over, [FilterKind::HighPass, FilterKind::Pulse]);
}

#[test]
fn shards_join_to_the_same_bytes_and_an_outlook_counts_them() {
    let (images, _) = digits(64);
    let (device, folder) = (Device::cpu(), tempfile::tempdir().unwrap());
    let model = || Model::untrained(ARCH, &images, 6).unwrap();
    let job = || Job::new(&device, &images, [model()]).choices(choices());
    let whole = folder.path().join("whole");
    let outlook = job().outlook().unwrap();
    let run = job().run(&whole).unwrap();
    assert_eq!((outlook.counts.cells, outlook.plan.hash), (run.finished.cells.unwrap(), run.plan.hash));
    assert!(outlook.seconds > 0.0 && outlook.input.is_none());
    let parts: Vec<_> = Shard::all(3)
        .map(|shard| {
            let part = folder.path().join(shard.to_string().replace('/', "-"));
            let finished = job().shard(shard).run(&part).unwrap().finished;
            assert_eq!(finished.cells, None);
            part
        })
        .collect();
    let joined = folder.path().join("joined");
    merge(&parts, &joined, Provenance::default()).unwrap();
    assert!(cells(&whole) == cells(&joined));
}

#[test]
fn choices_that_cannot_be_are_usage_errors() {
    let (images, _) = digits(8);
    let device = Device::cpu();
    let job = |choices: Choices, models: usize| {
        let models = (0..models).map(|seed| Model::untrained(ARCH, &images, seed as u64).unwrap());
        Job::new(&device, &images, models.collect::<Vec<_>>()).choices(choices).outlook().unwrap_err()
    };
    let unknown = Choices { layers: Some(vec!["conv9.weight".to_owned()]), ..choices() };
    for (error, needle) in [
        (job(choices(), 0), "at least one"),
        (job(Choices { thresholds: 1, ..choices() }, 1), "thresholds: expected 2"),
        (job(Choices { filters: Vec::new(), ..choices() }, 1), "filter"),
        (job(unknown, 1), "conv9.weight"),
    ] {
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(needle), "{error}");
    }
    let job = Job::new(&device, &images, [Model::untrained(ARCH, &images, 0).unwrap()]);
    assert_eq!(job.eps("2").err().unwrap().exit_code(), 2);
}

/// A checkpoint file of an untrained network.
fn file(folder: &Path, images: &Images) -> std::path::PathBuf {
    let path = folder.join("net.safetensors");
    let Model { graph, weights, .. } = Model::untrained(ARCH, images, 9).unwrap();
    let arch = Some(ARCH.0.name().to_owned());
    weights.to_checkpoint(&graph, Metadata { arch, ..Metadata::default() }).save(&path).unwrap();
    path
}

#[test]
fn security_curves_that_are_stopped_go_on_and_agree_with_accuracy() {
    let (images, reading) = digits(192);
    let (device, folder) = (Device::cpu(), tempfile::tempdir().unwrap());
    let checkpoints = [file(folder.path(), &images)];
    let eps = [Eps(0.02), Eps(0.1)];
    let (said, ear) = (Said::default(), Ear::stopping_after(1));
    let curves = |watch| Curves {
        device: &device,
        checkpoints: &checkpoints,
        images: &images,
        reading: &reading,
        said: &said,
        methods: &[Method::Fgsm],
        eps: &eps,
        cell: None,
        clamp: true,
        bn: synfilter::sweep::BnMode::Running,
        batch: std::num::NonZeroUsize::new(64),
        command: vec!["test".to_owned()],
        seed: 0,
        watch,
    };
    let out = folder.path().join("curves");
    let error = curves(&ear).run(&out).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    let found = curves(&()).run(&out).unwrap();
    assert_eq!(SecurityRecord::read(&out.join(SecurityRecord::NAME)).unwrap(), found);

    let model = Model::open(&checkpoints[0], &Said::default(), &images).unwrap();
    let attacks = eps.map(|eps| eps.attack(Method::Fgsm, true));
    let expected = Accuracy::new(&device, &images, &model).under(&attacks).unwrap();
    let correct = |verdicts| Tally::from(verdicts).correct;
    let network = &found.networks[0];
    assert_eq!(network.clean.correct, correct(&expected.clean));
    let points: Vec<usize> = network.curves[0].points.iter().map(|point| point.count.correct).collect();
    assert_eq!(points, expected.adversarial.iter().map(correct).collect::<Vec<_>>());

    let cell = FilteredCell {
        filter: FilterKind::LowPass,
        layer: "fc.weight".to_owned(),
        threshold: 99,
        thresholds: 3,
    };
    let error = Curves { cell: Some(cell), ..curves(&()) }.run(&folder.path().join("cell")).unwrap_err();
    assert!(error.to_string().contains("expected 0 to 2, found 99"), "{error}");
}
