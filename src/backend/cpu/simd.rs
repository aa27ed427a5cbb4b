//! Sixteen lanes of f32 on AVX-512, on AVX2 + FMA and on anything: one kernel source, chosen at run time.
//!
//! A kernel is a value that implements [`Kernel`]: its `run` is generic over [`Isa`] and `#[inline(always)]`.
//! [`dispatch`] calls it inside a function compiled for the instruction set at hand, so that every intrinsic
//! of the [`Isa`] becomes one instruction.

pub use super::level::Level;

/// The operations on sixteen lanes.
///
/// # Safety
/// Every function requires that the machine has the instruction set, which holds inside [`dispatch`]. Functions
/// that take a pointer, other than `prefetch`, also require that it is valid for the 16 floats or bytes (`splat_at`:
/// the one float) that they touch; no alignment is required.
#[allow(clippy::missing_safety_doc)] // the one condition of all functions stands on the trait
pub unsafe trait Isa: Copy {
    /// Sixteen floats.
    type V: Copy;
    /// Accumulators (of sixteen lanes) that fit into registers beside operands.
    const ACCUMULATORS: usize;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// As [`Isa::store`], past the caches where the machine can do that; `p` is a multiple of 64 bytes. Other threads
    /// see it after [`settle`].
    unsafe fn stream(p: *mut f32, v: Self::V);
    unsafe fn splat(x: f32) -> Self::V;
    /// Asks for the cache line of `p`, which may be any address, to be brought into the L1 cache.
    unsafe fn prefetch(p: *const f32);
    /// As [`Isa::prefetch`], into the L2 cache.
    unsafe fn prefetch_l2(p: *const f32);
    /// All lanes = `*p`.
    unsafe fn splat_at(p: *const f32) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Bit i: lane i of `a` > lane i of `b`.
    unsafe fn gt(a: Self::V, b: Self::V) -> u16;
    /// Lanes whose bit is set; +0.0 elsewhere.
    unsafe fn keep(bits: u16, a: Self::V) -> Self::V;
    /// Lanes of `a` whose bit is set, of `b` elsewhere.
    unsafe fn select(bits: u16, a: Self::V, b: Self::V) -> Self::V;
    /// The sixteen bytes at `p` as numbers.
    unsafe fn load_bytes(p: *const u8) -> Self::V;
    /// Stores lanes, which are whole numbers in 0..256, as the sixteen bytes at `p`.
    unsafe fn store_bytes(p: *mut u8, a: Self::V);
    /// Bit i: byte i of the sixteen at `p` equals `value`.
    unsafe fn equal_bytes(p: *const u8, value: u8) -> u16;
    /// The sum of the lanes, always in the same order (pairwise halves).
    unsafe fn sum(a: Self::V) -> f32;
}

/// Work that is compiled once per instruction set.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The work; implementations are `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine has the instruction set of `I`; otherwise the conditions that the kernel's fields state.
    unsafe fn run<I: Isa>(self) -> Self::Output;
}

/// Runs a kernel compiled for `level`.
///
/// # Safety
/// `level` is one of [`Level::available`], and the kernel's own conditions hold.
pub unsafe fn dispatch<K: Kernel>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn avx512<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: compiled for, and by the caller's promise running on, AVX-512.
            unsafe { kernel.run::<x86::Avx512>() }
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: compiled for, and by the caller's promise running on, AVX2 and FMA.
            unsafe { kernel.run::<x86::Avx2>() }
        }
        match level {
            // SAFETY: the caller promises that the machine has AVX-512.
            Level::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: the caller promises that the machine has AVX2 and FMA.
            Level::Avx2 => return unsafe { avx2(kernel) },
            Level::Portable => {}
        }
    }
    let _ = level;
    // SAFETY: the portable operations need no instruction set.
    unsafe { kernel.run::<Portable>() }
}

/// Makes what [`Isa::stream`] wrote visible to other threads, in the order in which they see other stores.
pub fn settle() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has the instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Plain Rust, which the compiler vectorises as far as the target allows.
#[derive(Clone, Copy)]
pub struct Portable;

/// Lane by lane; a loop, because the closures of `array::from_fn` take the compiler several times as long.
#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; 16] {
    let mut lanes = [0.0; 16];
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = f(i);
    }
    lanes
}

