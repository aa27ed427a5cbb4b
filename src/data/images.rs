//! Images in memory, and the digest that results are recorded against.

use super::dataset::DatasetKind;
use super::listed::BY_LABELS;
use crate::error::{Error, Result};
use crate::text::hex;
use sha2::{Digest, Sha256};

/// One split of a data set, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Pixels `[N, C, H, W]`, 0..=255 (pixel space is this divided by 255).
    pub pixels: Vec<u8>,
    /// Class index of each image.
    pub labels: Vec<u16>,
    /// Class names; their count is the number of classes.
    pub classes: Vec<String>,
    /// SHA-256 over shape, pixels, labels and class names, hexadecimal: what results are recorded against.
    pub digest: String,
    /// The data set that they are of, whose normalisation holds where nothing else is told; `None` for images in memory.
    pub dataset: Option<DatasetKind>,
    /// How the number of classes is known, where it may be meant otherwise; else empty.
    pub counted_by: String,
}

impl Images {
    /// Puts a split together and computes its digest. The parts must agree: `labels.len()` images of
    /// `shape` in `pixels`, every label below `classes.len()`.
    pub(super) fn new(shape: [usize; 3], pixels: Vec<u8>, labels: Vec<u16>, classes: Vec<String>) -> Self {
        debug_assert_eq!(pixels.len(), labels.len() * shape.iter().product::<usize>());
        debug_assert!(labels.iter().all(|&label| usize::from(label) < classes.len()));
        let digest = digest(shape, &pixels, &labels, &classes);
        Images { shape, pixels, labels, classes, digest, dataset: None, counted_by: String::new() }
    }

    /// Images in memory: `pixels` is `[N, C, H, W]`, 0..=255, `labels` has a class index for each. There are as many classes as
    /// the greatest label says, called by their numbers, unless [`Images::with_classes`] says more.
    ///
    /// ```
    /// use synfilter::data::Images;
    ///
    /// let images = Images::from_bytes(vec![0; 2 * 3 * 32 * 32], [2, 3, 32, 32], vec![7, 0])?;
    /// assert_eq!((images.len(), images.classes.len()), (2, 8));
    /// # Ok::<(), synfilter::Error>(())
    /// ```
    ///
    /// # Errors
    /// A usage error for none, for another number of pixels or labels than the shape says, and for labels above 65,534.
    pub fn from_bytes(pixels: Vec<u8>, [n, c, h, w]: [usize; 4], labels: Vec<u16>) -> Result<Images> {
        let size = [n, c, h, w].into_iter().try_fold(1usize, usize::checked_mul);
        if size != Some(pixels.len()) || pixels.is_empty() {
            let found = pixels.len();
            return Err(Error::usage(format!(
                "images: expected the pixels of at least one image, {n}·{c}·{h}·{w} of them, found {found}"
            )));
        }
        if labels.len() != n {
            let found = labels.len();
            return Err(Error::usage(format!("labels: expected {n}, one per image, found {found}")));
        }
        let Some(count) = labels.iter().max().and_then(|last| last.checked_add(1)) else {
            return Err(Error::usage("labels: expected at most 65,534, found 65535".to_owned()));
        };
        let classes = (0..count).map(|class| class.to_string()).collect();
        let counted_by = BY_LABELS.to_owned();
        Ok(Images { counted_by, ..Images::new([c, h, w], pixels, labels, classes) })
    }

    /// The same with names of all classes, of which there may be more than images show.
    ///
    /// # Errors
    /// A usage error for fewer names than the greatest label asks for, and for more than 65,535.
    pub fn with_classes(self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Images> {
        let classes: Vec<String> = names.into_iter().map(Into::into).collect();
        let least = self.labels.iter().max().map_or(0, |&last| usize::from(last) + 1);
        if classes.len() < least || classes.len() > usize::from(u16::MAX) {
            let found = classes.len();
            return Err(Error::usage(format!("classes: expected {least} to 65535 names, found {found}")));
        }
        let images = Images::new(self.shape, self.pixels, self.labels, classes);
        Ok(Images { dataset: self.dataset, ..images })
    }

    /// The name of their data set in results; "memory" for images of none.
    pub fn name(&self) -> &'static str {
        self.dataset.map_or("memory", DatasetKind::name)
    }

