//! Figures as PNG: drawn here, with a font that is part of the program.

use crate::error::{Error, Result};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree};

const FONTS: [&[u8]; 2] =
    [include_bytes!("assets/font/DejaVuSans.ttf"), include_bytes!("assets/font/DejaVuSans-Bold.ttf")];
/// The font's name.
const FAMILY: &str = "DejaVu Sans";
/// Pixels of the image per pixel of the figure: sharp in print at the width of a page.
const SCALE: f32 = 3.0;
/// The most pixels of an image; a larger figure is drawn at a smaller scale.
const MOST: f32 = 60e6;

/// Draws figures.
pub struct Painter {
    options: Options<'static>,
}

impl Painter {
    /// Draws text with the font that is part of the program.
    pub fn with_font() -> Painter {
        let mut options = Options { font_family: FAMILY.to_owned(), ..Options::default() };
        for font in FONTS {
            options.fontdb_mut().load_font_data(font.to_vec());
        }
        options.fontdb_mut().set_sans_serif_family(FAMILY);
        Painter { options }
    }

    /// A stand-alone SVG with an opaque ground, as a PNG file's bytes.
    ///
    /// # Errors
    /// [`Error::Failed`] for what is no such SVG, and without the memory for it.
    pub fn paint(&self, svg: &str) -> Result<Vec<u8>> {
        let failed = |what: &dyn std::fmt::Display| Error::Failed(format!("figure as PNG: {what}"));
        let tree = Tree::from_str(svg, &self.options).map_err(|error| failed(&error))?;
        let size = tree.size();
        let scale = SCALE.min((MOST / (size.width() * size.height())).sqrt());
        let [width, height] = [size.width(), size.height()].map(|side| (side * scale).ceil().max(1.0) as u32);
        let mut image =
            Pixmap::new(width, height).ok_or_else(|| failed(&format!("{width} × {height} pixels")))?;
        // The last row and column may be covered in part only.
        image.fill(Color::WHITE);
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut image.as_mut());

        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let rgb: Vec<u8> = image.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
        let mut writer = encoder.write_header().map_err(|error| failed(&error))?;
        writer.write_image_data(&rgb).map_err(|error| failed(&error))?;
        writer.finish().map_err(|error| failed(&error))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figure::{Figure, Section, Tile};
    use crate::report::svg::{Anchor, Canvas, Frame};

    #[test]
    fn shapes_and_text_are_in_the_picture() {
        let mut canvas = Canvas::new();
        canvas.rect("fragile", Frame { x: 0.0, y: 0.0, width: 100.0, height: 20.0 });
        canvas.text("h", (0.0, 50.0), Anchor::Start, "ᾱρκε−▲");
        let figure = Figure {
            name: "n".into(),
            section: Section::Scores,
            title: String::new(),
            caption: String::new(),
            legend: Vec::new(),
            tiles: vec![Tile { label: String::new(), width: 320.0, height: 60.0, body: canvas.into_body() }],
            open: true,
            columns: 1,
        };
        let bytes = Painter::with_font().paint(&figure.alone()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (348 * 3, 110 * 3));
        let at = |x: usize, y: usize| &pixels[(y * 348 * 3 + x) * 3..][..3];
        assert_eq!(at(3, 3), [255, 255, 255]);
        // The tile begins 14 to the right and 36 down.
        assert_eq!(at(3 * 20, 3 * 40), [0xc2, 0x41, 0x0c]);
        let dark = |rows: std::ops::Range<usize>| {
            rows.flat_map(|y| (0..348 * 3).map(move |x| (x, y))).filter(|&(x, y)| at(x, y)[0] < 80).count()
        };
        assert!(dark(3 * 70..3 * 95) > 400, "no text was drawn: {}", dark(3 * 70..3 * 95));
    }

    #[test]
    fn what_is_no_svg_is_refused() {
        assert_eq!(Painter::with_font().paint("<svg").unwrap_err().exit_code(), 1);
    }
}
