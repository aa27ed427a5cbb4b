//! Element types that occur in checkpoint files, and their conversion to the engine's f32.

use half::{bf16, f16};

/// The type of one element as it lies in a file, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
    Complex32,
    Complex64,
    Complex128,
}

impl Dtype {
    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        match self {
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::F32 | Dtype::I32 | Dtype::U32 | Dtype::Complex32 => 4,
            Dtype::F64 | Dtype::I64 | Dtype::U64 | Dtype::Complex64 => 8,
            Dtype::Complex128 => 16,
        }
    }

    /// The name that error messages use, PyTorch's own.
    pub(super) fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "float64",
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::I64 => "int64",
            Dtype::I32 => "int32",
            Dtype::I16 => "int16",
            Dtype::I8 => "int8",
            Dtype::U64 => "uint64",
            Dtype::U32 => "uint32",
            Dtype::U16 => "uint16",
            Dtype::U8 => "uint8",
            Dtype::Bool => "bool",
            Dtype::Complex32 => "complex32",
            Dtype::Complex64 => "complex64",
            Dtype::Complex128 => "complex128",
        }
    }

    /// The type behind a name of the safetensors format.
    pub(super) fn from_safetensors(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Dtype::F64,
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::Bf16,
            "I64" => Dtype::I64,
            "I32" => Dtype::I32,
            "I16" => Dtype::I16,
            "I8" => Dtype::I8,
            "U64" => Dtype::U64,
            "U32" => Dtype::U32,
            "U16" => Dtype::U16,
            "U8" => Dtype::U8,
            "BOOL" => Dtype::Bool,
            "C64" => Dtype::Complex64,
            _ => return None,
        })
    }

    /// The type behind a storage class of the module `torch`.
    pub(super) fn from_storage_class(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => Dtype::F64,
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::Bf16,
            "LongStorage" => Dtype::I64,
            "IntStorage" | "QInt32Storage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" | "QInt8Storage" => Dtype::I8,
            "ByteStorage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => Dtype::U8,
            "BoolStorage" => Dtype::Bool,
            "ComplexHalfStorage" => Dtype::Complex32,
            "ComplexFloatStorage" => Dtype::Complex64,
            "ComplexDoubleStorage" => Dtype::Complex128,
            _ => return None,
        })
    }

    /// Whether elements are real floating-point numbers, which weights have to be.
    pub(super) fn is_floating(self) -> bool {
        matches!(self, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16)
    }

    /// The elements as f32, rounded to nearest; `None` unless the type is a real floating-point one.
    pub(super) fn to_f32(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Dtype::F32 => decode(bytes, f32::from_le_bytes),
            Dtype::F64 => decode(bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::F16 => decode(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::Bf16 => decode(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            _ => return None,
        })
    }

    /// Whether a pruning mask may be of such elements.
    pub(super) fn is_mask(self) -> bool {
        self.is_floating() || matches!(self, Dtype::Bool | Dtype::U8 | Dtype::I8 | Dtype::I32 | Dtype::I64)
    }

    /// The elements of a pruning mask as f32; `None` for a type that is none of a mask.
    pub(super) fn mask_to_f32(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Dtype::Bool => decode(bytes, |[b]| f32::from(b != 0)),
            Dtype::U8 => decode(bytes, |[b]: [u8; 1]| f32::from(b)),
            Dtype::I8 => decode(bytes, |b| f32::from(i8::from_le_bytes(b))),
            Dtype::I32 => decode(bytes, |b| i32::from_le_bytes(b) as f32),
            Dtype::I64 => decode(bytes, |b| i64::from_le_bytes(b) as f32),
            _ => return self.to_f32(bytes),
        })
    }

    /// The single element as a count; `None` unless it is one int64 or int32.
    pub(super) fn to_count(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Dtype::I64 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
            Dtype::I32 => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
            _ => None,
        }
    }
}

fn decode<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| element(*chunk)).collect()
}
