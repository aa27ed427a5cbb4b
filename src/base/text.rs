//! Plain text: for people, and digests.

use std::fmt::Write;

/// Which training a network comes from, as far as that is known: ", seed 0, epoch 4".
pub fn of_training(seed: Option<u64>, epoch: Option<u32>) -> String {
    let seed = seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    seed + &epoch.map(|epoch| format!(", epoch {epoch}")).unwrap_or_default()
}

/// Words as a sentence lists them: "a", "a and b", "a, b and c".
pub fn enumerated(words: &[&str]) -> String {
    match words {
        [head @ .., last] if !head.is_empty() => format!("{} and {last}", head.join(", ")),
        words => words.concat(),
    }
}

/// Rows as lines whose columns stand under one another, two spaces apart; a column is aligned to the right where `right` says
/// so. Rows may end early.
pub fn aligned<R: AsRef<[String]>>(rows: &[R], right: impl Fn(usize) -> bool) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells =
            row.as_ref().iter().zip(&widths).enumerate().map(|(at, (cell, &width))| match right(at) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds as people say them: "0.8 s", "42 s", "3 min 05 s", "2 h 10 min".
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{aligned, duration, enumerated};

    #[test]
    fn words_are_listed_as_in_a_sentence() {
        let said = [&[][..], &["a"], &["a", "b"], &["a", "b", "c"]].map(enumerated);
        assert_eq!(said, ["", "a", "a and b", "a, b and c"]);
    }

    #[test]
    fn columns_stand_under_one_another() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let rows = [row(&["ε", "right", "word"]), row(&["0.1", "7", "a"]), row(&["0.25"])];
        assert_eq!(aligned(&rows, |column| column == 1), "ε     right  word\n0.1       7  a\n0.25\n");
        assert_eq!(aligned(&rows[..0], |_| true), "");
    }

    #[test]
    fn durations_read_well() {
        let texts = [0.04, 9.94, 9.96, 59.4, 59.6, 3599.4, 7384.0].map(duration);
        assert_eq!(texts, ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 00 s", "59 min 59 s", "2 h 03 min"]);
    }
}
