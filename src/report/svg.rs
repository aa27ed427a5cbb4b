//! SVG written by hand: the few elements that figures are made of, escaped, with short numbers.

use std::fmt::Write;

/// Text with the characters escaped that mean something in HTML, SVG and their attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // No document may hold these.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A coordinate with two decimals at most and no trailing zeros; 0 for what is not a finite number.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Where text stands relative to its x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A corner and a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// What is drawn, as SVG text. Colours, line widths and fonts come from the style sheet of the page, or of the file, by class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Canvas {
    body: String,
}

impl Canvas {
    /// Nothing yet.
    pub fn new() -> Canvas {
        Canvas::default()
    }

    /// What was drawn.
    pub fn into_body(self) -> String {
        self.body
    }

    fn push(&mut self, arguments: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = self.body.write_fmt(arguments);
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        self.push(format_args!(r#"<path class="{class}" d="M{x1} {y1}L{x2} {y2}"/>"#));
    }

    /// A line through points; nothing where there are fewer than two.
    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 1 {
            let d = path(points);
            self.push(format_args!(r#"<path class="{class}" d="{d}"/>"#));
        }
    }

    /// The area between points and a horizontal line at `base`.
    pub fn area(&mut self, class: &str, points: &[(f64, f64)], base: f64) {
        if let [first, .., last] = points {
            let (d, base, start, end) = (path(points), number(base), number(first.0), number(last.0));
            self.push(format_args!(r#"<path class="{class}" d="{d}L{end} {base}L{start} {base}Z"/>"#));
        }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, class: &str, frame: Frame) {
        self.faint_rect(class, frame, 1.0);
    }

    /// A filled rectangle that lets `1 − opacity` of what is below through.
    pub fn faint_rect(&mut self, class: &str, frame: Frame, opacity: f64) {
        let Frame { x, y, width, height } = frame;
        let [x, y, width, height] = [x, y, width, height].map(number);
        let opacity =
            if opacity < 1.0 { format!(r#" fill-opacity="{}""#, number(opacity)) } else { String::new() };
        self.push(format_args!(
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"{opacity}/>"#
        ));
    }

    /// A closed shape through points.
    pub fn polygon(&mut self, class: &str, points: &[(f64, f64)]) {
        let d = path(points);
        self.push(format_args!(r#"<path class="{class}" d="{d}Z"/>"#));
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let [x, y, radius] = [x, y, radius].map(number);
        self.push(format_args!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{radius}"/>"#));
    }

    /// A line of text with its baseline at y.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let [x, y] = [x, y].map(number);
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let text = escape(text);
        self.push(format_args!(r#"<text class="{class}" x="{x}" y="{y}"{anchor}>{text}</text>"#));
    }

    /// What `draw` draws, as one group with an attribute that the page's script reads.
    pub fn group(&mut self, attribute: (&str, &str), draw: impl FnOnce(&mut Canvas)) {
        let (name, value) = (attribute.0, escape(attribute.1));
        self.push(format_args!(r#"<g {name}="{value}">"#));
        draw(self);
        self.body += "</g>";
    }

    /// What `draw` draws, as one group that tells `title` when pointed at.
    pub fn titled(&mut self, title: &str, draw: impl FnOnce(&mut Canvas)) {
        let title = escape(title);
        self.push(format_args!("<g><title>{title}</title>"));
        draw(self);
        self.body += "</g>";
    }

    /// What `draw` draws, moved.
    pub fn shifted(&mut self, (x, y): (f64, f64), draw: impl FnOnce(&mut Canvas)) {
        let [x, y] = [x, y].map(number);
        self.push(format_args!(r#"<g transform="translate({x} {y})">"#));
        draw(self);
        self.body += "</g>";
    }

    /// What was drawn elsewhere.
    pub fn draw(&mut self, body: &str) {
        self.body += body;
    }
}

/// Points as path data.
fn path(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (at, &(x, y)) in points.iter().enumerate() {
        let letter = if at == 0 { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ = write!(d, "{letter}{} {}", number(x), number(y));
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_finite() {
        let expected = ["1", "0.5", "-2.25", "0", "0", "0", "100"];
        assert_eq!([1.0, 0.5, -2.25, -0.001, f64::NAN, f64::INFINITY, 100.0].map(number), expected);
    }

    #[test]
    fn text_from_files_stays_text() {
        assert_eq!(escape("<b a=\"'\">&amp;\u{1}\n"), "&lt;b a=&quot;&#39;&quot;&gt;&amp;amp;\u{fffd}\n");
        let mut canvas = Canvas::new();
        canvas.text("t", (1.0, 2.0), Anchor::End, "</text><script>");
        canvas.titled("a<b", |canvas| canvas.circle("c", (0.0, 0.0), 1.0));
        canvas.group(("data-v", "\"><x"), |_| {});
        assert_eq!(
            canvas.into_body(),
            "<text class=\"t\" x=\"1\" y=\"2\" text-anchor=\"end\">&lt;/text&gt;&lt;script&gt;</text>\
             <g><title>a&lt;b</title><circle class=\"c\" cx=\"0\" cy=\"0\" r=\"1\"/></g>\
             <g data-v=\"&quot;&gt;&lt;x\"></g>"
        );
    }

    #[test]
    fn lines_and_areas_take_two_points() {
        let mut canvas = Canvas::new();
        canvas.polyline("l", &[(0.0, 1.0)]);
        canvas.area("a", &[(0.0, 1.0)], 5.0);
        canvas.polyline("l", &[(0.0, 1.0), (2.0, 3.456)]);
        canvas.area("a", &[(0.0, 1.0), (2.0, 3.0)], 5.0);
        assert_eq!(
            canvas.into_body(),
            r#"<path class="l" d="M0 1L2 3.46"/><path class="a" d="M0 1L2 3L2 5L0 5Z"/>"#
        );
    }
}
