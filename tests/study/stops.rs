//! Studies that stop between any two steps, or in the middle of any, and are taken up again.

use crate::{STUDY, graph};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use synfilter::lock::Lock;
use synfilter::study::{Done, Event, Step, StepRecord, finished, run};
use synfilter::{Error, Result};

/// Where a process ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Never,
    /// Before it does anything of this step.
    Before(usize),
    /// After all files of this step are written, before its record is.
    Within(usize),
}

/// Does a step by writing what it read and its own name.
struct Fake<'s> {
    steps: &'s [Step],
    end: End,
    /// Steps that were begun, by name.
    begun: Vec<String>,
    fails: Option<&'s str>,
}

impl Fake<'_> {
    fn execute(&mut self, step: &Step) -> Result<Done> {
        let at = self.steps.iter().position(|other| other == step).unwrap();
        if self.end == End::Before(at) {
            return Err(Error::Device("gone".into()));
        }
        self.begun.push(step.name.clone());
        if self.fails == Some(&step.name) {
            return Err(Error::Failed("the loss is not finite".into()));
        }
        let inputs: Vec<PathBuf> = step.after.iter().map(|&before| output(&self.steps[before])).collect();
        let read: String = inputs.iter().map(|input| fs::read_to_string(input).unwrap()).collect();
        fs::create_dir_all(&step.folder).unwrap();
        fs::write(output(step), format!("{read}{}\n", step.name)).unwrap();
        if self.end == End::Within(at) {
            return Err(Error::Device("gone".into()));
        }
        let command = vec!["synfilter".into(), step.work.kind().into()];
        Ok(Done { inputs, outputs: vec![output(step)], device: "fake".into(), command, seed: 3 })
    }
}

fn output(step: &Step) -> PathBuf {
    step.folder.join(step.work.kind())
}

/// One process; what it began.
fn process(folder: &Path, steps: &[Step], end: End) -> (Result<synfilter::study::StudySummary>, Vec<String>) {
    let mut fake = Fake { steps, end, begun: Vec::new(), fails: None };
    let study = folder.join("study.toml");
    let result = run(steps, &study, &mut |step| fake.execute(step), &mut |_| {}, &|| false);
    (result, fake.begun)
}

/// All files below a folder; of records what does not tell the time.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut text = fs::read_to_string(&path).unwrap().replace(&folder.display().to_string(), "");
            if let Ok(mut record) = serde_json::from_str::<StepRecord>(&text) {
                record.seconds = 0.0;
                text = serde_json::to_string(&record).unwrap();
            }
            files.insert(path.strip_prefix(folder).unwrap().to_owned(), text);
        }
    }
    files
}

#[test]
fn whatever_the_boundary_the_result_is_the_same() {
    let whole = tempfile::tempdir().unwrap();
    let steps = graph(whole.path(), STUDY);
    let (result, begun) = process(whole.path(), &steps, End::Never);
    let summary = result.unwrap();
    assert_eq!((summary.done, summary.skipped), (steps.len(), 0));
    assert!(begun.iter().eq(steps.iter().map(|step| &step.name)));
    let reference = tree(whole.path());
    // Results and records, and the study.
    assert_eq!(reference.len(), 2 * steps.len() + 1);

    for at in 0..steps.len() {
        for end in [End::Before(at), End::Within(at)] {
            let folder = tempfile::tempdir().unwrap();
            let steps = graph(folder.path(), STUDY);
            let (result, begun) = process(folder.path(), &steps, end);
            assert_eq!(result.unwrap_err().exit_code(), 4);
            assert_eq!(begun.len(), at + usize::from(end == End::Within(at)), "{end:?}");
            let (result, again) = process(folder.path(), &steps, End::Never);
            assert_eq!(result.unwrap().skipped, at);
            // Only what was not finished is begun again.
            assert!(again.iter().eq(steps[at..].iter().map(|step| &step.name)), "{end:?}");
            assert!(tree(folder.path()) == reference, "{end:?}");
        }
    }
}

