//! The elements of some images of an array, in whatever order the array has them. Memory follows what is kept, and grows with
//! what is read, not with what a file claims.
//!
//! An array comes in parts: in C's order a part is an image, in Fortran's it is one element of every image. What is kept has
//! the same order.

use super::container::Container;
use crate::error::{Error, Result};
use std::io::{Read, Seek, SeekFrom};

/// What is wrong: expected, and found.
type Fault = (String, String);

const INTACT: &str = "intact data to its end";

/// The elements of the images `kept` (ascending) of the `count` of an array. In a file that is not compressed the others
/// are not read; in a compressed one nothing is read beyond the last.
pub(super) fn chosen(
    container: &mut Container,
    index: usize,
    count: usize,
    kept: &[usize],
) -> Result<Vec<u8>> {
    let layout = Layout::of(container, index, count)?;
    let found = match container.anywhere(index)?.filter(|_| !layout.side_by_side && kept.len() < count) {
        Some((file, start)) => layout.pick(file, start, kept),
        None => {
            let reader = container.stream(index)?;
            layout.sift(reader, kept, false, |_| Ok(()))
        }
    };
    found.map_err(|fault| told(container, index, fault))
}

/// The same, of an array that is read to its end; `look` sees each part, and says what is wrong with it.
pub(super) fn all(
    container: &mut Container,
    index: usize,
    count: usize,
    kept: &[usize],
    look: impl FnMut(&[u8]) -> std::result::Result<(), String>,
) -> Result<Vec<u8>> {
    let layout = Layout::of(container, index, count)?;
    let reader = container.stream(index)?;
    let found = layout.sift(reader, kept, true, look);
    found.map_err(|fault| told(container, index, fault))
}

fn told(container: &Container, index: usize, (expected, found): Fault) -> Error {
    container.fault(index, expected, found)
}

/// How an array of images lies in a file.
struct Layout {
    /// Images.
    count: usize,
    /// Bytes of an element.
    size: usize,
    /// Bytes of an image.
    image: usize,
    /// Fortran's order.
    side_by_side: bool,
}

impl Layout {
    fn of(container: &Container, index: usize, count: usize) -> Result<Self> {
        let bytes = container.bytes(index)?;
        let spec = &container.specs()[index];
        let size = spec.element.size().filter(|&size| size > 0).unwrap_or(1);
        Ok(Layout { count, size, image: bytes / count.max(1), side_by_side: spec.fortran })
    }

    /// Goes to each image that is kept.
    fn pick(&self, mut file: impl Read + Seek, start: u64, kept: &[usize]) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        for &image in kept {
            let offset = (image as u64).checked_mul(self.image as u64).and_then(|at| at.checked_add(start));
            let place = SeekFrom::Start(offset.unwrap_or(u64::MAX));
            file.seek(place).map_err(|error| (INTACT.to_owned(), error.to_string()))?;
            take(&mut file, self.image, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Goes through the parts, to the `end` or until all is there that is kept.
    fn sift(
        &self,
        mut reader: impl Read,
        kept: &[usize],
        end: bool,
        mut look: impl FnMut(&[u8]) -> std::result::Result<(), String>,
    ) -> Result<Vec<u8>, Fault> {
        let (parts, length) = match self.side_by_side {
            false => (self.count, self.image),
            true => (self.image / self.size, self.count * self.size),
        };
        let parts = match kept.last() {
            Some(&last) if !end && !self.side_by_side => last + 1,
            _ => parts,
        };
        let (mut bytes, mut part, mut wanted) = (Vec::new(), Vec::new(), kept.iter().peekable());
        for number in 0..parts {
            part.clear();
            take(&mut reader, length, &mut part)?;
            look(&part).map_err(|found| ("finite numbers".to_owned(), found))?;
            if self.side_by_side {
                let element = |&image: &usize| &part[image * self.size..(image + 1) * self.size];
                kept.iter().for_each(|image| bytes.extend_from_slice(element(image)));
            } else if wanted.next_if(|&&image| image == number).is_some() {
                bytes.extend_from_slice(&part);
            }
        }
        // The end of a zip entry has its check value.
        if parts == self.count || self.side_by_side {
            match reader.read(&mut [0]) {
                Ok(0) => {}
                Ok(_) => return Err(("the end of the data".to_owned(), "more".to_owned())),
                Err(error) => return Err((INTACT.to_owned(), error.to_string())),
            }
        }
        Ok(bytes)
    }
}

/// Reads so many bytes, and appends them.
fn take(reader: &mut impl Read, length: usize, to: &mut Vec<u8>) -> Result<(), Fault> {
    match reader.by_ref().take(length as u64).read_to_end(to) {
        Ok(read) if read == length => Ok(()),
        Ok(_) => Err((INTACT.to_owned(), "the end of the data".to_owned())),
        Err(error) => Err((INTACT.to_owned(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::container::Counted;
    use super::*;
    use std::io::Cursor;

    /// Images of three elements of two bytes.
    const LAYOUT: Layout = Layout { count: 1000, size: 2, image: 6, side_by_side: false };

    impl<R: Seek> Seek for Counted<R> {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.inner.seek(to)
        }
    }

    /// Every image holds its number in each byte, below 256.
    fn file() -> Vec<u8> {
        (0..1000u32).flat_map(|image| [image as u8; 6]).collect()
    }

    #[test]
    fn only_images_that_are_taken_are_read_where_that_can_be() {
        let mut file = Counted { inner: Cursor::new([vec![9; 5], file()].concat()), count: 0 };
        let bytes = LAYOUT.pick(&mut file, 5, &[3, 250, 999]).unwrap();
        assert_eq!(bytes, [[3; 6], [250; 6], [231; 6]].concat());
        assert_eq!(file.count, 18);
        let (_, found) = LAYOUT.pick(&mut file, 11, &[999]).unwrap_err();
        assert_eq!(found, "the end of the data");
    }

    #[test]
    fn nothing_is_read_beyond_the_last_unless_all_is_to_be_seen() {
        let mut reader = Counted { inner: Cursor::new(file()), count: 0 };
        let bytes = LAYOUT.sift(&mut reader, &[3, 9], false, |_| Ok(())).unwrap();
        assert_eq!((bytes, reader.count), ([[3; 6], [9; 6]].concat(), 60));
        let (mut reader, mut seen) = (Cursor::new(file()), 0);
        let look = |part: &[u8]| {
            seen += part.len();
            Ok(())
        };
        assert_eq!(LAYOUT.sift(&mut reader, &[3, 9], true, look).unwrap(), [[3; 6], [9; 6]].concat());
        assert_eq!(seen, 6000);
        let all: Vec<usize> = (0..1000).collect();
        let more = [file(), vec![0]].concat();
        assert_eq!(LAYOUT.sift(Cursor::new(more), &all, false, |_| Ok(())).unwrap_err().1, "more");
    }

    #[test]
    fn images_side_by_side_keep_their_order() {
        let layout = Layout { side_by_side: true, count: 4, size: 1, image: 3 };
        let bytes: Vec<u8> = (0..12).collect();
        assert_eq!(layout.sift(Cursor::new(bytes), &[1, 3], false, |_| Ok(())).unwrap(), [1, 3, 5, 7, 9, 11]);
    }
}
