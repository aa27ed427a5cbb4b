//! The flags that say which network a checkpoint is, and how images are normalised for it.

use super::output::note;
use synfilter::model::{Choice, Reading};
use synfilter::models::{Arch, Stem};

/// Which network.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Named {
    /// The network; may be left out where the checkpoint's metadata name it, or its tensors fit only one.
    #[arg(long, value_name = "A")]
    arch: Option<Arch>,
    /// The stem of a ResNet where the file leaves it open: torchvision's (imagenet), a 3×3 convolution of stride 1 for small
    /// images without or with the max pool, or torchvision's without the pool.
    #[arg(long, value_name = "imagenet|3x3|3x3-pool|7x7-no-pool")]
    stem: Option<Stem>,
    /// Which of several complete networks in the file (an average beside the plain one, a teacher beside a student): what
    /// leads to it, as `synfilter inspect` lists it.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

/// A normalisation in the place of the checkpoint's or the data set's own.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Normalise {
    /// Mean of each channel in pixel units, in the place of the checkpoint's own or the data set's default.
    #[arg(long, value_name = "M,..", value_delimiter = ',', value_parser = number, allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation of each channel in pixel units, likewise.
    #[arg(long, value_name = "S,..", value_delimiter = ',', value_parser = number, allow_hyphen_values = true)]
    std: Option<Vec<f32>>,
}

impl Normalise {
    /// What is said of normalisation, of a network of which nothing is said.
    pub fn choice(&self) -> Choice {
        Choice { mean: self.mean.clone(), std: self.std.clone(), ..Choice::default() }
    }
}

impl Named {
    /// What is said of the network.
    pub fn choice(&self, normalise: &Normalise) -> Choice {
        Choice { arch: self.arch, stem: self.stem, key: self.key.clone(), ..normalise.choice() }
    }
}

/// A number, with spaces around it or not.
fn number(text: &str) -> Result<f32, String> {
    text.trim().parse().map_err(|_| format!("expected a number, found `{}`", text.escape_debug()))
}

/// Tells what was taken from checkpoints: all of the first, of the others what differs.
pub fn tell<'a>(readings: impl IntoIterator<Item = &'a Reading>) {
    let mut before: Vec<String> = Vec::new();
    for reading in readings {
        let lines = reading.lines();
        for line in lines.iter().filter(|line| !before.contains(line)) {
            note(line);
        }
        before = lines;
    }
}
