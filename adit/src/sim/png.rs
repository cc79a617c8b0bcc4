//! Pictures as PNG, for places that show no SVG.
//!
//! Invariant: it is drawn from the SVG, so that both show the same; the letters come with the program, so that it looks the same on
//! every machine.

use anyhow::Context;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels for each of the picture's own: sharp on screens of high density, and on paper.
const SCALE: f32 = 2.0;
/// The letters' name.
const FAMILY: &str = "DejaVu Sans";

/// This SVG as PNG.
///
/// # Errors
/// When it is no SVG, or has no size.
pub fn of(svg: &str) -> anyhow::Result<Vec<u8>> {
    let mut options = Options { font_family: FAMILY.into(), ..Options::default() };
    let fonts = options.fontdb_mut();
    for letters in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_data(letters.to_vec());
    }
    fonts.set_sans_serif_family(FAMILY);
    let tree = Tree::from_str(svg, &options).context("the picture")?;
    let size = tree.size().to_int_size().scale_by(SCALE).context("the picture's size")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).context("the picture's size")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().context("the picture as PNG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_at_twice_the_size_and_what_is_no_picture_is_refused() {
        let with = |inner: &str| {
            let svg = format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 90 30\" font-family=\"system-ui, sans-serif\">\
                 <rect width=\"90\" height=\"30\" fill=\"#fff\"/>{inner}</svg>"
            );
            Pixmap::decode_png(&of(&svg).unwrap()).unwrap()
        };
        let dark = |pixels: &Pixmap| pixels.pixels().iter().filter(|at| at.red() < 99).count();
        let empty = with("");
        assert_eq!((empty.width(), empty.height(), dark(&empty)), (180, 60, 0));
        let plain = with("<text x=\"5\" y=\"20\">pool</text>");
        let bold = with("<text x=\"5\" y=\"20\" font-weight=\"600\">pool</text>");
        assert!(dark(&plain) > 50 && dark(&bold) > dark(&plain));
        assert!(of("a scenario").is_err());
    }
}
