//! Lines in a rectangle of characters: braille dots in colour, or marks that tell curves apart without it.

/// A curve that is drawn: evenly spaced values over the whole width, how they are marked, and in what colour (the number of an
/// ANSI escape sequence).
pub struct Line<'v> {
    /// The values, two at least.
    pub values: &'v [f64],
    /// The mark.
    pub mark: char,
    /// The colour.
    pub colour: u8,
}

/// The mark of a place where several lines meet.
pub const SEVERAL: char = '#';

/// A rectangle of characters, and the value at its top; 0 is at its bottom.
#[derive(Clone, Copy)]
pub struct Canvas {
    /// Characters from left to right, two at least.
    pub width: usize,
    /// Lines, two at least.
    pub height: usize,
    /// The value of the highest place.
    pub top: f64,
}

impl Canvas {
    /// The lines, as text: every row has the width of the canvas. Later lines lie over earlier ones.
    pub fn draw(self, lines: &[Line], colour: bool) -> Vec<String> {
        if colour { self.in_braille(lines) } else { self.in_marks(lines) }
    }

    /// The row, counted from the top, of a value on a canvas of so many rows.
    fn row(self, value: f64, rows: usize) -> usize {
        let share = (1.0 - value / self.top).clamp(0.0, 1.0);
        (share * (rows - 1) as f64).round() as usize
    }

    /// The row of characters in which a value lies.
    pub fn row_of(self, value: f64) -> usize {
        self.row(value, self.height)
    }

    fn in_marks(self, lines: &[Line]) -> Vec<String> {
        let mut grid = vec![vec![' '; self.width]; self.height];
        for line in lines {
            for (column, value) in sampled(line.values, self.width).into_iter().enumerate() {
                let place = &mut grid[self.row(value, self.height)][column];
                *place = if *place == ' ' { line.mark } else { SEVERAL };
            }
        }
        grid.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    /// A character has two columns of four dots.
    fn in_braille(self, lines: &[Line]) -> Vec<String> {
        // Bits of the dots of a character, by row and column: Unicode's block of braille patterns.
        const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let mut grid = vec![vec![(0u8, 0u8); self.width]; self.height];
        for line in lines {
            let rows = sampled(line.values, 2 * self.width)
                .into_iter()
                .map(|value| self.row(value, 4 * self.height));
            let mut before = None;
            for (column, row) in rows.enumerate() {
                // From beside the last dot: a steep line has no gaps.
                let from = before.map_or(row, |before: usize| match before.cmp(&row) {
                    std::cmp::Ordering::Less => before + 1,
                    std::cmp::Ordering::Greater => before - 1,
                    std::cmp::Ordering::Equal => row,
                });
                for row in from.min(row)..=from.max(row) {
                    let (dots, colour) = &mut grid[row / 4][column / 2];
                    *dots |= DOTS[row % 4][column % 2];
                    *colour = line.colour;
                }
                before = Some(row);
            }
        }
        let character = |(dots, colour): (u8, u8)| match dots {
            0 => " ".to_owned(),
            dots => coloured(&char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ').to_string(), colour),
        };
        grid.into_iter().map(|row| row.into_iter().map(character).collect()).collect()
    }
}

/// Text in a colour.
pub fn coloured(text: &str, colour: u8) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// A curve through `values` (one at least) at `places` evenly spaced places from the first value to the last.
pub fn sampled(values: &[f64], places: usize) -> Vec<f64> {
    let last = values.len() - 1;
    let at = |place: usize| {
        let position = (place * last) as f64 / (places.max(2) - 1) as f64;
        let left = (position as usize).min(last);
        let share = position - left as f64;
        values[left] + share * (values[(left + 1).min(last)] - values[left])
    };
    (0..places).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_sampled_from_end_to_end() {
        assert_eq!(sampled(&[0.0, 1.0], 5), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(sampled(&[3.0, 1.0, 2.0], 3), [3.0, 1.0, 2.0]);
        assert_eq!(sampled(&[3.0, 1.0, 2.0], 2), [3.0, 2.0]);
        assert_eq!(sampled(&[3.0], 2), [3.0, 3.0]);
    }

    #[test]
    fn marks_lie_where_the_values_are() {
        let canvas = Canvas { width: 5, height: 3, top: 1.0 };
        let lines = [
            Line { values: &[1.0, 0.0], mark: '.', colour: 90 },
            Line { values: &[1.0, 1.0, 0.0], mark: 'o', colour: 36 },
        ];
        assert_eq!(canvas.draw(&lines, false), ["#oo  ", " ..o ", "   .#"].map(str::to_owned));
        assert_eq!([2.0, 1.0, 0.5, 0.0, -1.0].map(|value| canvas.row_of(value)), [0, 0, 1, 2, 2]);
    }

    #[test]
    fn braille_has_no_gaps_and_the_colour_of_the_last() {
        let canvas = Canvas { width: 2, height: 1, top: 1.0 };
        let lines = [Line { values: &[1.0, 1.0, 0.0, 0.0], mark: 'o', colour: 36 }];
        // Dots 1 and 4 on top; then the whole way down, 5 6 7 belonging to the third column: dots 2, 3, 7 and 8.
        assert_eq!(canvas.draw(&lines, true), ["\x1b[36m⠉\x1b[0m\x1b[36m⣆\x1b[0m".to_owned()]);
        let flat = [&[0.0, 0.0], &[0.0, 0.0]].map(|values| Line { values, mark: 'x', colour: 31 });
        assert_eq!(canvas.draw(&flat, true), ["\x1b[31m⣀\x1b[0m\x1b[31m⣀\x1b[0m".to_owned()]);
    }
}
