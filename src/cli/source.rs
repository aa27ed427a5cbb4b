//! The flags that say which images are used, and how they are normalised.

use super::network::Normalise;
use std::path::PathBuf;
use std::str::FromStr;
use synfilter::data::{
    Choice, Color, DatasetKind, FILE_ORDER, How, Images, Interpolation, Prepare, Reading, Request, Split,
    open,
};
use synfilter::{Error, Result};

/// A data set, where its files lie and how its images are prepared.
#[derive(clap::Args, Clone, Debug)]
pub struct Source {
    /// digits, mnist, fashion-mnist, kmnist, emnist-byclass (-bymerge, -balanced, -letters, -digits, -mnist), cifar10,
    /// cifar100, tiny-imagenet, folder or arrays.
    #[arg(long, value_name = "D")]
    pub dataset: DatasetKind,
    /// The folder with the data set's files, or a parent that has them in their usual sub-folder; for `arrays` also the
    /// file.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub preparing: Preparing,
    /// A file with the classes of the network, one a line in the order of its outputs, several names of one separated by
    /// tabs or commas, or as JSON: images of a part of the classes are measured on the whole network.
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Leave images out that cannot be decoded; they are counted and named.
    #[arg(long)]
    pub skip_broken: bool,
}

/// How images are prepared, as torchvision's transforms do it.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Preparing {
    /// Images of S×S: of `folder` the shorter side is resized to S·8/7 and the middle cut out, images of other sets are
    /// resized to S.
    #[arg(long, value_name = "S", conflicts_with_all = ["resize", "crop"])]
    pub image_size: Option<usize>,
    /// Resize the shorter side to R pixels.
    #[arg(long, value_name = "R")]
    pub resize: Option<usize>,
    /// Cut S×S pixels out of the middle, after --resize if that is given; `none` cuts nothing, as if left out.
    #[arg(long, value_name = "S|none")]
    pub crop: Option<Crop>,
    /// How images are resized; bilinear if left out.
    #[arg(long, value_name = "bilinear|bicubic")]
    pub interpolation: Option<Interpolation>,
    /// Colour images or grey ones, whatever the files hold: grey is repeated in three channels, colours become Pillow's
    /// luminance.
    #[arg(long, value_name = "rgb|grey")]
    pub color: Option<Color>,
}

/// What is cut out of an image.
#[derive(Clone, Copy, Debug)]
pub struct Crop(Option<usize>);

impl FromStr for Crop {
    type Err = Error;

    fn from_str(text: &str) -> Result<Crop> {
        match text {
            "none" => Ok(Crop(None)),
            size => size
                .parse()
                .map(|size| Crop(Some(size)))
                .map_err(|_| Error::usage(format!("expected a number of pixels or none, found \"{text}\""))),
        }
    }
}

impl Preparing {
    /// Whether nothing is said.
    pub fn is_silent(self) -> bool {
        let Preparing { image_size, resize, crop, interpolation, color } = self;
        image_size.or(resize).is_none() && crop.is_none() && interpolation.is_none() && color.is_none()
    }

    /// As the library takes it.
    ///
    /// # Errors
    /// A usage error for what cannot be.
    pub fn of(self, kind: DatasetKind) -> Result<Prepare> {
        let sized = match self.image_size {
            Some(size) => Prepare::to_size(kind, size)?,
            None => {
                Prepare { resize: self.resize, crop: self.crop.and_then(|crop| crop.0), ..Prepare::default() }
            }
        };
        let prepare = Prepare { interpolation: self.interpolation, color: self.color, ..sized };
        prepare.check().map(|()| prepare)
    }
}

impl Source {
    /// What is asked for, of one split.
    ///
    /// # Errors
    /// A usage error for a preparation that cannot be.
    pub fn request(&self, split: Split) -> Result<Request> {
        Ok(Request {
            prepare: self.preparing.of(self.dataset)?,
            classes: self.classes.clone(),
            skip_broken: self.skip_broken,
            ..Request::new(self.dataset, self.data_dir.clone(), split)
        })
    }
}

/// The images that a network is measured on.
#[derive(clap::Args, Clone, Debug)]
pub struct TestImages {
    #[command(flatten)]
    pub source: Source,
    /// Measure on N test images in the place of all: of every class its share, chosen at random with --pick-seed.
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Which N images: of every class its share, or the first in file order.
    #[arg(long, value_name = "stratified|first", requires = "images")]
    pick: Option<How>,
    /// Decides which images of a class are taken; 0 if left out.
    #[arg(long, value_name = "S", requires = "images")]
    pick_seed: Option<u64>,
    #[command(flatten)]
    pub normalise: Normalise,
}

impl TestImages {
    /// Reads them. `goes_on` says whether results are added to ones of the first images in file
    /// order, which all were before there was a choice: then that is what is taken, unless something else is asked for.
    ///
    /// # Errors
    /// Those of [`open`]; a usage error for more images than there are, and for a seed of what is no choice.
    pub fn load(&self, goes_on: bool) -> Result<(Images, Reading)> {
        let mut request = self.source.request(Split::Test)?;
        let old = goes_on && self.pick.is_none() && self.pick_seed.is_none();
        let how = self.pick.unwrap_or(if old { How::First } else { How::Stratified });
        if let (Some(seed), How::First) = (self.pick_seed, how) {
            return Err(Error::usage(format!("--pick-seed {seed}: expected --pick stratified, found first")));
        }
        let seed = self.pick_seed.unwrap_or_default();
        request.choice = self.images.map(|images| Choice { images, how, seed });
        let (images, mut reading) = open(&request)?;
        if old && request.choice.is_some_and(|choice| choice.images < reading.of) {
            reading.notes.push(FILE_ORDER.to_owned());
        }
        Ok((images, reading))
    }
}
