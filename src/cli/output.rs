//! What goes to stdout and stderr. Neither `println!` nor `eprintln!`: they panic where the other end is full or gone.

use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};
use synfilter::score::plot::Screen;
use synfilter::{Error, Result};

/// In which form results are printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// One JSON document in the place of text.
    pub json: bool,
}

impl Output {
    /// Prints a result: `text()` for people, or `document` with `--json`.
    ///
    /// # Errors
    /// [`Error::Write`] if stdout cannot be written.
    pub fn result(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if !self.json {
            return print(&text());
        }
        let mut document = serde_json::to_string_pretty(document)
            .map_err(|error| Error::Failed(format!("result as JSON: {error}")))?;
        document.push('\n');
        print(&document)
    }
}

/// Prints to stdout. A reader that has seen enough and left (`| head`) is no error.
///
/// # Errors
/// [`Error::Write`] for any other trouble.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::write("<stdout>")(error)),
        _ => Ok(()),
    }
}

/// A line on stderr. Where that fails there is nowhere left to say so.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Characters in a line where nobody says how many there are.
const COLUMNS: usize = 80;

/// What stdout shows: the terminal's width, and colours unless <https://no-color.org> forbids them; 80 characters without
/// colour where it is no terminal.
pub fn screen() -> Screen {
    let size = console::Term::stdout().size_checked();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let terminal = io::stdout().is_terminal();
    Screen {
        columns: size.filter(|_| terminal).map_or(COLUMNS, |(_, columns)| usize::from(columns)),
        colour: terminal && !dumb && !set("NO_COLOR"),
    }
}

/// A share as "97.50 %"; "–" where there is nothing to take a share of.
pub fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}
