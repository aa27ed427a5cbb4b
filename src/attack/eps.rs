//! ε as people write it: `8/255` or `0.03`, always shown in both forms.

use super::method::{Attack, Method};
use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// Pixel levels above 0: the denominator in which ε is usually told.
const LEVELS: f64 = 255.0;

/// The most that an attack moves a pixel, in pixel units, in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eps(pub f64);

impl Eps {
    /// The attack of this size by `method`.
    pub fn attack(self, method: Method, clamp: bool) -> Attack {
        Attack { method, eps: self.0, clamp }
    }
}

impl FromStr for Eps {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let value = in_pixel_units("eps", text)?;
        match (0.0..=1.0).contains(&value) {
            true => Ok(Eps(value)),
            false => Err(Error::usage(format!("eps: expected 0 to 1 in pixel units, found {value}"))),
        }
    }
}

/// Size of one step of an attack in pixel units, in (0, 1], written as ε is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSize(pub f64);

impl FromStr for StepSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let value = in_pixel_units("step size", text)?;
        match value > 0.0 && value <= 1.0 {
            true => Ok(StepSize(value)),
            false => Err(Error::usage(format!(
                "step size: expected more than 0, to 1 in pixel units, found {value}"
            ))),
        }
    }
}

/// The value of a number or a fraction.
fn in_pixel_units(what: &str, text: &str) -> Result<f64, Error> {
    let number = |part: &str| part.trim().parse::<f64>().ok();
    let value = match text.split_once('/') {
        None => number(text),
        Some((numerator, denominator)) => {
            number(numerator).zip(number(denominator)).filter(|(_, d)| *d != 0.0).map(|(n, d)| n / d)
        }
    };
    value.ok_or_else(|| {
        Error::usage(format!(
            "{what}: expected a number such as 0.03 or a fraction such as 8/255, found \"{text}\""
        ))
    })
}

impl fmt::Display for Eps {
    /// "0.0314 (8/255)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} ({}/255)", rounded(self.0, 4), rounded(self.0 * LEVELS, 2)))
    }
}

/// At most `digits` decimals, without trailing zeros; scientific where nothing would be left.
fn rounded(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if value != 0.0 && text == "0" { format!("{value:.1e}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_shown() {
        let shown = |text: &str| text.parse::<Eps>().unwrap().to_string();
        assert_eq!(shown("8/255"), "0.0314 (8/255)");
        assert_eq!(shown("0.03"), "0.03 (7.65/255)");
        assert_eq!(shown("0"), "0 (0/255)");
        assert_eq!(shown("1"), "1 (255/255)");
        assert_eq!(shown(" 1 / 2"), "0.5 (127.5/255)");
        assert_eq!(shown("1.2e-5"), "1.2e-5 (3.1e-3/255)");
        assert_eq!("8/255".parse::<Eps>().unwrap().0, 8.0 / 255.0);
    }

    #[test]
    fn step_sizes_are_positive() {
        assert_eq!("2/255".parse::<StepSize>().unwrap().0, 2.0 / 255.0);
        for text in ["0", "-0.1", "NaN", "1.1", "x", "1/0"] {
            let error = text.parse::<StepSize>().unwrap_err().to_string();
            assert!(error.starts_with("step size: expected"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for text in ["8/0", "0/0", "", "/", "8/", "a", "1/2/3", "NaN"] {
            assert!(text.parse::<Eps>().is_err(), "{text}");
        }
        for text in ["-0.1", "1.5", "256/255", "inf", "-8/255"] {
            let error = text.parse::<Eps>().unwrap_err().to_string();
            assert!(error.contains("expected 0 to 1"), "{text}: {error}");
        }
    }
}