#[test]
fn what_is_done_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let steps = graph(folder.path(), STUDY);
    process(folder.path(), &steps, End::Never).0.unwrap();
    let begun = |text: &str| {
        let steps = graph(folder.path(), text);
        let (result, begun) = process(folder.path(), &steps, End::Never);
        result.unwrap();
        begun
    };
    assert_eq!(begun(STUDY), [""; 0]);
    // Another τ is another score and comparison of the same sweeps, and back.
    let scores: Vec<String> = begun(&format!("{STUDY}[score]\ntau = 0.5\n"));
    assert_eq!((scores.len(), &*scores[12], &*scores[13]), (14, "compare", "report"));
    assert!(scores[..12].iter().all(|name| name.starts_with("score ")), "{scores:?}");
    assert_eq!(begun(STUDY), scores);
    // One more network.
    let more = begun(&STUDY.replace("[0, 7]", "[0, 7, 8]"));
    assert_eq!(more.iter().filter(|name| name.contains("seed-8")).count(), 2 * 8);
    assert_eq!((more.len(), &*more[16], &*more[17]), (2 * 8 + 2, "compare", "report"));
    assert_eq!(begun(STUDY), ["compare", "report"], "without it again");

    // A result that is gone or cut short is made again, with everything after it.
    let steps = graph(folder.path(), STUDY);
    fs::remove_file(output(&steps[1])).unwrap();
    let again = begun(STUDY);
    assert!(again.iter().eq(steps[1..8].iter().chain(&steps[32..]).map(|step| &step.name)), "{again:?}");
    fs::write(output(&steps[4]), "").unwrap();
    assert_eq!(begun(STUDY), [4, 5, 32, 33].map(|at: usize| steps[at].name.clone()));
    // A record that nobody can read is told.
    fs::write(steps[4].record(), "{").unwrap();
    let error = finished(&steps).unwrap_err();
    assert!(error.to_string().contains("study-sweep.json: content: expected the record"), "{error}");
}

#[test]
fn a_step_that_fails_by_itself_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let steps = graph(folder.path(), STUDY);
    let fails = Some("eps digits/resnet18/seed-7");
    let mut fake = Fake { steps: &steps, end: End::Never, begun: Vec::new(), fails };
    let study = folder.path().join("study.toml");
    let mut heard = Vec::new();
    let mut hear = |event: Event| {
        if let Event::Fails(step, error) = event {
            heard.push(format!("{}: {error}", step.name));
        }
    };
    let error = run(&steps, &study, &mut |step| fake.execute(step), &mut hear, &|| false).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(error.to_string(), "eps digits/resnet18/seed-7: the loss is not finite");
    assert_eq!(heard, ["eps digits/resnet18/seed-7: the loss is not finite"]);
    let done = finished(&steps).unwrap();
    let missing: Vec<&str> =
        steps.iter().zip(&done).filter(|(_, done)| done.is_none()).map(|(step, _)| &*step.name).collect();
    assert_eq!((missing.len(), missing[7], missing[8]), (9, "compare", "report"));
    assert!(missing[..7].iter().all(|name| name.contains("resnet18/seed-7")), "{missing:?}");

    // An interruption ends the process before the next step.
    let error = run(&steps, &study, &mut |step| fake.execute(step), &mut |_| {}, &|| true).unwrap_err();
    assert_eq!(error.exit_code(), 130);
}

#[test]
fn records_say_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let steps = graph(folder.path(), STUDY);
    process(folder.path(), &steps, End::Never).0.unwrap();
    let record = StepRecord::read(&steps[1]).unwrap().unwrap();
    assert_eq!((&record.step, &record.key), (&steps[1].name, &steps[1].key));
    assert_eq!((&*record.version, record.seed), (env!("CARGO_PKG_VERSION"), 3));
    assert_eq!(record.command, ["synfilter", "eps"]);
    assert_eq!((record.study.bytes, &*record.device), (STUDY.len() as u64, "fake"));
    assert_eq!(record.inputs[0].path, output(&steps[0]));
    assert_eq!(record.outputs[0].bytes, fs::metadata(output(&steps[1])).unwrap().len());
    assert_eq!(record.settings, steps[1].settings);
    // SHA-256 of "train digits/resnet18/seed-0\n", as sha256sum prints it.
    let expected = "04e29b4ebffcc7f0";
    assert_eq!(record.inputs[0].sha256.len(), 64);
    assert!(record.inputs[0].sha256.starts_with(expected), "{}", record.inputs[0].sha256);
}

#[test]
fn one_process_works_in_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let first = Lock::of(&folder.path().join("out"), "study").unwrap();
    let error = Lock::of(&folder.path().join("out"), "study").unwrap_err();
    assert!(error.to_string().ends_with("out: another process is at work in this study"), "{error}");
    drop(first);
    Lock::of(&folder.path().join("out"), "study").unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(Lock::of(&folder.path().join("file"), "study").is_err());
}