// SAFETY: no instruction set is needed; pointers are used only for the floats that the trait names.
unsafe impl Isa for Portable {
    type V = [f32; 16];
    const ACCUMULATORS: usize = 3;
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the caller promises 16 readable floats.
        unsafe { p.cast::<[f32; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the caller promises 16 writable floats.
        unsafe { p.cast::<[f32; 16]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::V) {
        // SAFETY: the caller promises 16 writable floats.
        unsafe { Self::store(p, v) }
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
    #[inline(always)]
    unsafe fn prefetch_l2(_: *const f32) {}
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 16]
    }
    #[inline(always)]
    unsafe fn splat_at(p: *const f32) -> Self::V {
        // SAFETY: the caller promises one readable float.
        [unsafe { *p }; 16]
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        each(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn gt(a: Self::V, b: Self::V) -> u16 {
        (0..16).fold(0, |bits, i| bits | (u16::from(a[i] > b[i]) << i))
    }
    #[inline(always)]
    unsafe fn keep(bits: u16, a: Self::V) -> Self::V {
        each(|i| if bits >> i & 1 == 1 { a[i] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn select(bits: u16, a: Self::V, b: Self::V) -> Self::V {
        each(|i| if bits >> i & 1 == 1 { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn load_bytes(p: *const u8) -> Self::V {
        // SAFETY: the caller promises 16 readable bytes.
        let bytes = unsafe { p.cast::<[u8; 16]>().read_unaligned() };
        each(|i| f32::from(bytes[i]))
    }
    #[inline(always)]
    unsafe fn store_bytes(p: *mut u8, a: Self::V) {
        let mut bytes = [0; 16];
        for (byte, a) in bytes.iter_mut().zip(a) {
            // 2²³ + n has n in its lowest bits.
            *byte = (a + 8_388_608.0).to_bits() as u8;
        }
        // SAFETY: the caller promises 16 writable bytes.
        unsafe { p.cast::<[u8; 16]>().write_unaligned(bytes) }
    }
    #[inline(always)]
    unsafe fn equal_bytes(p: *const u8, value: u8) -> u16 {
        // SAFETY: the caller promises 16 readable bytes.
        let bytes = unsafe { p.cast::<[u8; 16]>().read_unaligned() };
        (0..16).fold(0, |bits, i| bits | (u16::from(bytes[i] == value) << i))
    }
    #[inline(always)]
    unsafe fn sum(a: Self::V) -> f32 {
        let e: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
        let q: [f32; 4] = std::array::from_fn(|i| e[i] + e[i + 4]);
        (q[0] + q[2]) + (q[1] + q[3])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The two x86 instruction sets.
    use super::Isa;
    use std::arch::x86_64::*;

    /// One zmm register.
    #[derive(Clone, Copy)]
    pub struct Avx512;

    /// Two ymm registers.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    // SAFETY: each function is one or a few AVX-512 intrinsics on registers, or touches what the trait names.
    #[allow(unsafe_op_in_unsafe_fn)] // every body is intrinsics under the trait's one condition
    unsafe impl Isa for Avx512 {
        type V = __m512;
        const ACCUMULATORS: usize = 28;
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m512 {
            _mm512_loadu_ps(p)
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m512) {
            _mm512_storeu_ps(p, v)
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const f32) {
            _mm_prefetch::<_MM_HINT_T0>(p.cast())
        }
        #[inline(always)]
        unsafe fn prefetch_l2(p: *const f32) {
            _mm_prefetch::<_MM_HINT_T1>(p.cast())
        }
        #[inline(always)]
        unsafe fn stream(p: *mut f32, v: __m512) {
            _mm512_stream_ps(p, v)
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            _mm512_set1_ps(x)
        }
        #[inline(always)]
        unsafe fn splat_at(p: *const f32) -> __m512 {
            _mm512_set1_ps(*p)
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            _mm512_add_ps(a, b)
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            _mm512_sub_ps(a, b)
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            _mm512_mul_ps(a, b)
        }
        #[inline(always)]
        unsafe fn div(a: __m512, b: __m512) -> __m512 {
            _mm512_div_ps(a, b)
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            _mm512_fmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            _mm512_max_ps(a, b)
        }
        #[inline(always)]
        unsafe fn min(a: __m512, b: __m512) -> __m512 {
            _mm512_min_ps(a, b)
        }
        #[inline(always)]
        unsafe fn gt(a: __m512, b: __m512) -> u16 {
            _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b)
        }
        #[inline(always)]
        unsafe fn keep(bits: u16, a: __m512) -> __m512 {
            _mm512_maskz_mov_ps(bits, a)
        }
        #[inline(always)]
        unsafe fn select(bits: u16, a: __m512, b: __m512) -> __m512 {
            _mm512_mask_blend_ps(bits, b, a)
        }
        #[inline(always)]
        unsafe fn load_bytes(p: *const u8) -> __m512 {
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.cast())))
        }
        #[inline(always)]
        unsafe fn store_bytes(p: *mut u8, a: __m512) {
            _mm_storeu_si128(p.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)))
        }
        #[inline(always)]
        unsafe fn equal_bytes(p: *const u8, value: u8) -> u16 {
            _mm_cmpeq_epi8_mask(_mm_loadu_si128(p.cast()), _mm_set1_epi8(value as i8))
        }
        #[inline(always)]
        unsafe fn sum(a: __m512) -> f32 {
            let e = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            sum8(e)
        }
    }

    /// Pairwise sum of eight lanes.
    #[inline(always)]
    #[allow(unsafe_op_in_unsafe_fn)] // as above
    unsafe fn sum8(e: __m256) -> f32 {
        let q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps::<1>(e));
        let d = _mm_add_ps(q, _mm_movehl_ps(q, q));
        _mm_cvtss_f32(_mm_add_ss(d, _mm_shuffle_ps::<1>(d, d)))
    }

    /// Eight full-width lanes from eight bits.
    #[inline(always)]
    #[allow(unsafe_op_in_unsafe_fn)] // as above
    unsafe fn lanes8(bits: u16) -> __m256 {
        let one = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let have = _mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), one);
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(have, one))
    }

