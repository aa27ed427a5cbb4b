//! MNIST (LeCun, Cortes, Burges) and the sets in its form: Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), KMNIST (Clanuwat
//! et al. 2018) and the six sets of EMNIST (Cohen et al. 2017). Images of one channel and of any size, a file of images
//! and a file of labels per split, in IDX form (see `idx.rs`).
//!
//! A file may end in `.gz`, have a dot before `idx` (`t10k-images.idx3-ubyte`) and lie in a folder of its own name, as
//! archives unpack it. Whether it is compressed is told by its first bytes.
//!
//! EMNIST's images lie transposed beside MNIST's; they are read as they lie, as torchvision reads them. Its classes are
//! torchvision's too: the labels of `letters` count from 1, so the first of its 27 classes has no image.

use super::idx::{Pictures, read_images, read_labels};
use super::listed::{Listed, Source};
use super::reader::{Reader, missing, places};
use super::split::Split;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// A data set in MNIST's form.
pub(super) struct IdxSet {
    name: &'static str,
    /// What its files' names begin with.
    prefix: &'static str,
    /// Its usual folders.
    folders: &'static [&'static str],
    /// A word in its folder's path that tells it from the others with the same file names.
    mark: &'static str,
    /// The first labels of the official train and test files, which tell it from the others too, where they are known.
    first_labels: [&'static [u8]; 2],
    /// Class names, separated by commas.
    classes: &'static str,
    mean: &'static [f32],
    std: &'static [f32],
}

const DIGITS: &str = "0,1,2,3,4,5,6,7,8,9";
/// Upper and lower case are one class where they look alike.
const MERGED: &str =
    "0,1,2,3,4,5,6,7,8,9,A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z,a,b,d,e,f,g,h,n,q,r,t";
const CASES: &str = "0,1,2,3,4,5,6,7,8,9,A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z,\
                     a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z";
const LETTERS: &str = "N/A,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z";

/// MNIST.
pub(super) static MNIST: IdxSet = IdxSet {
    name: "mnist",
    prefix: "",
    folders: &["mnist", "MNIST/raw", "raw"],
    mark: "",
    first_labels: [&[5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5], &[7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6]],
    classes: DIGITS,
    mean: &[0.1307],
    std: &[0.3081],
};
/// Fashion-MNIST.
pub(super) static FASHION_MNIST: IdxSet = IdxSet {
    name: "fashion-mnist",
    folders: &["fashion-mnist", "FashionMNIST/raw", "raw", "fashion_mnist", "fashion", "data/fashion"],
    mark: "fashion",
    first_labels: [&[9, 0, 0, 3, 0, 2, 7, 2, 5, 5], &[9, 2, 1, 1, 6, 1, 4, 6, 5, 7]],
    classes: "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot",
    mean: &[0.2860],
    std: &[0.3530],
    ..MNIST
};
/// KMNIST.
pub(super) static KMNIST: IdxSet = IdxSet {
    name: "kmnist",
    folders: &["kmnist", "KMNIST/raw", "raw"],
    mark: "kmnist",
    first_labels: [&[], &[]],
    classes: "o,ki,su,tsu,na,ha,ma,ya,re,wo",
    mean: &[0.1918],
    std: &[0.3483],
    ..MNIST
};
/// EMNIST, all characters, 62 classes.
pub(super) static EMNIST_BYCLASS: IdxSet = emnist("emnist-byclass", "emnist-byclass-", CASES);
/// EMNIST, all characters, 47 classes.
pub(super) static EMNIST_BYMERGE: IdxSet = emnist("emnist-bymerge", "emnist-bymerge-", MERGED);
/// EMNIST, as many images of each of 47 classes.
pub(super) static EMNIST_BALANCED: IdxSet = emnist("emnist-balanced", "emnist-balanced-", MERGED);
/// EMNIST, letters.
pub(super) static EMNIST_LETTERS: IdxSet = emnist("emnist-letters", "emnist-letters-", LETTERS);
/// EMNIST, digits.
pub(super) static EMNIST_DIGITS: IdxSet = emnist("emnist-digits", "emnist-digits-", DIGITS);
/// EMNIST, digits, as many as MNIST has.
pub(super) static EMNIST_MNIST: IdxSet = emnist("emnist-mnist", "emnist-mnist-", DIGITS);

const fn emnist(name: &'static str, prefix: &'static str, classes: &'static str) -> IdxSet {
    let folders = &["emnist", "EMNIST/raw", "raw", "gzip", "emnist/gzip", "EMNIST/raw/gzip"];
    IdxSet {
        name,
        prefix,
        folders,
        mark: "",
        first_labels: [&[], &[]],
        classes,
        mean: &[0.1307],
        std: &[0.3081],
    }
}

/// One of the two files of a split.
#[derive(Clone, Copy)]
enum Part {
    Images,
    Labels,
}

impl Part {
    /// The names that the file has, the official one first.
    fn names(self, prefix: &str, split: Split) -> Vec<String> {
        let (part, form) = match self {
            Part::Images => ("images", "idx3-ubyte"),
            Part::Labels => ("labels", "idx1-ubyte"),
        };
        let stems: &[&str] = match (split, prefix) {
            (Split::Train, _) => &["train"],
            (Split::Test, "") => &["t10k", "test"],
            (Split::Test, _) => &["test", "t10k"],
        };
        let with_dot = |dot: char| stems.iter().map(move |stem| format!("{prefix}{stem}-{part}{dot}{form}"));
        with_dot('-').chain(with_dot('.')).flat_map(|name| [name.clone(), name + ".gz"]).collect()
    }

