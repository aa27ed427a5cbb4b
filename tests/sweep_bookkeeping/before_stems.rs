//! A run folder of a version that knew no stems: fixtures/run_before_stems, written by the program of 758765a with
//! `sweep --arch resnet18 --checkpoint net.pth --dataset digits --images 64 --layers fc.weight --filters high-pass --thresholds 3`.

use std::fs;
use std::path::{Path, PathBuf};
use synfilter::graph::Shape;
use synfilter::models::{Arch, Stem};
use synfilter::score::{Options, score_run};
use synfilter::sweep::dir::RunFile;
use synfilter::sweep::export::{CELLS_PARQUET, HASH_KEY, read_cells};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_before_stems")
}

#[test]
fn its_settings_have_their_hash_and_its_graph_is_the_same() {
    let run = RunFile::read(&fixture()).unwrap().unwrap();
    assert_eq!((run.settings.stem, run.settings.hash()), (Stem::Imagenet, run.hash));
    let graph = Arch::Resnet18.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
    assert_eq!(graph.digest(), run.settings.graph);
}

#[test]
fn its_cells_are_read_and_scored() {
    let (metadata, records) = read_cells(&fixture().join(CELLS_PARQUET)).unwrap();
    assert_eq!(metadata[HASH_KEY], RunFile::read(&fixture()).unwrap().unwrap().hash);
    assert_eq!(records.len(), 4);
    assert!(
        records.iter().all(|record| record.cell.stem == Stem::Imagenet && record.cell.arch == "resnet18")
    );
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture().join(CELLS_PARQUET), folder.path().join(CELLS_PARQUET)).unwrap();
    let scores = score_run(folder.path(), Options::default()).unwrap().scores;
    assert_eq!((scores.len(), scores[0].stem), (1, Stem::Imagenet));
}
