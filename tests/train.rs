//! Training: the same bits at every number of threads and across interruptions, a run's folder, and what is refused.

use rayon::ThreadPoolBuilder;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use synfilter::backend::Optimizer;
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::{Adam, Sgd};
use synfilter::checkpoint::Checkpoint;
use synfilter::data::{DatasetKind, Images, Split, load};
use synfilter::eval::{Tally, evaluate};
use synfilter::graph::Shape;
use synfilter::graph::program::Mode;
use synfilter::models::Arch;
use synfilter::network::{Network, Normalisation};
use synfilter::train::{
    Data, EpochRecord, Job, Observer, Origin, Session, TrainFile, TrainSettings, Trained, TrainingProgress,
    train,
};
use synfilter::weights::Weights;
use synfilter::{Error, Result};

/// Real digits, few enough to train on in a moment.
struct Digits {
    train: Images,
    test: Images,
}

static DIGITS: LazyLock<Digits> = LazyLock::new(|| digits(250, 100));

fn digits(train: usize, test: usize) -> Digits {
    let some = |split, n| load(DatasetKind::Digits, None, split, None).unwrap().first(n).unwrap();
    Digits { train: some(Split::Train, train), test: some(Split::Test, test) }
}

/// A few epochs of two steps each.
fn settings(arch: Arch, epochs: u32) -> TrainSettings {
    let settings = TrainSettings::new(arch, DatasetKind::Digits, &DIGITS.train);
    TrainSettings { epochs, save_every: 2, seed: 3, ..settings }
}

fn run(folder: &Path, settings: &TrainSettings, resume: bool) -> Result<Trained> {
    observed(folder, settings, resume, &|| false, &mut ())
}

fn observed(
    folder: &Path,
    settings: &TrainSettings,
    resume: bool,
    stop: &dyn Fn() -> bool,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let data = Data { train: &DIGITS.train, test: &DIGITS.test, weights: None };
    let session = Session { command: vec!["synfilter".into(), "train".into()], device: "a test".into() };
    let job = Job { folder, resume, tensorboard: false, session, input: None };
    train(&Cpu::new(ConvMode::Auto, true), settings, data, job, stop, observer)
}

/// The bytes of the checkpoint after `epoch`.
fn bytes(folder: &Path, epoch: u32) -> Vec<u8> {
    fs::read(folder.join(format!("epoch-{epoch:04}.safetensors"))).unwrap()
}

fn log(folder: &Path) -> Vec<EpochRecord> {
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A record without what the clock says.
fn timeless(record: &EpochRecord) -> EpochRecord {
    EpochRecord { images_per_s: 0.0, seconds: 0.0, ..record.clone() }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    // Batch norm and shuffles; dropout and concatenations; the largest maps and the most weights.
    for (arch, epochs) in [(Arch::ShufflenetV2X0_5, 2), (Arch::Squeezenet1_1, 2), (Arch::Resnet18, 1)] {
        let runs: Vec<_> = [1, 2, 3]
            .into_iter()
            .map(|threads| {
                let folder = tempfile::tempdir().unwrap();
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let trained = pool.install(|| run(folder.path(), &settings(arch, epochs), false)).unwrap();
                let records: Vec<_> = trained.epochs.iter().map(timeless).collect();
                (bytes(folder.path(), epochs), records)
            })
            .collect();
        for (threads, run) in [2, 3].into_iter().zip(&runs[1..]) {
            assert!(runs[0].0 == run.0, "{arch}: weights of 1 and {threads} threads differ");
            assert_eq!(runs[0].1, run.1, "{arch}: logs of 1 and {threads} threads");
        }
    }
}

#[test]
fn seeds_and_epochs_make_a_difference() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let ours = settings(Arch::ShufflenetV2X0_5, 2);
    run(folders[0].path(), &TrainSettings { save_every: 1, ..ours.clone() }, false).unwrap();
    run(folders[1].path(), &TrainSettings { seed: 4, ..ours }, false).unwrap();
    assert_ne!(bytes(folders[0].path(), 1), bytes(folders[0].path(), 2));
    assert_ne!(bytes(folders[0].path(), 2), bytes(folders[1].path(), 2));
}

