//! A network with its weights from a file: which architecture it is, where in the file it lies, how images are
//! normalised for it, and what of all that was said, found or assumed ([`Taken`]).

mod id;
mod normalisation;
mod said;
mod taken;

pub use id::CheckpointId;
pub use said::Said;
pub use taken::{Origin, Taken};

use crate::checkpoint::{Expected, File, Found, Metadata};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::graph::{Graph, Shape};
use crate::models::{Arch, Stem, stem_of};
use crate::network::Normalisation;
use crate::text::hex;
use crate::weights::Weights;
use normalisation::{default_normalisation, normalisation, own_normalisation};
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::path::Path;

/// Names that a record of passed-over tensors, or of renamed modules, keeps.
const NAMED: usize = 5;

/// A trained network.
pub struct Model {
    /// The name of the architecture in results.
    pub name: String,
    /// The architecture, if it is one that the program knows.
    pub arch: Option<Arch>,
    /// Its stem.
    pub stem: Stem,
    /// The network for the images at hand.
    pub graph: Graph,
    /// Its weights.
    pub weights: Weights,
    /// How the images are normalised.
    pub norm: Normalisation,
    /// What the network is known by: SHA-256 of the file, or, of a file that holds several networks, of that and the key.
    pub sha256: String,
    /// The network's key, where the file holds several complete ones.
    pub key: Option<String>,
    /// Epochs of training, where the file tells.
    pub epoch: Option<u32>,
    /// Seed of the training, where the file tells.
    pub seed: Option<u64>,
    /// What was taken from the file.
    pub taken: Taken,
}

/// What is known of a checkpoint's training beside its file: much that others leave tells neither epoch nor seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trained {
    /// Epochs of training.
    pub epoch: Option<u32>,
    /// The seed.
    pub seed: Option<u64>,
}

impl Model {
    /// Opens a checkpoint for the images of a data set.
    ///
    /// # Errors
    /// An input error for a file that is damaged or does not fit the images, a usage error for choices that cannot be or
    /// contradict the file, and for an architecture or a stem that nobody names.
    pub fn open(path: impl AsRef<Path>, said: &Said, images: &Images) -> Result<Model> {
        let (path, choice) = (path.as_ref(), said);
        let file = File::open(path)?;
        let ([channels, h, w], classes) = (images.shape, images.classes.len());
        let input = Shape { c: channels, h, w };
        let Chosen { arch, arch_from, found, mut notes } = which(&file, choice, input, classes)?;
        let (meta, told) = file.metadata(channels, classes)?;
        notes.extend(told);
        if file.is_own() {
            agree_with_images(path, &meta, images)?;
        }
        let (stem, stem_from) = stem_in(&file, &found, arch, choice.stem, &meta, &mut notes)?;
        let graph = arch.build_with(input, classes, stem)?;
        let expected = graph.expected_tensors();
        if let Some(trained) = meta.dataset.as_deref().filter(|&trained| trained != images.name()) {
            notes.push(format!(
                "the network was trained on {}, not on {}",
                trained.escape_debug(),
                images.name()
            ));
        }
        notes.extend(own_normalisation(&file, &found, meta.mean.is_some()));
        notes.extend(layers_beside(&file, &found, input, classes));
        check_channels(&file, &found, &expected, images)?;
        let checkpoint = file.read(&found, &expected).map_err(|error| counted(error, images))?;
        let weights = Weights::from_checked(&graph, &checkpoint);
        let (norm, normalised_by) = normalisation(path, choice, &meta, images)?;
        let key = (!found.others.is_empty()).then(|| found.key.clone());
        let of_file = checkpoint.sha256;
        let sha256 = key.as_ref().map_or(of_file.clone(), |key| identity(&of_file, key));
        let taken = Taken {
            file: path.display().to_string(),
            sha256: of_file,
            key: found.key,
            others: found.others,
            renamed_count: found.renamed.len(),
            renamed: first(found.renamed),
            masked: found.masked,
            passed_over_count: found.passed_over.len(),
            passed_over: first(found.passed_over),
            objects: file.objects().len(),
            notes,
            ..Taken::network(
                (arch.name(), arch_from),
                stem_from.map(|from| (stem, from)),
                &norm,
                normalised_by,
            )
        };
        let (epoch, seed) = (meta.epoch, meta.seed);
        let name = arch.name().to_owned();
        Ok(Model { name, arch: Some(arch), stem, graph, weights, norm, sha256, key, epoch, seed, taken })
    }

