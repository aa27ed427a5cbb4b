//! The images of a study, those of one data set at a time.

use std::cell::RefCell;
use std::rc::Rc;
use synfilter::data::{self, Images, Split};
use synfilter::study::spec::{Spec, at_place};
use synfilter::{Error, Result};

/// The images that were read last.
pub struct Store<'s> {
    spec: &'s Spec,
    last: RefCell<Vec<(Part, Rc<Images>)>>,
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
    pub fn train(&self, data: usize) -> Result<Rc<Images>> {
        self.part(data, Which::Train)
    }

    /// The images to test on.
    ///
    /// # Errors
    /// As [`Store::train`].
    pub fn test(&self, data: usize) -> Result<Rc<Images>> {
        self.part(data, Which::Test)
    }

    /// The test images that sweeps measure on.
    ///
    /// # Errors
    /// As [`Store::train`]; also if the study asks for more than there are.
    pub fn measured(&self, data: usize) -> Result<Rc<Images>> {
        match self.spec.sweep.images {
            None => self.test(data),
            Some(_) => self.part(data, Which::Measured),
        }
    }

    fn part(&self, data: usize, which: Which) -> Result<Rc<Images>> {
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

    fn load(&self, data: usize, which: Which) -> Result<Images> {
        let (document, data) = (&self.spec.document, &self.spec.data[data]);
        let split = if which == Which::Train { Split::Train } else { Split::Test };
        let loaded = data::load(data.kind, data.dir.as_deref(), split, data.image_size);
        let expected = || format!("the {split} images of {}", data.kind);
        let all = loaded.map_err(|error| match error {
            Error::Interrupted => error,
            error => at_place(document, &data.place, expected(), &error),
        })?;
        match (which, &self.spec.sweep.images) {
            (Which::Measured, Some(images)) => {
                let count = all.len();
                let expected = format!("at most the {count} test images of {}", data.name);
                all.first(images.value).map_err(|_| document.fault(&images.place, expected, images.value))
            }
            _ => Ok(all),
        }
    }
}
