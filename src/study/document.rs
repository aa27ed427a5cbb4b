//! A TOML document whose every value knows its line and its key, so that whatever is wrong with one can be told.

use crate::error::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use strsim::damerau_levenshtein;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key that is so many letters from one that is missing is taken for it.
const MISSPELT: usize = 2;

/// Where in a file a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The key with the sections that it is in: `sweep.filters[1]`.
    pub key: String,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.is_empty() {
            true => write!(f, "line {}", self.line),
            false => write!(f, "line {}, key {}", self.line, self.key),
        }
    }
}

/// A value that knows its place.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands; of a default, where the section begins that might have it.
    pub place: Place,
}

impl<T> At<T> {
    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), place: self.place }
    }
}

/// The text of a document and its name.
#[derive(Clone, Debug)]
pub struct StudyFile {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

impl StudyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn read(path: &Path) -> Result<StudyFile> {
        let text = fs::read_to_string(path).map_err(Error::read(path))?;
        Ok(StudyFile { path: path.to_owned(), text })
    }

    /// The whole document, parsed.
    ///
    /// # Errors
    /// [`Error::Input`] with the line of the first thing that is no TOML.
    pub fn parse(&self) -> Result<Spanned<DeTable<'_>>> {
        DeTable::parse(&self.text).map_err(|error| {
            let place = Place { line: self.line(error.span().unwrap_or(0..0)), key: String::new() };
            self.fault(&place, "TOML", error.message())
        })
    }

    /// Something that is not as it should be.
    pub fn fault(&self, place: &Place, expected: impl Display, found: impl Display) -> Error {
        Error::input(&self.path, place, expected, found)
    }

    fn line(&self, span: Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count()
    }
}

