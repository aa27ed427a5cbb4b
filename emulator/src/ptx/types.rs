//! Types and state spaces of PTX.

/// A fundamental type of PTX, or one that only instructions name (packed and alternative formats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    F32,
    F32x2,
    F64,
    Tf32,
    U16x2,
    S16x2,
    E4m3,
    E5m2,
    E4m3x2,
    E5m2x2,
    U4,
    S4,
    B1,
    U2,
    S2,
    /// Opaque handles of textures, samplers and surfaces.
    Texref,
    Samplerref,
    Surfref,
}

impl Type {
    /// The type that a modifier such as `f32` (no dot) names.
    pub fn parse(word: &str) -> Option<Type> {
        use Type::*;
        Some(match word {
            "pred" => Pred,
            "b1" => B1,
            "b8" => B8,
            "b16" => B16,
            "b32" => B32,
            "b64" => B64,
            "b128" => B128,
            "u2" => U2,
            "u4" => U4,
            "u8" => U8,
            "u16" => U16,
            "u16x2" => U16x2,
            "u32" => U32,
            "u64" => U64,
            "s2" => S2,
            "s4" => S4,
            "s8" => S8,
            "s16" => S16,
            "s16x2" => S16x2,
            "s32" => S32,
            "s64" => S64,
            "f16" => F16,
            "f16x2" => F16x2,
            "bf16" => Bf16,
            "bf16x2" => Bf16x2,
            "tf32" => Tf32,
            "f32" => F32,
            "f32x2" => F32x2,
            "f64" => F64,
            "e4m3" => E4m3,
            "e5m2" => E5m2,
            "e4m3x2" => E4m3x2,
            "e5m2x2" => E5m2x2,
            "texref" => Texref,
            "samplerref" => Samplerref,
            "surfref" => Surfref,
            _ => return None,
        })
    }

    /// Bits of a value; 1 for predicates.
    pub fn bits(self) -> u32 {
        use Type::*;
        match self {
            Pred | B1 => 1,
            U2 | S2 => 2,
            U4 | S4 => 4,
            B8 | U8 | S8 | E4m3 | E5m2 => 8,
            B16 | U16 | S16 | F16 | Bf16 | E4m3x2 | E5m2x2 => 16,
            B32 | U32 | S32 | F32 | F16x2 | Bf16x2 | U16x2 | S16x2 | Tf32 => 32,
            B64 | U64 | S64 | F64 | F32x2 | Texref | Samplerref | Surfref => 64,
            B128 => 128,
        }
    }

    /// Bytes of a value in memory; 0 for what cannot lie there on its own.
    pub fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// Whether it is a signed integer.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S2 | Type::S4 | Type::S8 | Type::S16 | Type::S16x2 | Type::S32 | Type::S64)
    }
}

/// A state space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// The one address space that holds windows of the others.
    Generic,
    Global,
    Shared,
    Const,
    Local,
    Param,
}

impl Space {
    /// Its name in PTX.
    pub fn name(self) -> &'static str {
        match self {
            Space::Generic => "generic",
            Space::Global => "global",
            Space::Shared => "shared",
            Space::Const => "const",
            Space::Local => "local",
            Space::Param => "param",
        }
    }
}
