//! The number formats of values, listed once.

/// A number format of values; sums are in 32 bits in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberFormat {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// bfloat16.
    Bf16,
}

impl NumberFormat {
    /// All of them.
    pub const ALL: [NumberFormat; 3] = [NumberFormat::F32, NumberFormat::F16, NumberFormat::Bf16];

    /// Its name: on the command line, in results, at the end of kernels' names.
    pub const fn name(self) -> &'static str {
        match self {
            NumberFormat::F32 => "f32",
            NumberFormat::F16 => "f16",
            NumberFormat::Bf16 => "bf16",
        }
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            NumberFormat::F32 => 4,
            NumberFormat::F16 | NumberFormat::Bf16 => 2,
        }
    }
}