    // SAFETY: each function is a few AVX2 / FMA intrinsics on registers, or touches what the trait names.
    #[allow(unsafe_op_in_unsafe_fn)] // every body is intrinsics under the trait's one condition
    unsafe impl Isa for Avx2 {
        type V = [__m256; 2];
        const ACCUMULATORS: usize = 6;
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))]
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            _mm256_storeu_ps(p, v[0]);
            _mm256_storeu_ps(p.add(8), v[1]);
        }
        #[inline(always)]
        unsafe fn stream(p: *mut f32, v: Self::V) {
            _mm256_stream_ps(p, v[0]);
            _mm256_stream_ps(p.add(8), v[1]);
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const f32) {
            _mm_prefetch::<_MM_HINT_T0>(p.cast())
        }
        #[inline(always)]
        unsafe fn prefetch_l2(p: *const f32) {
            _mm_prefetch::<_MM_HINT_T1>(p.cast())
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            [_mm256_set1_ps(x); 2]
        }
        #[inline(always)]
        unsafe fn splat_at(p: *const f32) -> Self::V {
            [_mm256_broadcast_ss(&*p); 2]
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn div(a: Self::V, b: Self::V) -> Self::V {
            [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])]
        }
        #[inline(always)]
        unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
            [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
            [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])]
        }
        #[inline(always)]
        unsafe fn gt(a: Self::V, b: Self::V) -> u16 {
            let lo = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]));
            let hi = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1]));
            (lo | hi << 8) as u16
        }
        #[inline(always)]
        unsafe fn keep(bits: u16, a: Self::V) -> Self::V {
            [_mm256_and_ps(lanes8(bits & 255), a[0]), _mm256_and_ps(lanes8(bits >> 8), a[1])]
        }
        #[inline(always)]
        unsafe fn select(bits: u16, a: Self::V, b: Self::V) -> Self::V {
            [
                _mm256_blendv_ps(b[0], a[0], lanes8(bits & 255)),
                _mm256_blendv_ps(b[1], a[1], lanes8(bits >> 8)),
            ]
        }
        #[inline(always)]
        unsafe fn load_bytes(p: *const u8) -> Self::V {
            let bytes = _mm_loadu_si128(p.cast());
            let (lo, hi) = (_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes)));
            [_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)]
        }
        #[inline(always)]
        unsafe fn store_bytes(p: *mut u8, a: Self::V) {
            // Packing works within halves of registers: 0–3 8–11 4–7 12–15.
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(a[0]), _mm256_cvtps_epi32(a[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let (lo, hi) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(p.cast(), _mm_packus_epi16(lo, hi));
        }
        #[inline(always)]
        unsafe fn equal_bytes(p: *const u8, value: u8) -> u16 {
            let same = _mm_cmpeq_epi8(_mm_loadu_si128(p.cast()), _mm_set1_epi8(value as i8));
            _mm_movemask_epi8(same) as u16
        }
        #[inline(always)]
        unsafe fn sum(a: Self::V) -> f32 {
            sum8(_mm256_add_ps(a[0], a[1]))
        }
    }
}