/// Trains `arch` two epochs from a checkpoint of three, with some layers frozen.
fn retrained(arch: Arch, folder: &Path, frozen: &[&str]) -> Result<[Checkpoint; 2]> {
    let before = folder.join("before");
    run(&before, &TrainSettings { save_every: 3, ..settings(arch, 3) }, false)?;
    let file = before.join("epoch-0003.safetensors");
    let checkpoint = Checkpoint::load(&file)?;
    let graph = arch.build(Shape { c: 1, h: 28, w: 28 }, 10)?;
    let weights = Weights::from_checkpoint(&graph, &checkpoint, &file)?;
    let origin = Origin {
        sha256: checkpoint.sha256.clone(),
        epoch: Some(3),
        frozen: frozen.iter().map(|&name| name.to_owned()).collect(),
    };
    let settings = TrainSettings { origin: Some(origin), ..settings(arch, 2) };
    let data = Data { train: &DIGITS.train, test: &DIGITS.test, weights: Some(&weights) };
    let after = folder.join("after");
    let session = Session { command: Vec::new(), device: "a test".into() };
    let job = Job { folder: &after, resume: false, tensorboard: false, session, input: None };
    let backend = Cpu::new(ConvMode::Auto, true);
    let trained = train(&backend, &settings, data, job, &|| false, &mut ())?;
    Ok([checkpoint, Checkpoint::load(trained.checkpoint)?])
}

#[test]
fn frozen_layers_stay_as_they_are_and_all_others_are_trained() {
    for (arch, frozen) in [
        (Arch::Resnet18, &["conv1.weight", "layer1.1.conv1.weight", "layer2.0.downsample.0.weight"][..]),
        (Arch::ShufflenetV2X0_5, &["stage2.0.branch1.0.weight", "conv5.0.weight", "fc.weight"]),
        (Arch::Squeezenet1_1, &["features.3.squeeze.weight", "classifier.1.weight"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let [before, after] = retrained(arch, folder.path(), frozen).unwrap();
        let graph = arch.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
        let layers = graph.filterable();
        let frozen: Vec<_> = layers
            .into_iter()
            .filter(|&layer| frozen.contains(&&*graph.params[layer].name))
            .flat_map(|layer| graph.layer(layer))
            .collect();
        // Weights, biases, γ, β and both statistics; a SqueezeNet has biases alone, a ResNet none but the last.
        let expected = match arch {
            Arch::Resnet18 => 3 * 5,
            Arch::ShufflenetV2X0_5 => 2 * 5 + 2,
            _ => 2 * 2,
        };
        assert_eq!(frozen.len(), expected, "{arch}");
        for (id, param) in graph.params.iter().enumerate() {
            let bits =
                |c: &Checkpoint| c.tensors[&param.name].data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&before) == bits(&after), frozen.contains(&id), "{arch} {}", param.name);
        }
        assert_eq!((after.meta.epoch, after.meta.seed), (Some(5), Some(3)));
        assert_eq!(after.meta.extra["retrained_from"], before.sha256);
    }
}

#[test]
fn training_goes_on_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    retrained(Arch::ShufflenetV2X0_5, folder.path(), &[]).unwrap();
    let losses = |run: &str| log(&folder.path().join(run)).iter().map(|r| r.train_loss).collect::<Vec<_>>();
    let (before, after) = (losses("before"), losses("after"));
    assert!(after[0] < before[0] && after[1] < before[1], "{before:?} {after:?}");
}

#[test]
fn layers_that_cannot_be_frozen() {
    let refused = |frozen: &[&str], expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        let error = retrained(Arch::ShufflenetV2X0_5, folder.path(), frozen).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(&["conv1.0.weight", "layer9"], "expected layers of shufflenet_v2_x0_5, found layer9");
    let graph = Arch::ShufflenetV2X0_5.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
    let all: Vec<&str> = graph.filterable().into_iter().map(|layer| &*graph.params[layer].name).collect();
    refused(&all, "expected fewer than all 57");
}

