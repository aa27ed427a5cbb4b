//! The terminal as the watcher of long work: notes and progress on stderr, Ctrl-C as the wish to stop.

use super::interrupt::INTERRUPTED;
use super::output::note;
use super::progress::Meter;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use synfilter::Error;
use synfilter::input::Input;
use synfilter::watch::{Part, Watch};

/// This process's.
pub static TERMINAL: Terminal = Terminal { meter: Mutex::new(None) };

/// What goes on of itself when the same command is given again.
pub const GOES_ON: &str = "what is finished is kept; the same command goes on";

/// Stderr.
pub struct Terminal {
    meter: Mutex<Option<Meter>>,
}

impl Terminal {
    /// Does something with the meter, if work is shown. A poisoned lock means that another thread panicked: progress is no
    /// longer of interest.
    fn with(&self, act: impl Fn(&Meter)) {
        if let Ok(meter) = self.meter.lock() {
            meter.iter().for_each(act);
        }
    }

    fn show(&self, meter: Option<Meter>) {
        if let Ok(mut shown) = self.meter.lock() {
            *shown = meter;
        }
    }
}

impl Watch for Terminal {
    fn stop(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }

    fn taken(&self, input: &Input) {
        self.note(&input.to_string());
    }

    fn note(&self, line: &str) {
        match self.meter.lock() {
            Ok(meter) => match &*meter {
                Some(meter) => meter.note(line),
                None => note(line),
            },
            Err(_) => note(line),
        }
    }

    fn begins(&self, part: &Part) {
        let meter = Meter::new(part.what, part.units, part.unit);
        meter.begin_at(part.before);
        self.show(Some(meter));
    }

    fn done(&self, units: u64, detail: &dyn Fn() -> String) {
        self.with(|meter| meter.set(units, detail));
    }

    fn ends(&self) {
        self.show(None);
    }
}

/// Says after an interruption how to go on. The meter goes first, so that the line stands by itself.
pub fn told_on_stop(how: impl Into<String>) -> impl FnOnce(&Error) {
    let how = how.into();
    move |error| {
        TERMINAL.ends();
        if matches!(error, Error::Interrupted) {
            note(&how);
        }
    }
}
