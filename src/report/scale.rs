//! Scales: from values to places, and the round values that axes name.

/// A linear map from values to coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    values: (f64, f64),
    places: (f64, f64),
}

impl Scale {
    /// From `values` to `places`, which may run either way. A range without extent is widened.
    pub fn new(values: (f64, f64), places: (f64, f64)) -> Scale {
        let (low, high) = values;
        let values = if high - low > 0.0 { values } else { (low - 0.5, low + 0.5) };
        Scale { values, places }
    }

    /// Where `value` is drawn; values outside are drawn at the nearer end.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// The round values within the range, `about` many.
    pub fn ticks(&self, about: usize) -> Vec<f64> {
        let (low, high) = self.values;
        let step = round_step((high - low) / about.max(1) as f64);
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        // The count is small: the step is at least a 1/(2·about)th of the range.
        (0..=(last - first).max(0.0) as usize).map(|at| (first + at as f64) * step).collect()
    }
}

/// The smallest of 1, 2, 5, 10, … times a power of ten that is no less than `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&s| s >= step * 0.999)
        .unwrap_or(step)
}

/// The range of finite values, widened to hold `with`.
pub fn range(values: impl IntoIterator<Item = f64>, with: (f64, f64)) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(with, |(low, high), value| (low.min(value), high.max(value)))
}

/// A tick's value with as many decimals as its neighbours need.
pub fn tick_label(value: f64, step: f64) -> String {
    let decimals = (0..6).find(|&d| {
        let scaled = step * 10f64.powi(d);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1.0)
    });
    let decimals = decimals.unwrap_or(6) as usize;
    let text = format!("{value:.decimals$}");
    if text.starts_with('-') && text.trim_start_matches(['-', '0', '.']).is_empty() {
        text[1..].to_owned()
    } else {
        text
    }
}

/// Ticks with their labels.
pub fn labelled(scale: &Scale, about: usize) -> Vec<(f64, String)> {
    let ticks = scale.ticks(about);
    let step = match ticks[..] {
        [a, b, ..] => b - a,
        [a] => a,
        [] => 1.0,
    };
    ticks.iter().map(|&value| (value, tick_label(value, step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_run_either_way_and_stay_inside() {
        let scale = Scale::new((0.0, 2.0), (100.0, 0.0));
        assert_eq!([0.0, 1.0, 2.0, 3.0, -1.0].map(|v| scale.place(v)), [100.0, 50.0, 0.0, 0.0, 100.0]);
        assert_eq!(Scale::new((3.0, 3.0), (0.0, 10.0)).place(3.0), 5.0);
    }

    #[test]
    fn ticks_are_round_and_within() {
        let labels = |low, high, about| {
            let scale = Scale::new((low, high), (0.0, 1.0));
            labelled(&scale, about).into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(labels(0.0, 1.0, 2), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(0.0, 1.07, 5), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(-0.31, 0.28, 4), ["-0.2", "0.0", "0.2"]);
        assert_eq!(labels(0.0, 0.1882, 4), ["0.00", "0.05", "0.10", "0.15"]);
        assert_eq!(labels(0.0, 3000.0, 3), ["0", "1000", "2000", "3000"]);
        assert_eq!(labels(0.004, 0.006, 2), ["0.004", "0.005", "0.006"]);
    }

    #[test]
    fn ranges_leave_out_what_is_no_number() {
        assert_eq!(range([f64::NAN, 3.0, -1.0, f64::INFINITY], (0.0, 1.0)), (-1.0, 3.0));
    }
}
