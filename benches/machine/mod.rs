//! What the machine can do at most, measured in the run that compares itself with it, and where records go.

use std::fmt;
use std::hint::black_box;
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use synfilter::backend::cpu::layout::Aligned;
use synfilter::backend::cpu::simd::{Isa, Kernel, Level, dispatch};

/// Runs `work` on each item, one thread per item, all started together; the time of the slowest.
pub fn on_all_threads<T: Send>(items: &mut [T], work: impl Fn(&mut T) + Sync) -> Duration {
    let barrier = Barrier::new(items.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter_mut()
            .map(|item| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    work(item);
                    start.elapsed()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a bench thread")).max().unwrap_or_default()
    })
}

/// Independent multiply-adds, all in registers.
struct Ceiling {
    steps: usize,
}

/// Chains of sixteen-lane multiply-adds: as many as an instruction set keeps in registers, at least the
/// eight that two pipes with a latency of four need.
#[inline(always)]
unsafe fn chains<I: Isa, const N: usize>(steps: usize) -> f32 {
    // SAFETY: the caller promises the instruction set; no memory is touched.
    unsafe {
        let (a, b) = (I::splat(black_box(0.999)), I::splat(black_box(0.001)));
        let mut sums = [I::splat(black_box(1.0)); N];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = I::fma(*sum, a, b);
            }
        }
        sums.into_iter().fold(0.0, |total, sum| total + I::sum(sum))
    }
}

impl Kernel for Ceiling {
    /// Multiply-adds done.
    type Output = usize;
    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> usize {
        // SAFETY: the caller's promise.
        unsafe {
            if const { I::ACCUMULATORS >= 24 } {
                black_box(chains::<I, 24>(self.steps));
                24 * 16 * self.steps
            } else if const { I::ACCUMULATORS >= 6 } {
                black_box(chains::<I, 6>(self.steps));
                6 * 16 * self.steps
            } else {
                black_box(chains::<I, 3>(self.steps));
                3 * 16 * self.steps
            }
        }
    }
}

/// y = 2·x + 1 over buffers that no cache holds.
struct Stream<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Stream<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        for (x, y) in self.x.chunks_exact(16).zip(self.y.chunks_exact_mut(16)) {
            // SAFETY: both chunks are sixteen floats; the caller promises the instruction set.
            unsafe { I::store(y.as_mut_ptr(), I::fma(I::load(x.as_ptr()), I::splat(2.0), I::splat(1.0))) }
        }
    }
}

/// Floats per buffer of [`Stream`]: 64 MiB.
const STREAM_LEN: usize = 16 << 20;

/// This machine and its limits, all threads together.
pub struct Machine {
    level: Level,
    threads: usize,
    name: String,
    rustc: String,
    streams: Vec<(Aligned, Aligned)>,
    /// Multiply-adds per second.
    pub ceiling: f64,
    /// Bytes read plus bytes written per second.
    pub bandwidth: f64,
}

impl Machine {
    /// Measures the limits at one instruction set.
    pub fn measure(level: Level) -> Self {
        let threads = rayon::current_num_threads();
        // Written, as pages that never were all read from one page of zeros.
        let ones = || {
            let mut floats = Aligned::zeros(STREAM_LEN);
            floats.fill(1.0);
            floats
        };
        let streams = (0..threads).map(|_| (ones(), ones())).collect();
        let name = cpu_name().unwrap_or_else(|| "unknown".into());
        let rustc = version().unwrap_or_else(|| "unknown".into());
        let mut machine = Machine { level, threads, name, rustc, streams, ceiling: 0.0, bandwidth: 0.0 };
        for _ in 0..10 {
            machine.measure_again();
        }
        machine
    }

    /// Measures again and keeps the larger value: what the machine reached at any time of the run.
    pub fn measure_again(&mut self) {
        let level = self.level;
        // (work, seconds) per thread: the sum of rates, as the cases are measured.
        let rate =
            |items: &[(usize, f64)]| items.iter().map(|(work, seconds)| *work as f64 / seconds).sum::<f64>();
        let mut done = vec![(0, 0.0); self.threads];
        on_all_threads(&mut done, |done| {
            let start = Instant::now();
            // SAFETY: the level is one of this machine's.
            let multiply_adds = unsafe { dispatch(level, Ceiling { steps: 100_000 }) };
            *done = (multiply_adds, start.elapsed().as_secs_f64());
        });
        self.ceiling = self.ceiling.max(rate(&done));
        let mut streams: Vec<_> = self.streams.iter_mut().zip(done).collect();
        on_all_threads(&mut streams, |((x, y), done)| {
            let start = Instant::now();
            // SAFETY: the level is one of this machine's.
            unsafe { dispatch(level, Stream { x, y }) };
            *done = (8 * STREAM_LEN, start.elapsed().as_secs_f64());
        });
        let done: Vec<_> = streams.into_iter().map(|(_, done)| done).collect();
        self.bandwidth = self.bandwidth.max(rate(&done));
    }

    /// The columns of [`CSV_HEAD`].
    pub fn csv(&self) -> String {
        let Machine { name, rustc, threads, level, .. } = self;
        format!("{name},{rustc},{threads},{level:?},{:.2},{:.2}", self.ceiling / 1e9, self.bandwidth / 1e9)
    }
}

/// Names of the columns that every record starts with.
pub const CSV_HEAD: &str = "machine,rustc,threads,simd,ceiling_gmac_s,bandwidth_gb_s";

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Machine { name, rustc, threads, level, ceiling, bandwidth, .. } = self;
        let (ceiling, bandwidth) = (ceiling / 1e9, bandwidth / 1e9);
        write!(
            f,
            "{name}, {threads} threads, {level:?}, {rustc}: {ceiling:.1} GMAC/s, {bandwidth:.1} GB/s read + written"
        )
    }
}

/// The processor's name, family, model and stepping, without commas.
fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let field = |key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = format!("{} family {} model {}", field("model name")?, field("cpu family")?, field("model")?);
    Some(name.replace(',', " "))
}

/// `rustc 1.95.0`.
fn version() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Writes `benches/record/<bench>-<arch>-<date>.csv` if `SYNFILTER_RECORD` is set.
pub fn record(bench: &str, csv: &str) {
    if std::env::var_os("SYNFILTER_RECORD").is_none() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/record");
    let path = folder.join(format!("{bench}-{}-{}.csv", std::env::consts::ARCH, today()));
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, csv)).expect("the record");
    println!("written: {}", path.display());
}

/// Today's date in UTC, ISO 8601; civil date from days since 1970, counting years from March.
fn today() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let days = (now.as_secs() / 86_400) as i64 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = 400 * era + year + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
