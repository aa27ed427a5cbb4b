//! Names and numbers in words, the same in all parts of a report.

use super::gather::SweptNetwork;
use crate::attack::Eps;
use crate::invariance::document::ComparedCheckpoint;
use crate::score::{Score, Which};
use crate::text::of_training;

/// A network in words: "resnet18 on mnist, seed 0, epoch 4".
pub fn network(of: &ComparedCheckpoint) -> String {
    format!("{} on {}{}", of.network(), of.dataset, of_training(of.seed, of.epoch))
}

/// A layer without the ending that all of them share.
pub fn layer(name: &str) -> &str {
    name.strip_suffix(".weight").unwrap_or(name)
}

/// A score with its sign.
pub fn signed(value: f64) -> String {
    let text = format!("{value:+.4}");
    // "−0.0000" says no more than 0.
    match text.strip_prefix('-') {
        Some("0.0000") => "0.0000".to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// A score with its standard error; a dash where it is undefined.
pub fn score(score: &Score, which: Which) -> String {
    match score.get(which) {
        (Some(value), Some(se), _) => format!("{} ± {se:.4}", signed(value)),
        _ => "–".to_owned(),
    }
}

/// A share of `whole` as "97.50 %".
pub fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}

/// ε in both forms.
pub fn eps(eps: f64) -> String {
    Eps(eps).to_string()
}

/// A command line as one would type it.
pub fn command(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./,=:+%@".contains(c))
    };
    let quoted = |word: &String| match plain(word) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The columns of a table over networks: what tells them apart, epochs always.
pub fn facets(networks: &[&SweptNetwork]) -> Vec<(&'static str, Vec<String>)> {
    let of = |value: &dyn Fn(&ComparedCheckpoint) -> String| -> Vec<String> {
        networks.iter().map(|swept| value(&swept.scored.checkpoint)).collect()
    };
    let known = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let all = [
        ("seed", of(&|c| known(c.seed.map(|seed| seed.to_string())))),
        ("epoch", of(&|c| known(c.epoch.map(|epoch| epoch.to_string())))),
        ("ε", of(&|c| c.eps.to_string())),
        ("images", of(&|c| c.images.to_string())),
        ("dtype", of(&|c| c.dtype.clone())),
    ];
    let differs = |values: &[String]| values.iter().any(|value| *value != values[0]);
    all.into_iter().filter(|(name, values)| *name == "epoch" || differs(values)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_their_sign() {
        assert_eq!([0.5, -0.25, -0.00001, 0.0].map(signed), ["+0.5000", "−0.2500", "0.0000", "+0.0000"]);
    }

    #[test]
    fn commands_can_be_typed() {
        let words = ["synfilter", "sweep", "--out", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(command(&words), r"synfilter sweep --out 'a b' 'it'\''s' ''");
    }
}