#[test]
fn a_resumed_run_ends_with_the_bytes_of_one_that_never_stopped() {
    let sgd = Optimizer::Sgd(Sgd { lr: 0.02, momentum: 0.9, nesterov: false, weight_decay: 1e-4 });
    let adam = Optimizer::Adam(Adam::new(1e-3));
    for (arch, optimizer) in [(Arch::ShufflenetV2X0_5, adam), (Arch::Squeezenet1_1, sgd)] {
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let of = |epochs| TrainSettings { optimizer, ..settings(arch, epochs) };
        let expected = run(whole.path(), &of(4), false).unwrap();
        run(parts.path(), &of(2), false).unwrap();
        let found = run(parts.path(), &of(4), true).unwrap();
        assert!(bytes(whole.path(), 4) == bytes(parts.path(), 4), "{arch}: weights differ");
        assert_eq!(fs::read(&found.checkpoint).unwrap(), bytes(parts.path(), 4));
        let timeless = |records: &[EpochRecord]| records.iter().map(timeless).collect::<Vec<_>>();
        assert_eq!(timeless(&expected.epochs), timeless(&found.epochs));
        assert_eq!(timeless(&log(whole.path())), timeless(&log(parts.path())));
        let file = fs::read_to_string(parts.path().join("train.json")).unwrap();
        let file: TrainFile = serde_json::from_str(&file).unwrap();
        assert_eq!((file.settings.epochs, file.sessions.len()), (4, 2));
        assert_eq!(file.train_digest, DIGITS.train.digest);

        // Once more: nothing is left to do, and nothing changes.
        assert_eq!(run(parts.path(), &of(4), true).unwrap().epochs.len(), 4);
        let error = run(parts.path(), &of(3), true).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().ends_with("holds 4 finished epochs, more than --epochs 3"), "{error}");
    }
}

/// Stops a run in the middle of an epoch.
struct StopAt<'a> {
    epoch: u32,
    interrupted: &'a AtomicBool,
    seen: Vec<TrainingProgress>,
}

impl Observer for StopAt<'_> {
    fn batch(&mut self, progress: &TrainingProgress) {
        self.seen.push(progress.clone());
        self.interrupted.store(progress.epoch == self.epoch, Ordering::Relaxed);
    }
    fn epoch(&mut self, _: &EpochRecord) {}
}

#[test]
fn an_interrupted_run_keeps_what_was_saved_and_goes_on_from_there() {
    let [whole, stopped] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let ours = settings(Arch::ShufflenetV2X0_5, 5);
    run(whole.path(), &ours, false).unwrap();
    let interrupted = AtomicBool::new(false);
    let mut observer = StopAt { epoch: 4, interrupted: &interrupted, seen: Vec::new() };
    let error =
        observed(stopped.path(), &ours, false, &|| interrupted.load(Ordering::Relaxed), &mut observer)
            .unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert_eq!(observer.seen.len(), 7, "two batches in each of three epochs and one in the fourth");
    let last = observer.seen.last().unwrap();
    assert_eq!((last.epoch, last.epochs, last.batch, last.batches), (4, 5, 1, 2));
    assert!(last.loss > 0.0 && (0.0..=1.0).contains(&last.accuracy) && last.images_per_s > 0.0);
    // Epoch 3 is logged, but its weights are lost; then a line is torn as well.
    assert_eq!(log(stopped.path()).len(), 3);
    let mut text = fs::read_to_string(stopped.path().join("log.jsonl")).unwrap();
    text.push_str("{\"epoch\":4,\"st");
    fs::write(stopped.path().join("log.jsonl"), text).unwrap();
    run(stopped.path(), &ours, true).unwrap();
    for epoch in [2, 4, 5] {
        assert!(bytes(whole.path(), epoch) == bytes(stopped.path(), epoch), "weights of epoch {epoch}");
    }
    let epochs: Vec<u32> = log(stopped.path()).iter().map(|record| record.epoch).collect();
    assert_eq!(epochs, [1, 2, 3, 4, 5]);
}

/// Where the process that is to be killed works.
const VICTIM: &str = "SYNFILTER_TEST_TRAIN_FOLDER";

