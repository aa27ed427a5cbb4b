//! Progress on stderr: a bar on a terminal, else a line now and then.

use super::output::note;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use synfilter::text::duration;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far a piece of work is.
pub struct Meter {
    what: String,
    total: u64,
    show: Show,
}

enum Show {
    Bar(ProgressBar),
    Lines { started: Instant, state: Mutex<Lines> },
}

struct Lines {
    begun_at: u64,
    done: u64,
    told: Instant,
}

impl Meter {
    /// Starts to show `what`, which is done when `total` `unit`s are.
    pub fn new(what: &str, total: u64, unit: &str) -> Meter {
        Meter::with_counts(what, total, &format!("{{pos}}/{{len}} {unit}, {{per_sec}}"))
    }

    /// Starts to show a download.
    pub fn bytes(what: &str, total: u64) -> Meter {
        Meter::with_counts(what, total, "{bytes}/{total_bytes}, {bytes_per_sec}")
    }

    fn with_counts(what: &str, total: u64, counts: &str) -> Meter {
        let show = if std::io::stderr().is_terminal() {
            let template = format!("{{prefix}} [{{bar:24}}] {counts}, ETA {{eta}}  {{msg}}");
            let style = ProgressStyle::with_template(&template)
                .map(|style| style.progress_chars("=> "))
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(total).with_style(style).with_finish(ProgressFinish::AndClear);
            bar.set_prefix(what.to_owned());
            Show::Bar(bar)
        } else {
            let now = Instant::now();
            Show::Lines { started: now, state: Mutex::new(Lines { begun_at: 0, done: 0, told: now }) }
        };
        Meter { what: what.to_owned(), total, show }
    }

    /// `done` units were there before the work started: they say nothing about its speed.
    pub fn begin_at(&self, done: u64) {
        match &self.show {
            Show::Bar(bar) => {
                bar.set_position(done);
                bar.reset_eta();
            }
            Show::Lines { state, .. } => {
                // A poisoned lock means that another thread panicked: progress is no longer of interest.
                if let Ok(mut state) = state.lock() {
                    state.begun_at = done;
                }
            }
        }
    }

    /// A line on stderr that does not run into the bar.
    pub fn note(&self, line: &str) {
        match &self.show {
            Show::Bar(bar) => bar.suspend(|| note(line)),
            Show::Lines { .. } => note(line),
        }
    }

    /// `done` units are done altogether; `message` says what is at hand.
    pub fn set(&self, done: u64, message: impl FnOnce() -> String) {
        match &self.show {
            Show::Bar(bar) => {
                bar.set_message(message());
                bar.set_position(done);
            }
            Show::Lines { started, state } => {
                if let Ok(mut state) = state.lock() {
                    self.line(*started, &mut state, done, &message());
                }
            }
        }
    }

    fn line(&self, started: Instant, state: &mut Lines, done: u64, message: &str) {
        state.done = done;
        let here = done.saturating_sub(state.begun_at);
        if state.told.elapsed() < LINE_EVERY || here == 0 {
            return;
        }
        state.told = Instant::now();
        let left = started.elapsed().as_secs_f64() * self.total.saturating_sub(done) as f64 / here as f64;
        let percent = 100 * done / self.total.max(1);
        let gap = if message.is_empty() { "" } else { ", " };
        note(&format!("{}: {percent} %{gap}{message}, ETA {}", self.what, duration(left)));
    }
}
