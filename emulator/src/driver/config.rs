//! The environment variables, read once by `cuInit`.

use super::error::{Code, Result};
use super::limits::limits;
use crate::exec::{OnFault, Settings};
use crate::state::cx::Checks;
use std::path::PathBuf;

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of memory of each device.
    pub memory: u64,
    pub devices: usize,
    /// Host threads that run blocks.
    pub threads: usize,
    pub checks: Checks,
    /// Whether a fault ends its launch.
    pub report: OnFault,
    pub profile: Option<PathBuf>,
    pub ptxas: Option<PathBuf>,
    /// Compute capability: major, minor.
    pub compute: (u32, u32),
    /// Blocks one after the other, so that float atomics give the same from run to run.
    pub deterministic: bool,
    /// Warp instructions that one block may run.
    pub limit: Option<u64>,
}

/// Most devices, most host threads.
const MOST: usize = 16;
const MOST_THREADS: usize = 1024;

/// Compute capabilities whose limits [`super::limits`] knows.
pub const COMPUTE: [(u32, u32); 6] = [(7, 5), (8, 0), (8, 6), (8, 7), (8, 9), (9, 0)];

impl Default for Config {
    fn default() -> Config {
        Config {
            memory: 8 << 30,
            devices: 1,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS),
            checks: Checks { uninitialized: true, races: true, async_copies: true },
            report: OnFault::Abort,
            profile: None,
            ptxas: None,
            compute: (8, 0),
            deterministic: false,
            limit: None,
        }
    }
}

impl Config {
    /// Reads `CUDA_EMULATOR_*`. A variable that does not exist, or a value that it cannot have, is an error.
    pub fn from_environment() -> Result<Config> {
        let mut variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                let name = name.strip_prefix("CUDA_EMULATOR_")?.to_string();
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        variables.sort();
        Config::parse(variables).map_err(|message| Code::INVALID_VALUE.because(message))
    }

    /// What the devices are made with.
    pub fn settings(&self) -> Settings {
        Settings {
            memory_bytes: self.memory,
            threads: self.threads,
            deterministic: self.deterministic,
            on_fault: self.report,
            checks: self.checks.clone(),
            instruction_limit: self.limit,
            processors: limits(self.compute).multiprocessors,
            ..Settings::default()
        }
    }

    /// Names without their prefix.
    fn parse(variables: Vec<(String, String)>) -> std::result::Result<Config, String> {
        let mut config = Config::default();
        for (name, value) in variables {
            let wrong = |expected: &str| format!("CUDA_EMULATOR_{name}={value}: expected {expected}");
            match name.as_str() {
                "MEMORY" => {
                    config.memory = bytes(&value).ok_or_else(|| wrong("bytes, as 8G, 512M or 65536"))?;
                }
                "DEVICES" => {
                    config.devices =
                        number(&value, 0, MOST).ok_or_else(|| wrong("a number of devices up to 16"))?;
                }
                "THREADS" => {
                    config.threads = number(&value, 1, MOST_THREADS)
                        .ok_or_else(|| wrong("a number of threads, 1 to 1024"))?;
                }
                "CHECKS" => {
                    config.checks = checks(&value)
                        .ok_or_else(|| wrong("all, none, or some of uninitialized,races,async_copies"))?;
                }
                "REPORT" => {
                    config.report = match value.as_str() {
                        "abort" => OnFault::Abort,
                        "collect" => OnFault::Collect,
                        _ => return Err(wrong("abort or collect")),
                    };
                }
                "PROFILE" if !value.is_empty() => config.profile = Some(value.into()),
                "PTXAS" if !value.is_empty() => config.ptxas = Some(value.into()),
                "COMPUTE" => {
                    let parsed = value
                        .split_once('.')
                        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
                    config.compute = parsed
                        .filter(|c| COMPUTE.contains(c))
                        .ok_or_else(|| wrong("7.5, 8.0, 8.6, 8.7, 8.9 or 9.0"))?;
                }
                "DETERMINISTIC" => {
                    config.deterministic = match value.as_str() {
                        "1" => true,
                        "0" => false,
                        _ => return Err(wrong("0 or 1")),
                    };
                }
                "LIMIT" => {
                    let limit = value.parse().ok().filter(|&n: &u64| n > 0);
                    config.limit = Some(limit.ok_or_else(|| wrong("a number of warp instructions"))?);
                }
                _ => return Err(format!("CUDA_EMULATOR_{name}={value}: no such variable or an empty value")),
            }
        }
        Ok(config)
    }
}

fn number(value: &str, least: usize, most: usize) -> Option<usize> {
    value.parse().ok().filter(|n| (least..=most).contains(n))
}

fn bytes(value: &str) -> Option<u64> {
    let (digits, shift) = match value.as_bytes().last()? {
        b'K' => (&value[..value.len() - 1], 10),
        b'M' => (&value[..value.len() - 1], 20),
        b'G' => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|&n| (1 << 16..=1 << 40).contains(&n))
}

fn checks(value: &str) -> Option<Checks> {
    let mut checks = Checks { uninitialized: false, races: false, async_copies: false };
    match value {
        "all" => return Some(Checks { uninitialized: true, races: true, async_copies: true }),
        "none" => return Some(checks),
        _ => {}
    }
    for word in value.split(',') {
        match word {
            "uninitialized" => checks.uninitialized = true,
            "races" => checks.races = true,
            "async_copies" => checks.async_copies = true,
            _ => return None,
        }
    }
    Some(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> std::result::Result<Config, String> {
        Config::parse(vec![(name.to_string(), value.to_string())])
    }

    #[test]
    fn good_values() {
        assert_eq!(parse("MEMORY", "512M").unwrap().memory, 512 << 20);
        assert_eq!(parse("MEMORY", "65536").unwrap().memory, 65536);
        assert_eq!(parse("COMPUTE", "9.0").unwrap().compute, (9, 0));
        assert_eq!(parse("REPORT", "collect").unwrap().report, OnFault::Collect);
        let checks = parse("CHECKS", "races").unwrap().checks;
        assert!(checks.races && !checks.uninitialized && !checks.async_copies);
    }

    #[test]
    fn bad_values_are_named() {
        for (name, value) in [
            ("MEMORY", "8T"),
            ("MEMORY", ""),
            ("MEMORY", "99999999999G"),
            ("DEVICES", "17"),
            ("DEVICES", "-1"),
            ("THREADS", "0"),
            ("CHECKS", "race"),
            ("REPORT", "Abort"),
            ("COMPUTE", "10.0"),
            ("COMPUTE", "8"),
            ("DETERMINISTIC", "yes"),
            ("PROFILE", ""),
            ("LIMIT", "0"),
            ("MEMROY", "8G"),
        ] {
            let message = parse(name, value).unwrap_err();
            assert!(message.contains(&format!("CUDA_EMULATOR_{name}={value}")), "{message}");
        }
    }
}
