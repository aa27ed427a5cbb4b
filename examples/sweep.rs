//! A sweep with its scores: `cargo run --release --example sweep [net.safetensors]`, on the embedded digits. Without a file an
//! untrained network shows that all works; its scores say nothing.

use std::env::args;
use synfilter::data::{DatasetKind, Split, load};
use synfilter::model::{Model, Said};
use synfilter::models::{Arch, Stem};
use synfilter::score::{Options, table};
use synfilter::sweep::{Choices, Job};
use synfilter::{Device, Result};

fn main() -> Result<()> {
    let device = Device::cpu();
    let images = load(DatasetKind::Digits, None, Split::Test, None)?.first(128)?;
    let model = match args().nth(1) {
        Some(file) => Model::open(file, &Said::default(), &images)?,
        None => Model::untrained((Arch::ShufflenetV2X0_5, Stem::Imagenet), &images, 0)?,
    };
    let folder = env_folder("sweep");
    let choices = Choices { thresholds: 5, ..Choices::default() };
    let run = Job::new(&device, &images, [model]).choices(choices).eps("32/255")?.run(&folder)?;
    print!("{}", table(&run.scores(Options::default())?.scores));
    println!("{} cells in {}", run.finished.cells.unwrap_or(0), folder.display());
    Ok(())
}

/// A folder of this process, so that examples can be run again.
fn env_folder(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("synfilter-{name}-{}", std::process::id()))
}
