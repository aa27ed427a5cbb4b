//! `SYNFILTER_SIMD`: the instruction set that the program is told to use.

use crate::support::*;
use serde_json::Value;
use std::ffi::OsStr;
use std::process::Output;
use synfilter::backend::cpu::simd::Level;

fn with(value: impl AsRef<OsStr>, words: &[&str]) -> Output {
    synfilter(words).env("SYNFILTER_SIMD", value).output().unwrap()
}

/// Asserts that a value is refused with one line that says all of `needles`.
fn refused(value: impl AsRef<OsStr>, words: &[&str], needles: &[&str]) {
    let output = with(value, words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for needle in ["synfilter: SYNFILTER_SIMD: expected"].iter().chain(needles) {
        assert!(stderr.contains(needle), "{needle:?} is not in {stderr}");
    }
}

#[test]
fn every_level_of_the_machine_is_used_where_it_is_named() {
    let simd = |output: Output| {
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document["devices"][0]["simd"].as_str().unwrap().to_owned()
    };
    let available = Level::available();
    for level in &available {
        assert_eq!(simd(with(level.name(), &["devices", "--json"])), level.name());
    }
    let best = available.last().unwrap().name();
    assert_eq!(simd(with("", &["devices", "--json"])), best, "as if it were not set");
}

#[test]
fn what_is_no_level_or_none_of_the_machine_is_refused() {
    let known = "expected one of portable, avx2 and avx512";
    for value in ["sse4", "AVX2", "avx2 ", "0"] {
        refused(value, &["devices"], &[known, &format!("found \"{value}\"")]);
    }
    refused("two\nlines", &["devices", "--json"], &[known, r#"found "two\nlines""#]);
    // Also by a command that computes nothing.
    refused("fast", &["inspect", "net.safetensors"], &[known]);
    for missing in Level::ALL.into_iter().filter(|level| !Level::available().contains(level)) {
        refused(missing.name(), &["devices"], &["what this machine has, portable", missing.name()]);
    }
    let help = with("fast", &["--help"]);
    assert_eq!(help.status.code(), Some(0), "help says what may be");
    assert!(String::from_utf8(help.stdout).unwrap().contains("SYNFILTER_SIMD  Instruction set"));
}

#[cfg(unix)]
#[test]
fn what_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    refused(OsStr::from_bytes(b"avx\xff"), &["devices"], &["found \"avx"]);
}
