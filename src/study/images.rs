//! The images of a study, those of one data set at a time.

use super::spec::{Spec, at_place};
use crate::data::{FILE_ORDER, Images, Reading, Request, Split, count, open};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::rc::Rc;

/// The images that were read last.
pub struct Store<'s> {
    spec: &'s Spec,
    last: RefCell<Vec<(Part, Rc<Read>)>>,
}

/// Images, and which they are.
pub struct Read {
    /// The images.
    pub images: Images,
    /// What was read.
    pub reading: Reading,
}

/// A data set, by position, and what of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Part {
    data: usize,
    which: Which,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Train,
    Test,
    /// The test images that sweeps measure on.
    Measured,
    /// All test images, those that sweeps measure on first.
    MeasuredFirst,
}

impl<'s> Store<'s> {
    /// Nothing is read yet.
    pub fn new(spec: &'s Spec) -> Store<'s> {
        Store { spec, last: RefCell::default() }
    }

    /// The images to train on.
    ///
    /// # Errors
    /// An input error that names the data set's place in the study file.
    pub fn train(&self, data: usize) -> Result<Rc<Read>> {
        self.part(data, Which::Train)
    }

    /// The images to test on.
    ///
    /// # Errors
    /// As [`Store::train`].
    pub fn test(&self, data: usize) -> Result<Rc<Read>> {
        self.part(data, Which::Test)
    }

    /// The test images that sweeps measure on.
    ///
    /// # Errors
    /// As [`Store::train`]; also if the study asks for more than there are.
    pub fn measured(&self, data: usize) -> Result<Rc<Read>> {
        match self.spec.sweep.images {
            None => self.test(data),
            Some(_) => self.part(data, Which::Measured),
        }
    }

    /// All test images, those that sweeps measure on first.
    ///
    /// # Errors
    /// As [`Store::measured`].
    pub fn measured_first(&self, data: usize) -> Result<Rc<Read>> {
        match self.spec.sweep.images {
            None => self.test(data),
            Some(_) => self.part(data, Which::MeasuredFirst),
        }
    }

    fn part(&self, data: usize, which: Which) -> Result<Rc<Read>> {
        let part = Part { data, which };
        let found =
            self.last.borrow().iter().find(|(found, _)| *found == part).map(|(_, images)| images.clone());
        if let Some(images) = found {
            return Ok(images);
        }
        // Images of another data set make room.
        self.last.borrow_mut().retain(|(found, _)| found.data == data);
        let images = Rc::new(self.load(data, which)?);
        self.last.borrow_mut().push((part, images.clone()));
        Ok(images)
    }

    fn load(&self, at: usize, which: Which) -> Result<Read> {
        let (document, data) = (&self.spec.document, &self.spec.data[at]);
        let split = if which == Which::Train { Split::Train } else { Split::Test };
        let choice = match which {
            Which::Train | Which::Test => None,
            Which::Measured | Which::MeasuredFirst => self.spec.choice(at),
        };
        let rest_follows = which == Which::MeasuredFirst;
        let request = Request { choice, rest_follows, ..data.request(split) };
        let told = |error: Error| match (error, choice.and(self.spec.sweep.images.as_ref())) {
            (Error::Interrupted, _) => Error::Interrupted,
            (error, images) => match (images, count(&request)) {
                (Some(images), Ok(all)) if images.value > all => {
                    let expected = format!("at most the {all} test images of {}", data.name);
                    document.fault(&images.place, expected, images.value)
                }
                _ => {
                    let expected = format!("the {split} images of {}", data.kind);
                    at_place(document, &data.place, expected, &error)
                }
            },
        };
        let (images, mut reading) = open(&request).map_err(told)?;
        if data.in_file_order && choice.is_some_and(|choice| choice.images < reading.of) {
            reading.notes.push(FILE_ORDER.to_owned());
        }
        Ok(Read { images, reading })
    }
}
