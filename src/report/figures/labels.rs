//! How figures show labels: a shape each, and the legend of the shapes.

use super::super::figure::Key;
use super::super::svg::Canvas;
use crate::score::Label;

/// The shape of a label around a point: ▼ fragile, • robust, ▲ antifragile; a dash where there is no score.
pub(super) fn draw_label(canvas: &mut Canvas, class: &str, label: Label, (x, y): (f64, f64)) {
    const R: f64 = 4.0;
    let triangle = |up: f64| [(x - R, y + up * 3.0), (x + R, y + up * 3.0), (x, y - up * R)];
    match label {
        Label::Fragile => canvas.polygon(class, &triangle(-1.0)),
        Label::Antifragile => canvas.polygon(class, &triangle(1.0)),
        Label::Robust => canvas.circle(class, (x, y), 2.2),
        Label::UndefinedClean | Label::UndefinedAdversarial => {
            canvas.line("axis", (x - R, y), (x + R, y));
        }
    }
}

/// The legend of the shapes.
pub(super) fn label_keys(class: impl Fn(Label) -> &'static str) -> Vec<Key> {
    let shown = [Label::Fragile, Label::Robust, Label::Antifragile];
    let key = |label: Label| {
        Key::drawn(label.word(), |canvas| draw_label(canvas, class(label), label, (11.0, 6.0)))
    };
    shown.map(key).into()
}
