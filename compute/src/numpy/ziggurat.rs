//! Normal numbers by the ziggurat of 256 layers, with numpy's own tables.
//!
//! `ziggurat.txt` has a layer a line: the bound (a 52-bit integer), the width and the height (doubles), in hexadecimal. They are
//! numpy's figures: computing them from the definition gives other last bits. The tables of 32 bits are those, rounded.

use super::Rng;
use std::sync::OnceLock;

const LAYERS: usize = 256;
/// Where the tail begins.
const TAIL: f64 = 3.654_152_885_361_009;
const TAIL_INVERSE: f64 = 0.273_661_237_329_758_3;

struct Layer<I, F> {
    bound: I,
    width: F,
    height: F,
}

struct Tables {
    double: Vec<Layer<u64, f64>>,
    float: Vec<Layer<u32, f32>>,
}

#[expect(clippy::cast_possible_truncation, reason = "the tables of 32 bits are the rounded ones")]
fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let number = |text| u64::from_str_radix(text, 16).expect("the file is ours");
        let double: Vec<Layer<u64, f64>> = include_str!("ziggurat.txt")
            .split_ascii_whitespace()
            .map(number)
            .collect::<Vec<_>>()
            .as_chunks::<3>()
            .0
            .iter()
            .map(|[bound, width, height]| Layer {
                bound: *bound,
                width: f64::from_bits(*width),
                height: f64::from_bits(*height),
            })
            .collect();
        assert_eq!(double.len(), LAYERS, "the file is ours");
        let float = double
            .iter()
            .map(|layer| Layer {
                bound: ((layer.bound + (1 << 28)) >> 29) as u32,
                width: (layer.width * f64::from(1u32 << 29)) as f32,
                height: layer.height as f32,
            })
            .collect();
        Tables { double, float }
    })
}

#[expect(clippy::cast_precision_loss, reason = "52 bits fit a double")]
pub(super) fn normal_f64(rng: &mut Rng) -> f64 {
    let layers = &tables().double;
    loop {
        let drawn = rng.next_u64();
        let at = (drawn & 0xff) as usize;
        let place = drawn >> 9 & 0x000f_ffff_ffff_ffff;
        let layer = &layers[at];
        let x = place as f64 * layer.width;
        let x = if drawn >> 8 & 1 == 1 { -x } else { x };
        if place < layer.bound {
            return x;
        }
        if at == 0 {
            loop {
                let beyond = -TAIL_INVERSE * libm::log1p(-rng.random_f64());
                let height = -libm::log1p(-rng.random_f64());
                if height + height > beyond * beyond {
                    let x = TAIL + beyond;
                    return if place >> 8 & 1 == 1 { -x } else { x };
                }
            }
        }
        let (below, above) = (layer.height, layers[at - 1].height);
        if (above - below) * rng.random_f64() + below < libm::exp(-0.5 * x * x) {
            return x;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "23 bits fit a float")]
#[expect(clippy::cast_possible_truncation, reason = "numpy's constants of 32 bits")]
pub(super) fn normal_f32(rng: &mut Rng) -> f32 {
    let layers = &tables().float;
    loop {
        let drawn = rng.next_u32();
        let at = (drawn & 0xff) as usize;
        let place = drawn >> 9;
        let layer = &layers[at];
        let x = place as f32 * layer.width;
        let x = if drawn >> 8 & 1 == 1 { -x } else { x };
        if place < layer.bound {
            return x;
        }
        if at == 0 {
            loop {
                let beyond = -(TAIL_INVERSE as f32) * libm::log1pf(-rng.random_f32());
                let height = -libm::log1pf(-rng.random_f32());
                if height + height > beyond * beyond {
                    let x = TAIL as f32 + beyond;
                    return if place >> 8 & 1 == 1 { -x } else { x };
                }
            }
        }
        let (below, above) = (layer.height, layers[at - 1].height);
        let height = (above - below) * rng.random_f32() + below;
        if f64::from(height) < libm::exp(-0.5 * f64::from(x) * f64::from(x)) {
            return x;
        }
    }
}