    /// How many classes there are, and how that is known.
    pub(crate) fn class_count(&self) -> String {
        let by = if self.counted_by.is_empty() { String::new() } else { format!(" ({})", self.counted_by) };
        format!("{} classes{by}", self.classes.len())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of image `index`, `[C, H, W]`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.iter().product::<usize>();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The same images in another order, which lists each once: its digest is still that of the set.
    pub(crate) fn arranged(&self, order: &[usize]) -> Images {
        let pixels = order.iter().flat_map(|&index| self.image(index)).copied().collect();
        let labels = order.iter().map(|&index| self.labels[index]).collect();
        let Images { shape, ref classes, ref digest, dataset, ref counted_by, .. } = *self;
        let (classes, digest, counted_by) = (classes.clone(), digest.clone(), counted_by.clone());
        Images { shape, pixels, labels, classes, digest, dataset, counted_by }
    }

    /// The first `n` images in file order, with the digest of just these. Asking for none or for more than
    /// there are is a usage error.
    pub fn first(mut self, n: usize) -> Result<Images> {
        if n == 0 || n > self.len() {
            let len = self.len();
            return Err(Error::usage(format!("--images {n}: the set has {len} images; give 1 to {len}")));
        }
        if n < self.len() {
            self.pixels.truncate(n * self.shape.iter().product::<usize>());
            self.pixels.shrink_to_fit();
            self.labels.truncate(n);
            self.digest = digest(self.shape, &self.pixels, &self.labels, &self.classes);
        }
        Ok(self)
    }
}

/// SHA-256 over shape, count, pixels, labels and class names, each with its length, so that no two different
/// splits feed the same bytes.
fn digest(shape: [usize; 3], pixels: &[u8], labels: &[u16], classes: &[String]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"synfilter images 1\n");
    for value in shape.into_iter().chain([labels.len(), classes.len()]) {
        hash.update((value as u64).to_le_bytes());
    }
    hash.update(pixels);
    for label in labels {
        hash.update(label.to_le_bytes());
    }
    for class in classes {
        hash.update((class.len() as u64).to_le_bytes());
        hash.update(class.as_bytes());
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_images() -> Images {
        let classes = vec!["a".to_owned(), "b".to_owned()];
        Images::new([1, 1, 2], vec![1, 2, 3, 4, 5, 6], vec![0, 1, 0], classes)
    }

    #[test]
    fn first_keeps_a_prefix_and_refuses_none_and_too_many() {
        let two = three_images().first(2).unwrap();
        assert_eq!((two.pixels.as_slice(), two.labels.as_slice()), (&[1, 2, 3, 4][..], &[0, 1][..]));
        assert_ne!(two.digest, three_images().digest);
        assert_eq!(three_images().first(3).unwrap(), three_images());
        for n in [0, 4] {
            let error = three_images().first(n).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains(&n.to_string()) && text.contains("3 images"), "{text}");
        }
    }

    #[test]
    fn the_digest_sees_every_part() {
        let base = three_images();
        let mut variants = vec![base.digest.clone()];
        variants.push(digest([1, 2, 1], &base.pixels, &base.labels, &base.classes));
        variants.push(digest(base.shape, &[1, 2, 3, 4, 5, 7], &base.labels, &base.classes));
        variants.push(digest(base.shape, &base.pixels, &[0, 1, 1], &base.classes));
        variants.push(digest(base.shape, &base.pixels, &base.labels, &["ab".to_owned(), String::new()]));
        let distinct: std::collections::HashSet<_> = variants.iter().collect();
        assert_eq!(distinct.len(), variants.len());
    }
}
