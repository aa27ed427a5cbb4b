//! synfilter: which weights of a trained network are fragile, robust or antifragile.
//!
//! A filter removes the weights of a layer above, below or around a threshold; the threshold moves through the layer's range, and
//! at every step the network is measured on clean images and under attack. Where accuracy stays, the layer is robust; where it
//! falls, fragile; where it rises, antifragile (arXiv 2312.09821). This crate is the engine and everything around it; the program
//! `synfilter` only reads flags and prints.
//!
//! ```
//! use synfilter::data::{DatasetKind, Split, load};
//! use synfilter::model::Model;
//! use synfilter::models::{Arch, Stem};
//! use synfilter::score::Options;
//! use synfilter::sweep::{Choices, Job};
//! use synfilter::Device;
//!
//! let images = load(DatasetKind::Digits, None, Split::Test, None)?.first(16)?;
//! // Model::open("net.safetensors", &Said::default(), &images)? takes a trained one.
//! let model = Model::untrained((Arch::ShufflenetV2X0_5, Stem::Imagenet), &images, 0)?;
//! let layers = Some(vec!["conv1.0.weight".to_owned(), "fc.weight".to_owned()]);
//! let choices = Choices { thresholds: 3, layers, ..Choices::default() };
//! # let scratch = tempfile::tempdir().unwrap();
//! # let folder = scratch.path().join("run");
//! let run = Job::new(&Device::cpu(), &images, [model]).choices(choices).eps("8/255")?.run(&folder)?;
//! let scores = run.scores(Options::default())?;
//! // Two layers, each under three filters and the mean over these.
//! assert_eq!(scores.scores.len(), 8);
//! # Ok::<(), synfilter::Error>(())
//! ```
//!
//! # What to use when
//!
//! | you want to | use |
//! |---|---|
//! | read images of a data set, a folder, arrays; or take them from memory | [`data::open`], [`data::load`]; [`data::Images::from_bytes`] |
//! | read a checkpoint, whatever wraps it; or build a network by hand | [`model::Model::open`]; [`graph::build::Builder`], [`model::Model::new`] |
//! | know its accuracy, clean and attacked | [`eval::Accuracy`] |
//! | sweep filters over its layers, channels, or all of it; score that | [`sweep::Job`]; [`sweep::Run::scores`] |
//! | draw accuracy against ε | [`security::Curves`] |
//! | train; train on with fragile layers frozen, beside controls | [`train::run`]; [`retrain::Retraining`] |
//! | see which layers keep their label over epochs and networks | [`invariance::compare`](fn@invariance::compare) |
//! | do all that from one file, resumably; look at it | [`study::Study`]; [`report`] |
//! | show progress, and stop | [`watch::Watch`] |
//! | look into a checkpoint file | [`inspect`] |
//!
//! # How data flows
//!
//! ```text
//! files ─► checkpoint ─► model ─► graph, weights ─┐          attack ─► adversarial images
//! files ─► data ─► images ────────────────────────┼─► network ─► tape ─► backend (cpu, cuda) ─► verdicts
//!                                       filter ───┘ masks                                          │
//!       report ◄─ invariance, retrain ◄─ score ◄─ sweep: cells ◄───────────────────────────────────┘
//! ```
//!
//! Arrows of use go one way only, from above to below: `study`, `report`, `retrain` and `invariance`, `score`, `sweep`,
//! `security` and `train`, `statistics` and `eval`, `network`, `model` and `attack`, `tape`, `data` and `models`, `backend` and `checkpoint`, `graph`
//! and `filter`. Every error is an [`Error`], which says what was wrong, where, what was expected and what was found.

pub mod attack;
pub mod backend;
mod base;
pub mod checkpoint;
pub mod data;
pub mod eval;
pub mod filter;
pub mod graph;
pub mod input;
pub mod inspect;
pub mod invariance;
pub mod model;
pub mod models;
pub mod network;
mod pickle;
pub mod report;
pub mod retrain;
pub mod score;
pub mod security;
pub mod statistics;
pub mod study;
pub mod sweep;
pub mod tape;
pub mod train;
pub mod watch;
pub mod weights;

pub use backend::opened::Device;
pub use base::{atomic_file, bits, columnar, content, error, lock, provenance, random, text, versioned};
pub use error::{Error, Result};

pub(crate) use base::named_choice;