    /// A network with initial weights for the images of a data set.
    ///
    /// # Errors
    /// A usage error for images that are too small for it.
    pub fn untrained((arch, stem): (Arch, Stem), images: &Images, seed: u64) -> Result<Model> {
        let [channels, h, w] = images.shape;
        let graph = arch.build_with(Shape { c: channels, h, w }, images.classes.len(), stem)?;
        let weights = Weights::init(&graph, seed);
        let norm = default_normalisation(images).unwrap_or_else(|| Normalisation::none(channels));
        let stem_from = arch.has_stems().then_some((stem, Origin::Flag));
        let taken = Taken::network((arch.name(), Origin::Flag), stem_from, &norm, Origin::Dataset);
        let (name, sha256, arch) = (arch.name().to_owned(), String::new(), Some(arch));
        Ok(Model {
            name,
            arch,
            stem,
            graph,
            weights,
            norm,
            sha256,
            key: None,
            epoch: None,
            seed: None,
            taken,
        })
    }

    /// A network of one's own: its name in results, its graph, its weights and how images are normalised for it. It is known
    /// by the SHA-256 of its weights.
    ///
    /// # Errors
    /// A usage error for weights that are not those of the graph, for values that are not finite, and for a normalisation of
    /// another number of channels.
    pub fn new(name: &str, graph: Graph, weights: Weights, norm: Normalisation) -> Result<Model> {
        weights.check(&graph)?;
        let channels = graph.input().c;
        if [norm.mean.len(), norm.std.len()] != [channels; 2] || norm.std.iter().any(|&std| std <= 0.0) {
            let found = format!("{:?} and {:?}", norm.mean, norm.std);
            return Err(Error::usage(format!(
                "normalisation: expected mean and positive std of {channels} channels, found {found}"
            )));
        }
        let taken = Taken::network((name, Origin::Flag), None, &norm, Origin::Flag);
        let (sha256, stem) = (weights.digest(), Stem::Imagenet);
        let name = name.to_owned();
        Ok(Model {
            name,
            arch: None,
            stem,
            graph,
            weights,
            norm,
            sha256,
            key: None,
            epoch: None,
            seed: None,
            taken,
        })
    }

    /// Whether the network is one for images of this shape and so many classes.
    ///
    /// # Errors
    /// A usage error with both.
    pub fn check_images(&self, images: &Images) -> Result<()> {
        let (Shape { c, h, w }, classes) = (self.graph.input(), self.graph.classes());
        if ([c, h, w], classes) == (images.shape, images.classes.len()) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "{}: expected images of {c}×{h}×{w} and {classes} classes, found {}×{}×{} and {}",
            self.name,
            images.shape[0],
            images.shape[1],
            images.shape[2],
            images.class_count()
        )))
    }

    /// The network with what else is known of its training.
    ///
    /// # Errors
    /// An input error if the file says something else.
    pub fn trained(mut self, known: Trained, path: &Path) -> Result<Model> {
        agrees(path, "epoch", known.epoch, self.epoch)?;
        agrees(path, "seed", known.seed, self.seed)?;
        (self.epoch, self.seed) = (self.epoch.or(known.epoch), self.seed.or(known.seed));
        Ok(self)
    }

    /// The checkpoint as a sweep records it.
    pub fn id(&self) -> CheckpointId {
        CheckpointId {
            sha256: self.sha256.clone(),
            key: self.key.clone(),
            epoch: self.epoch,
            seed: self.seed,
            mean: self.norm.mean.clone(),
            std: self.norm.std.clone(),
        }
    }
}

/// What one of several networks of a file is known by.
fn identity(file: &str, key: &str) -> String {
    hex(&Sha256::digest(format!("{file}\n{key}")))
}

fn first<T>(mut all: Vec<T>) -> Vec<T> {
    all.truncate(NAMED);
    all
}

/// Whether a file says what is known, if it says anything.
fn agrees<T: PartialEq + Display>(path: &Path, what: &str, known: Option<T>, found: Option<T>) -> Result<()> {
    match known.zip(found) {
        Some((known, found)) if known != found => {
            Err(Error::input(path, format!("metadata `{what}`"), known, found))
        }
        _ => Ok(()),
    }
}