#[test]
fn a_killed_process_loses_only_what_came_after_its_last_checkpoint() {
    let ours = TrainSettings { save_every: 1, ..settings(Arch::ShufflenetV2X0_5, 12) };
    if let Some(folder) = std::env::var_os(VICTIM) {
        run(Path::new(&folder), &ours, true).unwrap();
        return;
    }
    let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run(whole.path(), &ours, false).unwrap();
    for epoch in [2, 5] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_process_loses_only_what_came_after_its_last_checkpoint"])
            .env(VICTIM, killed.path())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !killed.path().join(format!("epoch-{epoch:04}.safetensors")).exists() {
            assert!(started.elapsed() < Duration::from_secs(120), "epoch {epoch} never came");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(killed.path(), &ours, true).unwrap();
    for epoch in 1..=12 {
        assert!(bytes(whole.path(), epoch) == bytes(killed.path(), epoch), "weights of epoch {epoch}");
    }
    assert_eq!(log(killed.path()).len(), 12);
}

#[test]
fn a_checkpoint_says_what_it_is_and_gives_the_logged_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let trained = run(folder.path(), &settings(Arch::ShufflenetV2X0_5, 3), false).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let expected = ["epoch-0002.safetensors", "epoch-0003.safetensors", "log.jsonl", "state.safetensors"];
    assert_eq!(names, [&expected[..], &["train.json"]].concat());
    let checkpoint = Checkpoint::load(&trained.checkpoint).unwrap();
    let meta = &checkpoint.meta;
    assert_eq!((meta.arch.as_deref(), meta.dataset.as_deref()), (Some("shufflenet_v2_x0_5"), Some("digits")));
    assert_eq!((meta.classes, meta.channels), (Some(10), Some(1)));
    assert_eq!((meta.mean.clone(), meta.std.clone()), (Some(vec![0.1307]), Some(vec![0.3081])));
    assert_eq!((meta.epoch, meta.seed), (Some(3), Some(3)));
    assert!(checkpoint.tensors.keys().all(|name| !name.starts_with("optimizer.")));
    assert!(!checkpoint.counters.is_empty() && checkpoint.counters.values().all(|&steps| steps == 6));

    let graph = Arch::ShufflenetV2X0_5.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
    let weights = Weights::from_checkpoint(&graph, &checkpoint, &trained.checkpoint).unwrap();
    let norm = Normalisation { mean: meta.mean.clone().unwrap(), std: meta.std.clone().unwrap() };
    let backend = Cpu::new(ConvMode::Auto, false);
    let network = Network::new(&backend, graph, &weights, norm, Mode::Inference);
    let found = Tally::from(
        &evaluate(&network, &DIGITS.test, 0..DIGITS.test.len(), &[], false, |_| ()).unwrap().clean,
    );
    let record = trained.epochs.last().unwrap();
    assert_eq!(found.correct as f64 / 100.0, record.test_accuracy);
    assert!((found.loss / 100.0 - record.test_loss).abs() < 1e-6 * record.test_loss);
    assert_eq!((record.epoch, record.step, record.lr), (3, 6, 1e-3));
}

#[test]
fn a_resnet_learns_digits() {
    let folder = tempfile::tempdir().unwrap();
    let digits = digits(2000, 500);
    let settings = TrainSettings { epochs: 2, ..settings(Arch::Resnet18, 2) };
    let data = Data { train: &digits.train, test: &digits.test, weights: None };
    let job = Job {
        folder: folder.path(),
        resume: false,
        tensorboard: false,
        session: Session::default(),
        input: None,
    };
    let backend = Cpu::new(ConvMode::Auto, true);
    let trained = train(&backend, &settings, data, job, &|| false, &mut ()).unwrap();
    let [first, second] = &trained.epochs[..] else { panic!("two epochs") };
    assert!(second.train_loss < 0.5 * first.train_loss, "{first:?} {second:?}");
    assert!(second.test_accuracy > 0.85, "{second:?}");
}

