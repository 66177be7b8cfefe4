//! QR codes as pictures.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qrcode::render::svg;
use qrcode::types::QrError;
use qrcode::{Color, QrCode};

pub(super) struct Picture {
    pub(super) svg: String,
    pub(super) png_base64: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error("the text does not fit a QR code")]
    TooLong(#[from] QrError),
    #[error("the picture could not be written")]
    Png(#[from] png::EncodingError),
}

/// In points of the picture.
const MODULE: usize = 6;
/// ISO/IEC 18004 asks for four modules of white around the code.
const QUIET: usize = 4;

pub(super) fn picture(text: &str) -> Result<Picture, PictureError> {
    let code = QrCode::new(text)?;
    let svg = code.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    Ok(Picture { svg, png_base64: STANDARD.encode(png(&code)?) })
}

/// One bit for each point, white where it is set.
fn png(code: &QrCode) -> Result<Vec<u8>, png::EncodingError> {
    let modules = code.width().saturating_add(QUIET.saturating_mul(2));
    let points = modules.saturating_mul(MODULE);
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| at.div_euclid(MODULE).checked_sub(QUIET);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) if x < code.width() && y < code.width() => {
                code[(x, y)] == Color::Dark
            }
            _ => false,
        }
    };
    let mut data = Vec::new();
    for y in 0..points {
        let row: Vec<usize> = (0..points).collect();
        for eight in row.chunks(8) {
            let bits = eight.iter().fold(0_u8, |bits, &x| bits << 1 | u8::from(!is_dark(x, y)));
            // A row ends on a whole byte.
            let missing = 8_usize.saturating_sub(eight.len());
            data.push(bits << missing);
        }
    }
    let side = u32::try_from(points).unwrap_or(u32::MAX);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header()?.write_image_data(&data)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pictures_show_the_code() {
        let text = "otpauth://totp/Finitech:amina%40example.com?secret=GEZDGNBVGY3TQOJQ";
        let code = QrCode::new(text).unwrap();
        let picture = picture(text).unwrap();
        assert!(picture.svg.contains("<svg"), "{}", picture.svg);
        let file = STANDARD.decode(picture.png_base64).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        let side = usize::try_from(info.width).unwrap();
        assert_eq!(side, (code.width() + 2 * QUIET) * MODULE);
        let line = info.line_size;
        for (x, y) in (0..code.width()).flat_map(|y| (0..code.width()).map(move |x| (x, y))) {
            let (at_x, at_y) = ((x + QUIET) * MODULE + 3, (y + QUIET) * MODULE + 3);
            let is_white = data[at_y * line + at_x / 8] >> (7 - at_x % 8) & 1 == 1;
            assert_eq!(is_white, code[(x, y)] == Color::Light, "{x} {y}");
        }
    }
}