/// A table of the document that is being read: whatever of it nobody asks for is a mistake.
pub struct Section<'d> {
    document: &'d StudyFile,
    name: String,
    line: usize,
    entries: BTreeMap<&'d str, (usize, &'d Spanned<DeValue<'d>>)>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Section<'d> {
    /// The document itself.
    pub fn root(document: &'d StudyFile, table: &'d Spanned<DeTable<'d>>) -> Section<'d> {
        Section::new(document, String::new(), 1, table.get_ref())
    }

    fn new(document: &'d StudyFile, name: String, line: usize, table: &'d DeTable<'d>) -> Section<'d> {
        let entries = table.iter().map(|(key, value)| {
            let line = document.line(key.span());
            (&**key.get_ref(), (line, value))
        });
        Section { document, name, line, entries: entries.collect(), asked: RefCell::default() }
    }

    /// Where the section begins.
    pub fn place(&self) -> Place {
        Place { line: self.line, key: self.name.clone() }
    }

    fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn entry(&self, key: &'static str) -> Option<(Place, &'d Spanned<DeValue<'d>>)> {
        self.asked.borrow_mut().push(key);
        let (line, value) = self.entries.get(key)?;
        Some((Place { line: *line, key: self.key(key) }, value))
    }

    /// The value of a key that may be missing, read by `read`, which says `None` to what is not `expected`.
    ///
    /// # Errors
    /// [`Error::Input`] for a value that is something else.
    pub fn optional<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue) -> Option<T>,
    ) -> Result<Option<At<T>>> {
        let Some((place, value)) = self.entry(key) else { return Ok(None) };
        let value = self.one(&place, expected, value, &read)?;
        Ok(Some(At { value, place }))
    }

    /// As [`Section::optional`], of a key that has to be there.
    ///
    /// # Errors
    /// Also if it is missing.
    pub fn required<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue) -> Option<T>,
    ) -> Result<At<T>> {
        self.optional(key, expected, read)?.ok_or_else(|| self.missing(key, expected))
    }

    /// The values of a key that holds a list, each with its own place, and the place of the list.
    ///
    /// # Errors
    /// [`Error::Input`] for something else than a list, and for an element that is not `expected`.
    pub fn list<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&DeValue) -> Option<T>,
    ) -> Result<Option<At<Vec<At<T>>>>> {
        let Some((place, value)) = self.entry(key) else { return Ok(None) };
        let Some(array) = value.get_ref().as_array() else {
            return Err(self.document.fault(
                &place,
                format!("a list, each {expected}"),
                shown(value.get_ref()),
            ));
        };
        let elements = array.iter().enumerate().map(|(at, value)| {
            let line = self.document.line(value.span());
            let place = Place { line, key: format!("{}[{at}]", place.key) };
            let value = self.one(&place, expected, value, &read)?;
            Ok(At { value, place })
        });
        let value = elements.collect::<Result<Vec<_>>>()?;
        Ok(Some(At { value, place }))
    }

    fn one<T>(
        &self,
        place: &Place,
        expected: &str,
        value: &Spanned<DeValue>,
        read: &impl Fn(&DeValue) -> Option<T>,
    ) -> Result<T> {
        read(value.get_ref()).ok_or_else(|| self.document.fault(place, expected, shown(value.get_ref())))
    }

    /// A section in this one.
    ///
    /// # Errors
    /// [`Error::Input`] if the key holds something else.
    pub fn section(&self, key: &'static str) -> Result<Option<Section<'d>>> {
        let Some((place, value)) = self.entry(key) else { return Ok(None) };
        let table = value.get_ref().as_table().ok_or_else(|| {
            self.document.fault(&place, format!("a section [{}]", place.key), shown(value.get_ref()))
        })?;
        Ok(Some(Section::new(self.document, place.key, place.line, table)))
    }

    /// Sections of one name: `[[name]]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the key holds something else.
    pub fn sections(&self, key: &'static str) -> Result<Vec<Section<'d>>> {
        let Some((place, value)) = self.entry(key) else { return Ok(Vec::new()) };
        let fault = |found: &DeValue| {
            self.document.fault(&place, format!("sections [[{}]]", place.key), shown(found))
        };
        let array = value.get_ref().as_array().ok_or_else(|| fault(value.get_ref()))?;
        let sections = array.iter().enumerate().map(|(at, value)| {
            let table = value.get_ref().as_table().ok_or_else(|| fault(value.get_ref()))?;
            let line = self.document.line(value.span());
            Ok(Section::new(self.document, format!("{}[{at}]", place.key), line, table))
        });
        sections.collect()
    }

    /// A key that has to be there and is not, or is misspelt.
    pub fn missing(&self, key: &str, expected: impl Display) -> Error {
        let asked = self.asked.borrow();
        let unknown = self.entries.iter().filter(|(name, _)| !asked.contains(name));
        match unknown.min_by_key(|(name, _)| damerau_levenshtein(name, key)) {
            Some((name, (line, _))) if damerau_levenshtein(name, key) <= MISSPELT => {
                let place = Place { line: *line, key: self.key(name) };
                self.document.fault(
                    &place,
                    format!("the key {}: {expected}", self.key(key)),
                    format!("`{name}`"),
                )
            }
            _ => {
                let place = Place { line: self.line, key: self.key(key) };
                self.document.fault(&place, expected, "nothing")
            }
        }
    }

    /// Something that is not as it should be.
    pub fn fault(&self, place: &Place, expected: impl Display, found: impl Display) -> Error {
        self.document.fault(place, expected, found)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::Input`] for the first key that nobody asked for.
    pub fn finish(self) -> Result<()> {
        let asked = self.asked.borrow();
        let unknown = self.entries.iter().filter(|(key, _)| !asked.contains(key));
        match unknown.min_by_key(|(_, (line, _))| *line) {
            None => Ok(()),
            Some((key, (line, _))) => {
                let place = Place { line: *line, key: self.key(key) };
                let known = asked.join(", ");
                Err(self.document.fault(&place, format!("one of the keys {known}"), format!("`{key}`")))
            }
        }
    }
}

/// A value as an error shows it.
fn shown(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// Any text.
pub fn text(value: &DeValue) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A text that names one of the values of a type.
pub fn named<T: FromStr>(value: &DeValue) -> Option<T> {
    value.as_str()?.parse().ok()
}

/// A reader of whole numbers from `least` on.
pub(super) fn at_least<T: TryFrom<i64> + PartialOrd + Copy>(least: T) -> impl Fn(&DeValue) -> Option<T> {
    move |value| whole::<T>(value).filter(|number| *number >= least)
}

/// A whole number of a type.
pub fn whole<T: TryFrom<i64>>(value: &DeValue) -> Option<T> {
    let number = value.as_integer()?;
    T::try_from(i64::from_str_radix(number.as_str(), number.radix()).ok()?).ok()
}

/// A finite number.
pub fn number(value: &DeValue) -> Option<f64> {
    let number = match value {
        DeValue::Integer(_) => whole::<i64>(value)? as f64,
        DeValue::Float(number) => number.as_str().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// true or false.
pub fn flag(value: &DeValue) -> Option<bool> {
    value.as_bool()
}
