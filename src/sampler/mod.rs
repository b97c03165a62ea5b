//! Random numbers: Philox4x32-10 addressed by (seed, tensor, layer, element), and normal and uniform draws made by
//! integer arithmetic only, so that every engine on every machine produces the same bits. An element's draw does not
//! depend on the order, the shape of a launch or anything else.
//!
//! Addressing: key = the network's seed; counter = (element / 4, layer, tensor, stream); word = element % 4; `element`
//! is row-major in the logical tensor. A draw is an integer `i` with |i| <= 2^24 (so its conversion to f32 is exact)
//! times a power of two.

#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod normal;
pub mod orthogonal;
pub mod philox;
pub mod tensors;

pub use normal::{NORMAL_SCALE_LOG2, normal_integer, truncated_integer};
pub use philox::philox4x32;

/// Which tensor a draw belongs to: the third word of the counter. Numbers are part of the file format of results:
/// never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TensorId {
    Weight = 0,
    Bias = 1,
    Input = 2,
    Target = 3,
    Cotangent = 4,
    Label = 5,
    Teacher = 6,
    Order = 7,
}

/// Uniform draws are `i * 2^-UNIFORM_SCALE_LOG2`, on (-1, 1).
pub const UNIFORM_SCALE_LOG2: i32 = 24;

/// The four 32-bit words that hold elements `4 * block ..= 4 * block + 3`.
#[inline]
pub fn words(seed: u64, tensor: TensorId, layer: u32, stream: u32, block: u32) -> [u32; 4] {
    philox4x32([block, layer, tensor as u32, stream], [seed as u32, (seed >> 32) as u32])
}

/// A uniform integer: odd, in (-2^24, 2^24), symmetric about 0.
#[inline]
pub fn uniform_integer(word: u32) -> i32 {
    2 * (word >> 8) as i32 + 1 - (1 << 24)
}

/// A uniform number in 0..n for n <= 2^16, by the top bits (multiply and shift).
#[inline]
pub fn below(word: u32, n: u32) -> u32 {
    ((u64::from(word) * u64::from(n)) >> 32) as u32
}
