//! Instruction sets: those that this machine has, and the one that is used, which `SYNFILTER_SIMD` may say.

use crate::error::{Error, Result};
use crate::text::enumerated;
use std::ffi::OsStr;
use std::sync::OnceLock;

/// The environment variable that names a level.
const VARIABLE: &str = "SYNFILTER_SIMD";

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// No intrinsics: any machine.
    Portable,
    /// AVX2 and FMA: 16 lanes are two registers.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 16 lanes are one register.
    Avx512,
}

impl Level {
    /// All of them, best last.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// The levels that this machine has, best last.
    pub fn available() -> Vec<Level> {
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                levels.push(Level::Avx2);
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                levels.push(Level::Avx512);
            }
        }
        levels
    }

    /// The level that `SYNFILTER_SIMD` names, or nothing where it is not set or empty.
    ///
    /// # Errors
    /// [`Error::Usage`] for what is no level, and for one that this machine lacks.
    pub fn asked() -> Result<Option<Level>> {
        let value = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        value.map(|value| Level::of(&value, &Level::available())).transpose()
    }

    /// The level that is used where no other is given: the one of [`Level::asked`], else the best of this machine. The program
    /// refuses a `SYNFILTER_SIMD` that cannot be; a library has nobody to refuse it to, and warns.
    pub fn best() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let asked = Level::asked().unwrap_or_else(|error| {
                tracing::warn!("{error}; the best level is used");
                None
            });
            asked.or(Level::available().pop()).unwrap_or(Level::Portable)
        })
    }

    /// The level of a name, on a machine that has some of them.
    fn of(name: &OsStr, available: &[Level]) -> Result<Level> {
        let named =
            |levels: &[Level]| enumerated(&levels.iter().map(|level| level.name()).collect::<Vec<_>>());
        let found = name.to_string_lossy();
        match Level::ALL.into_iter().find(|level| name == level.name()) {
            Some(level) if available.contains(&level) => Ok(level),
            Some(level) => Err(Error::usage(format!(
                "{VARIABLE}: expected what this machine has, {}, found {}",
                named(available),
                level.name()
            ))),
            None => Err(Error::usage(format!(
                "{VARIABLE}: expected one of {}, found \"{}\"",
                named(&Level::ALL),
                found.escape_debug()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_levels_that_are_there_and_of_others() {
        let of = |name: &str, available: &[Level]| Level::of(OsStr::new(name), available);
        for level in Level::ALL {
            assert_eq!(of(level.name(), &Level::ALL).unwrap(), level);
        }
        for name in ["sse2", "AVX2", "avx2 ", "best\n"] {
            let error = of(name, &Level::ALL).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let found = format!("found \"{}\"", name.escape_debug());
            let error = error.to_string();
            assert!(error.contains("SYNFILTER_SIMD: expected one of portable, avx2 and avx512"), "{error}");
            assert!(error.contains(&found), "{error}");
        }
        let older = [Level::Portable, Level::Avx2];
        assert_eq!(of("avx2", &older).unwrap(), Level::Avx2);
        let error = of("avx512", &older).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let expected = "SYNFILTER_SIMD: expected what this machine has, portable and avx2, found avx512";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_best_comes_last() {
        let available = Level::available();
        assert_eq!(available[..], Level::ALL[..available.len()]);
    }
}