#[test]
fn a_folder_with_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ours = settings(Arch::ShufflenetV2X0_5, 1);
    run(folder.path(), &ours, false).unwrap();
    let saved = bytes(folder.path(), 1);
    let refused = |settings: &TrainSettings, resume: bool, expected: &str| {
        let error = run(folder.path(), settings, resume).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().ends_with(expected), "{error}\n{expected}");
    };
    refused(&ours, false, "already started; pass --resume to go on with it");
    let seed = TrainSettings { seed: 9, ..ours.clone() };
    refused(&seed, true, "holds a training run with other settings: settings.seed: expected 3, found 9");
    let batch = TrainSettings { batch: 50, ..ours.clone() };
    refused(&batch, true, "settings.batch: expected 100, found 50");
    let optimizer = TrainSettings { optimizer: Optimizer::Adam(Adam::new(0.01)), ..ours.clone() };
    refused(&optimizer, true, "settings.optimizer.adam.lr: expected 0.001, found 0.01");
    let arch = TrainSettings { arch: Arch::Squeezenet1_1, ..ours.clone() };
    refused(&arch, true, "settings.arch: expected \"shufflenet_v2_x0_5\", found \"squeezenet1_1\"");
    assert!(bytes(folder.path(), 1) == saved);

    // A damaged state or log, and a folder that lost its settings.
    let state = folder.path().join("state.safetensors");
    let whole = fs::read(&state).unwrap();
    fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let error = run(folder.path(), &ours, true).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    fs::copy(folder.path().join("epoch-0001.safetensors"), &state).unwrap();
    let error = run(folder.path(), &ours, true).unwrap_err();
    assert!(error.to_string().contains("optimizer.step: expected a number of steps, found none"), "{error}");
    fs::write(&state, whole).unwrap();
    fs::write(folder.path().join("log.jsonl"), "").unwrap();
    let error = run(folder.path(), &ours, true).unwrap_err();
    assert!(error.to_string().contains("log.jsonl: line 1: expected 1 lines"), "{error}");
    fs::remove_file(folder.path().join("train.json")).unwrap();
    refused(&ours, true, "holds state.safetensors but no train.json; choose another folder");
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let base = settings(Arch::Resnet18, 1);
    let sgd = |lr, momentum| Optimizer::Sgd(Sgd { lr, momentum, nesterov: false, weight_decay: 0.0 });
    type Change = Box<dyn Fn(&mut TrainSettings)>;
    let cases: [(Change, &str); 11] = [
        (Box::new(|s| s.epochs = 0), "--epochs: expected at least 1, found 0"),
        (Box::new(|s| s.save_every = 0), "--save-every: expected at least 1, found 0"),
        (Box::new(|s| s.batch = 1), "batch size: expected at least 2"),
        (Box::new(|s| s.batch = 251), "training images: expected at least one batch of 251, found 250"),
        (Box::new(|s| s.channels = 3), "channels: expected 1 as the images have, found 3"),
        (Box::new(|s| s.classes = 9), "labels: expected below the 9 classes, found 9"),
        (Box::new(|s| s.std = vec![0.0]), "mean and standard deviation: expected finite"),
        (Box::new(|s| s.mean = vec![0.1; 3]), "mean and standard deviation: expected 1 values each"),
        (Box::new(|s| s.optimizer = Optimizer::Adam(Adam::new(0.0))), "a positive learning rate"),
        (Box::new(move |s| s.optimizer = sgd(f64::NAN, 0.0)), "a positive learning rate"),
        (Box::new(move |s| s.optimizer = sgd(0.1, 1.0)), "decays (momentum, betas)"),
    ];
    for (change, expected) in cases {
        let mut settings = base.clone();
        change(&mut settings);
        let error = run(&folder.path().join("run"), &settings, false).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(expected), "{error}\n{expected}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_loss_that_explodes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let sgd = Sgd { lr: 1e30, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let ours = TrainSettings { optimizer: Optimizer::Sgd(sgd), ..settings(Arch::Squeezenet1_1, 2) };
    let error = run(folder.path(), &ours, false).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let text = error.to_string();
    assert!(text.starts_with("epoch 1, batch 2 of 2: the loss is not finite"), "{text}");
    assert!(text.contains("try a learning rate below"), "{text}");
    assert!(!folder.path().join("state.safetensors").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a file");
    fs::write(&path, "").unwrap();
    let error = run(&path, &settings(Arch::ShufflenetV2X0_5, 1), false).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(error.exit_code(), 1);
}
