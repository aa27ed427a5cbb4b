//! Broken PTX: whatever the text, loading it gives a module or an error.
//!
//! Inputs are pieces of real PTX (everything under tests/ptx and tests/corpus/ptx) with bytes, words, numbers and lines
//! changed. `CUDA_EMULATOR_FUZZ_INPUTS` says how many; what was found once goes into tests/corpus/ptx.

use cuda_emulator::exec::{Device, Module, Settings};
use cuda_emulator::ptx::parse;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A sequence of numbers, the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

fn corpus() -> Vec<(PathBuf, String)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut all = Vec::new();
    for folder in ["ptx", "corpus/ptx"] {
        let Ok(entries) = std::fs::read_dir(tests.join(folder)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "ptx") {
                all.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    all.sort();
    assert!(!all.is_empty());
    all
}

/// What breaks numbers, types and brackets.
const ODD: [&str; 24] = [
    "0xffffffffffffffff",
    "-1",
    "4294967296",
    "99999999999999999999",
    "0f7FC00000",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "<",
    ";",
    ".b128",
    ".v8",
    ".pred",
    "%r4000000000",
    "_",
    "\"",
    "/*",
    "@!",
    "é",
    "1e999",
    ".reg .b32 %r<1000000>;",
];

/// One broken text.
fn mutate(numbers: &mut Numbers, corpus: &[Vec<&str>]) -> String {
    let lines = numbers.pick(corpus);
    let whole = numbers.below(64) == 0;
    let start = if whole { 0 } else { numbers.below(lines.len()) };
    let length = if whole { lines.len().min(400) } else { 1 + numbers.below(24) };
    let mut piece: Vec<String> = Vec::new();
    if !whole && start > 3 {
        piece.push(".version 8.0\n.target sm_80\n.address_size 64\n.entry k(.param .u64 a)\n{".to_string());
        piece.push(
            ".reg .pred %p<999>; .reg .b16 %rs<999>; .reg .b32 %r<9999>; .reg .f32 %f<9999>; .reg .b64 %rd<9999>; \
             .reg .f64 %fd<999>; .reg .b64 %SP, %SPL;"
                .to_string(),
        );
    }
    piece.extend(lines[start..(start + length).min(lines.len())].iter().map(|l| l.to_string()));
    for _ in 0..1 + numbers.below(6) {
        let at = numbers.below(piece.len());
        match numbers.below(7) {
            0 => {
                piece.remove(at);
            }
            1 => {
                let other = numbers.pick(corpus);
                piece.insert(at, numbers.pick(other).to_string());
            }
            2 => {
                let copy = piece[at].clone();
                piece.insert(at, copy);
            }
            _ => {
                let mut bytes = std::mem::take(&mut piece[at]).into_bytes();
                let place = numbers.below(bytes.len() + 1);
                match numbers.below(4) {
                    0 if place < bytes.len() => bytes[place] = b" .,;%0r{}[]()@!-_:|"[numbers.below(19)],
                    1 => bytes.truncate(place),
                    2 if place < bytes.len() => {
                        bytes.remove(place);
                    }
                    _ => {
                        let odd = numbers.pick(&ODD).bytes();
                        bytes.splice(place..place, odd);
                    }
                }
                piece[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        if piece.is_empty() {
            break;
        }
    }
    // Most pieces end before their function does; what is closed comes further than to the parser.
    if numbers.below(4) > 0 {
        piece.push("}".to_string());
    }
    piece.join("\n")
}

#[test]
fn broken_texts_are_errors() {
    let inputs =
        std::env::var("CUDA_EMULATOR_FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000u64);
    let corpus = corpus();
    let lines: Vec<Vec<&str>> = corpus.iter().map(|(_, text)| text.lines().collect()).collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let lines = &lines;
            scope.spawn(move || {
                let device = Device::new(Settings { memory_bytes: 64 << 20, ..Settings::default() }).unwrap();
                let mut loaded = 0u64;
                for i in (thread..inputs).step_by(threads as usize) {
                    let text = mutate(&mut Numbers(i), lines);
                    let start = Instant::now();
                    let outcome = std::panic::catch_unwind(|| Module::load(&device, &text).is_ok());
                    match outcome {
                        Ok(done) => loaded += u64::from(done),
                        Err(_) => panic!("input {i} panicked:\n{text}"),
                    }
                    assert!(start.elapsed() < Duration::from_secs(300), "input {i} took minutes:\n{text}");
                }
                println!(
                    "thread {thread}: {loaded} of {} texts were PTX all the same",
                    inputs.div_ceil(threads)
                );
            });
        }
    });
}

#[test]
fn the_corpus_parses() {
    for (path, text) in corpus() {
        if let Err(why) = parse(&text) {
            panic!("{}: {why}", path.display());
        }
    }
}