/// The architecture of a file's network, and where in the file it lies.
struct Chosen {
    arch: Arch,
    arch_from: Origin,
    found: Found,
    /// What else is to be said of it.
    notes: Vec<String>,
}

/// The architecture, who says so, and its network in the file: that of the user, else of the file's metadata, else the only
/// one whose tensors the file has.
fn which(file: &File, said: &Said, input: Shape, classes: usize) -> Result<Chosen> {
    let path = file.path().display();
    // Names are the same with every stem.
    let find = |arch: Arch| {
        let expected = arch.build(input, classes)?.expected_tensors();
        file.find(arch.name(), &expected, said.key.as_deref())
    };
    let chosen = |arch: Arch, arch_from, found, passed_over: Option<(Arch, String)>| {
        let note = |(found, why)| format!("`arch` = {found} beside the weights is passed over: {why}");
        Ok(Chosen { arch, arch_from, found, notes: passed_over.map(note).into_iter().collect() })
    };
    let recorded = file.notes().get("arch").map(String::as_str);
    let known = recorded.and_then(|name| name.parse::<Arch>().ok());
    match (said.arch, known) {
        (Some(wanted), Some(found)) if wanted != found && file.is_own() => {
            return Err(Error::usage(format!(
                "--arch {wanted}: {path} is a checkpoint of {found}, as its metadata say"
            )));
        }
        // What another program calls its network ("ResNet") contradicts nothing.
        (Some(wanted), known) => {
            let other =
                known.filter(|&found| found != wanted).map(|found| (found, format!("{wanted} is said")));
            return chosen(wanted, Origin::Flag, find(wanted)?, other);
        }
        (None, Some(own)) if file.is_own() => return chosen(own, Origin::Metadata, find(own)?, None),
        // What this program wrote, perhaps a later version.
        (None, None) if file.is_own() => {
            let known = Arch::ALL.map(Arch::name).join(", ");
            let found = format!("`{}`; --arch says which it is", recorded.unwrap_or_default().escape_debug());
            return Err(Error::input(file.path(), "metadata `arch`", format!("one of {known}"), found));
        }
        (None, _) => {}
    }
    let mut fitting: Vec<(Arch, Found)> = Vec::new();
    for arch in known.into_iter().chain(Arch::ALL.into_iter().filter(|arch| Some(*arch) != known)) {
        match find(arch) {
            Ok(found) if Some(arch) == known => return chosen(arch, Origin::Metadata, found, None),
            Ok(found) => fitting.push((arch, found)),
            Err(_) => {}
        }
    }
    let networks: Vec<String> = fitting
        .iter()
        .map(|(arch, found)| match found.key.as_str() {
            "" => arch.to_string(),
            key => format!("{arch} under `{}`", key.escape_debug()),
        })
        .collect();
    match (fitting.pop(), networks.len()) {
        (Some((arch, found)), 1) => {
            let other = known.map(|other| (other, format!("its tensors are those of {arch}")));
            chosen(arch, Origin::Tensors, found, other)
        }
        (None, _) => {
            let known = Arch::ALL.map(Arch::name).join(", ");
            if let Some(found) = file.rewritten() {
                let expected = format!("plain weights of one of {known}");
                return Err(Error::input(file.path(), "names of tensors", expected, found));
            }
            let named = recorded.map_or("name none".to_owned(), |name| {
                format!("say `{}`", name.chars().take(60).collect::<String>().escape_debug())
            });
            Err(Error::usage(format!(
                "{path}: network: expected --arch, or the tensors of one of {known}; its metadata {named}, and its \
                 tensors fit none (synfilter inspect lists them)"
            )))
        }
        _ => {
            let fitting = networks.join(" and of ");
            Err(Error::usage(format!(
                "{path}: network: expected --arch or --key, found the tensors of {fitting}"
            )))
        }
    }
}

