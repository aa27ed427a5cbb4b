//! A figure: tiles that the page flows into as many columns as fit, and that a file of its own has in a grid.

use super::palette;
use super::svg::{Anchor, Canvas, Frame, escape, number};

/// Space between tiles, and around a figure on its own.
const GAP: f64 = 14.0;
/// Width of a character of 11 pixels, about.
pub const CHARACTER: f64 = 6.4;
/// The fonts of figures: those of the system, or the one that is embedded for PNG.
pub const FONTS: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif";

/// The part of the report that a figure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Response curves.
    Responses,
    /// Heat maps of scores.
    Scores,
    /// Invariance.
    Invariance,
    /// Channels.
    Channels,
    /// Security curves.
    Security,
    /// Selective retraining.
    Retraining,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name: that of its file, and what `--figure` takes.
    pub name: String,
    /// Where it belongs.
    pub section: Section,
    /// What it shows, in a few words.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// What marks mean.
    pub legend: Vec<Key>,
    /// Its parts, in reading order.
    pub tiles: Vec<Tile>,
    /// Whether it is among those that are looked at first.
    pub open: bool,
    /// How many of them stand side by side in a file of its own.
    pub columns: usize,
}

/// A part of a figure that stays whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// What it shows, for those who cannot see it.
    pub label: String,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// What is drawn.
    pub body: String,
}

/// A line of the legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The mark: in a box of 22 × 12 pixels.
    pub mark: String,
    /// What it means.
    pub text: String,
}

impl Key {
    /// A stroke of this class.
    pub fn line(class: &str, text: impl Into<String>) -> Key {
        Key::drawn(text, |canvas| canvas.line(class, (1.0, 6.0), (21.0, 6.0)))
    }

    /// A filled box.
    pub fn area(class: &str, opacity: f64, text: impl Into<String>) -> Key {
        let frame = Frame { x: 1.0, y: 1.0, width: 20.0, height: 10.0 };
        Key::drawn(text, |canvas| canvas.faint_rect(class, frame, opacity))
    }

    /// Whatever `draw` draws.
    pub fn drawn(text: impl Into<String>, draw: impl FnOnce(&mut Canvas)) -> Key {
        let mut canvas = Canvas::new();
        draw(&mut canvas);
        Key { mark: canvas.into_body(), text: text.into() }
    }
}

impl Figure {
    /// The figure within the page: legend, then every tile as an SVG of its own.
    pub fn inline(&self) -> String {
        let mut html = format!(r#"<div class="figure" id="{}">"#, escape(&self.name));
        if !self.legend.is_empty() {
            html += r#"<ul class="legend">"#;
            for Key { mark, text } in &self.legend {
                let text = escape(text);
                html += &format!(
                    r#"<li><svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true">{mark}</svg>{text}</li>"#
                );
            }
            html += "</ul>";
        }
        html += r#"<div class="tiles">"#;
        for Tile { label, width, height, body } in &self.tiles {
            let (label, width, height) = (escape(label), number(*width), number(*height));
            html += &format!(
                r#"<svg role="img" aria-label="{label}" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{body}</svg>"#
            );
            html.push('\n');
        }
        html += "</div></div>\n";
        html
    }

    /// The figure as a file of its own, with its title, its legend and concrete colours.
    pub fn alone(&self) -> String {
        let columns = self.columns.clamp(1, self.tiles.len().max(1));
        let rows: Vec<&[Tile]> = self.tiles.chunks(columns).collect();
        let widest = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|tile| tile.width).fold(0.0, f64::max)
        };
        let widths: Vec<f64> = (0..columns).map(widest).collect();
        let title = self.title.chars().count() as f64 * 1.15 * CHARACTER;
        let inner = (widths.iter().sum::<f64>() + GAP * (columns - 1) as f64).max(title).max(320.0);

        let mut canvas = Canvas::new();
        let mut y = GAP + 12.0;
        canvas.text("h", (GAP, y), Anchor::Start, &self.title);
        y += 10.0;
        y = self.draw_legend(&mut canvas, y, inner);
        for row in rows {
            let mut x = GAP;
            for (tile, width) in row.iter().zip(&widths) {
                canvas.shifted((x, y), |canvas| canvas.draw(&tile.body));
                x += width + GAP;
            }
            y += row.iter().map(|tile| tile.height).fold(0.0, f64::max) + GAP;
        }
        let (width, height) = (number(inner + 2.0 * GAP), number(y));
        let (title, style, ground) = (escape(&self.title), palette::alone(), palette::ground());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"{FONTS}\">\n<title>{title}</title>\n<style>{style}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{ground}\"/>\n{}\n</svg>\n",
            canvas.into_body()
        )
    }

    /// Keys side by side, as many as fit a line; the y below them.
    fn draw_legend(&self, canvas: &mut Canvas, mut y: f64, width: f64) -> f64 {
        let mut x = GAP;
        for Key { mark, text } in &self.legend {
            let needs = 30.0 + text.chars().count() as f64 * CHARACTER + 14.0;
            if x > GAP && x + needs > GAP + width {
                x = GAP;
                y += 18.0;
            }
            canvas.shifted((x, y), |canvas| canvas.draw(mark));
            canvas.text("t", (x + 28.0, y + 10.0), Anchor::Start, text);
            x += needs;
        }
        if self.legend.is_empty() { y } else { y + 26.0 }
    }
}

/// A name for files and links: letters, digits, dots and hyphens.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => slug.push(character),
            _ if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_alone_holds_its_tiles_and_no_variables() {
        let tile = |width| Tile {
            label: "a <b>".into(),
            width,
            height: 50.0,
            body: "<path class=\"grid\" d=\"M0 0L1 1\"/>".into(),
        };
        let figure = Figure {
            name: "n".into(),
            section: Section::Scores,
            title: "T & U".into(),
            caption: String::new(),
            legend: vec![Key::line("clean", "clean"), Key::area("density", 0.5, "left")],
            tiles: vec![tile(300.0), tile(400.0), tile(200.0)],
            open: true,
            columns: 2,
        };
        let alone = figure.alone();
        // 14 + 300 + 14 + 400 + 14 wide.
        assert!(alone.contains(r#"viewBox="0 0 742 190""#), "{alone}");
        assert!(alone.contains("<title>T &amp; U</title>") && !alone.contains("var("), "{alone}");
        assert_eq!(alone.matches("M0 0L1 1").count(), 3);
        let inline = figure.inline();
        assert_eq!(inline.matches("aria-label=\"a &lt;b&gt;\"").count(), 3);
    }

    #[test]
    fn slugs_are_safe_names() {
        assert_eq!(slug("resnet18 on ../mnist, epoch 4"), "resnet18-on-..-mnist-epoch-4");
        assert_eq!(slug("../ä"), "");
    }
}