    /// The file in a folder, or in a folder of its own in there.
    fn find(self, folder: &Path, prefix: &str, split: Split) -> Option<PathBuf> {
        let names = self.names(prefix, split);
        let inner = names.iter().flat_map(|outer| names.iter().map(move |name| Path::new(outer).join(name)));
        let all = names.iter().map(PathBuf::from).chain(inner);
        all.map(|name| folder.join(name)).find(|path| path.is_file())
    }
}

impl IdxSet {
    /// The first of the usual folders with the images of a split, and the file of these.
    fn find(&self, dir: &Path, split: Split) -> Option<(PathBuf, PathBuf)> {
        places(dir, self.folders).find_map(|folder| {
            let images = Part::Images.find(&folder, self.prefix, split)?;
            Some((folder, images))
        })
    }
}

impl Reader for IdxSet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn mean_std(&self) -> (&'static [f32], &'static [f32]) {
        (self.mean, self.std)
    }

    fn is_in(&self, dir: &Path) -> bool {
        let found = [Split::Train, Split::Test].into_iter().find_map(|split| self.find(dir, split));
        let Some((folder, _)) = found else { return false };
        !self.prefix.is_empty() || self.named_by(&folder).unwrap_or(&MNIST).name == self.name
    }

    fn list(&self, dir: &Path, split: Split) -> Result<Listed> {
        let Some((folder, images)) = self.find(dir, split) else {
            let names = Part::Images.names(self.prefix, split);
            let official: Vec<_> = names.iter().take(2).map(String::as_str).collect();
            let fetched = self.name == MNIST.name;
            return Err(missing(self.name, dir, self.folders, &official, fetched));
        };
        let labels = Part::Labels
            .find(&folder, self.prefix, split)
            .unwrap_or_else(|| folder.join(Part::Labels.names(self.prefix, split).swap_remove(0)));
        let open = |path: &Path| File::open(path).map(BufReader::new).map_err(Error::read(path));
        let mut listed = self.read_pair(&images, open(&images)?, &labels, open(&labels)?)?;
        self.check_labels(&labels, &listed.labels, split)?;
        if let Some(other) = self.named_by(&folder).filter(|other| other.name != self.name) {
            listed.notes.push(format!(
                "the folder's path says {0}, which has the same file names (--dataset {1}); it is read as {2}",
                other.mark, other.name, self.name
            ));
        }
        if !self.prefix.is_empty() {
            listed.notes.push(format!("{}: EMNIST's images lie transposed, and are read so", self.name));
        }
        Ok(listed)
    }
}

impl IdxSet {
    /// Of the three sets with the same file names that of which a folder's path speaks.
    fn named_by(&self, folder: &Path) -> Option<&'static IdxSet> {
        let path = folder.to_string_lossy().to_lowercase();
        let mut marked = [&FASHION_MNIST, &KMNIST].into_iter();
        marked.find(|set| self.prefix.is_empty() && path.contains(set.mark))
    }

    /// Refuses the official files of another set with the same names, by their first labels.
    fn check_labels(&self, path: &Path, labels: &[u16], split: Split) -> Result<()> {
        let same = |set: &IdxSet| {
            let first = set.first_labels[(split == Split::Test) as usize];
            let found = labels.iter().take(first.len()).copied();
            labels.len() >= first.len() && found.eq(first.iter().copied().map(u16::from))
        };
        let other = [&MNIST, &FASHION_MNIST].into_iter().find(|set| self.prefix.is_empty() && same(set));
        match other.filter(|other| other.name != self.name) {
            Some(other) => {
                let expected = format!("labels of {}", self.name);
                let found = format!("those of {0} (--dataset {0})", other.name);
                Err(Error::input(path, "the first labels", expected, found))
            }
            None => Ok(()),
        }
    }

    /// Reads a file of images and the file of their labels. The paths are only named in errors.
    pub(super) fn read_pair(
        &self,
        image_path: &Path,
        images: impl Read,
        label_path: &Path,
        labels: impl Read,
    ) -> Result<Listed> {
        let Pictures { count, height, width, pixels } = read_images(image_path, images)?;
        let labels = read_labels(label_path, labels)?;
        if labels.len() != count {
            let expected = format!("{count} labels, as many as images in {}", image_path.display());
            return Err(Error::input(label_path, "byte 4, number of items", expected, labels.len()));
        }
        let classes: Vec<_> = self.classes.split(',').map(str::to_owned).collect();
        if let Some((index, &label)) =
            labels.iter().enumerate().find(|(_, label)| usize::from(**label) >= classes.len())
        {
            let expected = format!("0 to {}", classes.len() - 1);
            return Err(Error::input(label_path, format_args!("label {index}"), expected, label));
        }
        let labels = labels.into_iter().map(u16::from).collect();
        let source = Source::Memory { shape: [1, height, width], pixels };
        Ok(Listed {
            labels,
            classes,
            source,
            root: image_path.to_owned(),
            notes: Vec::new(),
            counted_by: String::new(),
        })
    }
}