/// The stem of a ResNet, and who says so; of another network torchvision's, and nobody.
fn stem_in(
    file: &File,
    found: &Found,
    arch: Arch,
    said: Option<Stem>,
    meta: &Metadata,
    notes: &mut Vec<String>,
) -> Result<(Stem, Option<Origin>)> {
    const NAMES: &str = "imagenet, 3x3, 3x3-pool or 7x7-no-pool";
    let recorded = match meta.stem.as_deref().map(|name| (name, name.parse::<Stem>())) {
        // A note of another program counts where it can be meant, and nobody says otherwise.
        Some((_, Ok(stem)))
            if !file.is_own()
                && (said.is_some_and(|said| said != stem)
                    || !Stem::fitting(found.shape(file, 0)).contains(&stem)) =>
        {
            notes.push(format!("`stem` = {stem} beside the weights is passed over"));
            None
        }
        Some((_, Ok(stem))) => Some(stem),
        Some((name, Err(_))) if file.is_own() => {
            return Err(Error::input(file.path(), "metadata `stem`", NAMES, name.escape_debug()));
        }
        Some((name, Err(_))) => {
            let name = name.chars().take(60).collect::<String>();
            let name = name.escape_debug();
            notes.push(format!("`stem` = {name} beside the weights is passed over: none of {NAMES}"));
            None
        }
        // What this program leaves out is torchvision's.
        None => file.is_own().then_some(Stem::Imagenet),
    };
    let stem = stem_of(arch, found.shape(file, 0), said, recorded, file.path())?;
    let from = match (said, recorded) {
        _ if !arch.has_stems() => None,
        (Some(_), _) => Some(Origin::Flag),
        (None, Some(_)) => Some(Origin::Metadata),
        (None, None) => Some(Origin::Tensors),
    };
    Ok((stem, from))
}

/// Whether a checkpoint of this program is for as many classes and channels as the images have.
fn agree_with_images(path: &Path, meta: &Metadata, images: &Images) -> Result<()> {
    for (what, recorded, actual) in
        [("classes", meta.classes, images.classes.len()), ("channels", meta.channels, images.shape[0])]
    {
        if let Some(recorded) = recorded.filter(|&recorded| recorded != actual) {
            let help = match what {
                "classes" if !images.counted_by.is_empty() => format!(" ({})", images.counted_by),
                "classes" => String::new(),
                _ => color_for(actual, recorded).to_owned(),
            };
            let expected = format!("{actual} as {} has{help}", images.name());
            return Err(Error::input(path, format!("metadata `{what}`"), expected, recorded));
        }
    }
    Ok(())
}

/// The flag that gives images of so many channels to a network of others, in brackets.
fn color_for(images: usize, network: usize) -> &'static str {
    match (images, network) {
        (3, 1) => " (--color grey makes one of them)",
        (1, 3) => " (--color rgb makes three of it)",
        _ => "",
    }
}

/// An error of a network for another number of classes, with where the images' number comes from.
fn counted(error: Error, images: &Images) -> Error {
    match error {
        Error::Input { path, place, expected, found }
            if expected == format!("{} classes", images.classes.len()) =>
        {
            Error::Input { path, place, expected: images.class_count(), found }
        }
        other => other,
    }
}

/// Whether the first convolution takes as many channels as the images have; the shapes of all tensors are checked
/// later, but this difference has a plain name.
fn check_channels(file: &File, found: &Found, expected: &[Expected], images: &Images) -> Result<()> {
    let Some((name, wanted)) = expected.first() else { return Ok(()) };
    match (wanted.as_slice(), found.shape(file, 0)) {
        ([k, wanted, r, s], [k1, found, r1, s1]) if (k, r, s) == (k1, r1, s1) && found != wanted => {
            let help = color_for(*wanted, *found);
            let wanted = format!("{wanted} input channels as the images of {} have{help}", images.name());
            Err(Error::input(file.path(), format!("tensor `{name}`"), wanted, found))
        }
        _ => Ok(()),
    }
}

/// What is to be said of layers beside the network's own that no other network of the file has.
fn layers_beside(file: &File, found: &Found, input: Shape, classes: usize) -> Option<String> {
    if file.layers_beside(found, &[]).is_empty() {
        return None;
    }
    let of = |arch: Arch| Some(file.networks(&arch.build(input, classes).ok()?.expected_tensors()));
    let others: Vec<Found> = Arch::ALL.into_iter().filter_map(of).flatten().collect();
    let layers = file.layers_beside(found, &others);
    (!layers.is_empty()).then(|| {
        let names: Vec<String> =
            layers.iter().take(NAMED).map(|name| format!("`{}`", name.escape_debug())).collect();
        let more = if layers.len() > NAMED { ", …" } else { "" };
        format!(
            "{}{more}: layers beside those of the network are not computed; if it has them, it is another network",
            names.join(", ")
        )
    })
}
