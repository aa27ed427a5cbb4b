//! Colours and line styles: one style sheet for the page, with light and dark colours, and for figures on their own.
//!
//! Fragile, robust and antifragile are orange, grey and blue, which the common forms of colour blindness tell apart, and in
//! figures have a shape each, for print without colour. Lines that share a plot differ in their dashes too.

use std::fmt::Write;

/// How many networks have a line style of their own; further ones start anew.
pub const LINES: usize = 8;

/// A colour by its name, in light and in dark surroundings.
struct Colour {
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn colour(name: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { name, light, dark }
}

const COLOURS: &[Colour] = &[
    colour("page", "#ffffff", "#10151b"),
    colour("card", "#f6f7f9", "#181f27"),
    colour("ink", "#1a1f26", "#e8ebef"),
    colour("muted", "#545d68", "#a9b3be"),
    colour("grid", "#dfe3e8", "#2c3540"),
    colour("axis", "#89939e", "#717d8a"),
    colour("link", "#0b5cad", "#7ab8ff"),
    colour("clean", "#00695c", "#52d3bd"),
    colour("adv", "#a3218f", "#f08be0"),
    colour("density", "#cfd5dc", "#3a4552"),
    colour("fragile", "#c2410c", "#ff8f5e"),
    colour("robust", "#646d79", "#9ca7b3"),
    colour("antifragile", "#0b62b0", "#6cb4ff"),
    colour("line0", "#0b62b0", "#6cb4ff"),
    colour("line1", "#c2410c", "#ff8f5e"),
    colour("line2", "#00695c", "#52d3bd"),
    colour("line3", "#a3218f", "#f08be0"),
    colour("line4", "#7a5c00", "#e3c14f"),
    colour("line5", "#3b3f99", "#a9aefc"),
    colour("line6", "#8c1d2f", "#ff9aa8"),
    colour("line7", "#3d444d", "#c9d1d9"),
];

const DASHES: [&str; LINES] = ["none", "6 2", "2 2", "8 2 2 2", "none", "6 2", "2 2", "8 2 2 2"];

/// The rules of figures, with colours by name.
const FIGURES: &str = "\
.t{fill:var(--ink);font-size:11px}.m{fill:var(--muted);font-size:10px}.h{fill:var(--ink);font-size:12px;font-weight:600}\
.grid{stroke:var(--grid);stroke-width:1;fill:none}.axis{stroke:var(--axis);stroke-width:1;fill:none}\
.clean{stroke:var(--clean);stroke-width:1.8;fill:none;stroke-linejoin:round}\
.adv{stroke:var(--adv);stroke-width:1.6;fill:none;stroke-dasharray:5 2;stroke-linejoin:round}\
.density{fill:var(--density)}.cell{fill:var(--card)}.hole{fill:none;stroke:var(--axis);stroke-dasharray:2 2}\
.fragile{fill:var(--fragile)}.robust{fill:var(--robust)}.antifragile{fill:var(--antifragile)}\
.mark{fill:var(--ink)}.error{stroke:var(--ink);stroke-width:1.2;fill:none}";

/// The style sheet of figures within the page: colours are variables.
pub fn of_page() -> String {
    let variables = |pick: fn(&Colour) -> &'static str| {
        COLOURS.iter().map(|c| format!("--{}:{};", c.name, pick(c))).collect::<String>()
    };
    let (light, dark) = (variables(|c| c.light), variables(|c| c.dark));
    format!(
        ":root{{color-scheme:light dark;{light}}}\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{}\n",
        rules()
    )
}

/// The style sheet of a figure on its own: the light colours.
pub fn alone() -> String {
    COLOURS.iter().fold(rules(), |rules, c| rules.replace(&format!("var(--{})", c.name), c.light))
}

/// The colour of a figure's ground on its own.
pub fn ground() -> &'static str {
    COLOURS.iter().find(|c| c.name == "page").map_or("#ffffff", |c| c.light)
}

fn rules() -> String {
    let mut rules = FIGURES.to_owned();
    for (at, dash) in DASHES.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(
            rules,
            ".l{at}{{stroke:var(--line{at});stroke-width:1.8;fill:none;stroke-dasharray:{dash};stroke-linejoin:round}}\
             .p{at}{{fill:var(--line{at})}}"
        );
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_lines_stand_out_in_both_themes() {
        let of = |name: &str| COLOURS.iter().find(|c| c.name == name).unwrap();
        let themes: [fn(&Colour) -> &'static str; 2] = [|c| c.light, |c| c.dark];
        for pick in themes {
            for ground in ["page", "card"] {
                for text in ["ink", "muted", "link", "fragile", "robust", "antifragile"] {
                    let found = contrast(pick(of(text)), pick(of(ground)));
                    assert!(found >= 4.5, "{text} on {ground}: {found}");
                }
                for line in COLOURS.iter().filter(|c| c.name.starts_with("line") || c.name == "clean") {
                    let found = contrast(pick(line), pick(of(ground)));
                    assert!(found >= 3.0, "{} on {ground}: {found}", line.name);
                }
            }
        }
    }

    #[test]
    fn alone_no_variable_is_left() {
        let alone = alone();
        assert!(!alone.contains("var("), "{alone}");
        assert!(of_page().contains("--fragile:#c2410c;"));
    }
}
