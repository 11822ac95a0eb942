//! One block of 16 channels as a value: one, two or four registers, by instruction set.

/// Arithmetic on a block of 16 channels.
///
/// # Safety
/// Every method needs the implementor's instruction set. `load` and `store` need 16 floats at the pointer,
/// of any alignment.
pub(crate) trait Simd: Copy {
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn subtract(self, other: Self) -> Self;
    unsafe fn multiply(self, other: Self) -> Self;
    /// `self · factor + addend`.
    unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self;
    /// max(0, x), and NaN where x is NaN, so that a broken training is seen in its loss.
    unsafe fn relu(self) -> Self;
    /// `self` where `gate` is above zero, 0 elsewhere.
    unsafe fn where_positive(self, gate: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    impl Simd for Avx512 {
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has AVX-512 and 16 readable floats at `from`.
            unsafe { Avx512(_mm512_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has AVX-512 and 16 writable floats at `to`.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn subtract(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_sub_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn multiply(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_mul_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: the caller has AVX-512. The instruction gives its second operand where one is NaN.
            unsafe { Avx512(_mm512_max_ps(_mm512_setzero_ps(), self.0)) }
        }
        #[inline(always)]
        unsafe fn where_positive(self, gate: Self) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe {
                let open = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate.0, _mm512_setzero_ps());
                Avx512(_mm512_maskz_mov_ps(open, self.0))
            }
        }
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256, __m256);

    impl Simd for Avx2 {
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has AVX2 and 16 readable floats at `from`.
            unsafe { Avx2(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has AVX2 and 16 writable floats at `to`.
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has AVX2.
            let all = unsafe { _mm256_set1_ps(value) };
            Avx2(all, all)
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { Avx2(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        unsafe fn subtract(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { Avx2(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }
        #[inline(always)]
        unsafe fn multiply(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { Avx2(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: the caller has AVX2 and FMA.
            unsafe { Avx2(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: the caller has AVX2. The instruction gives its second operand where one is NaN.
            unsafe {
                let zero = _mm256_setzero_ps();
                Avx2(_mm256_max_ps(zero, self.0), _mm256_max_ps(zero, self.1))
            }
        }
        #[inline(always)]
        unsafe fn where_positive(self, gate: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe {
                let zero = _mm256_setzero_ps();
                Avx2(
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate.0, zero), self.0),
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate.1, zero), self.1),
                )
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::Neon;

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::Simd;
    use std::arch::aarch64::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Neon(float32x4_t, float32x4_t, float32x4_t, float32x4_t);

    impl Simd for Neon {
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has NEON and 16 readable floats at `from`.
            unsafe { Neon(vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has NEON and 16 writable floats at `to`.
            unsafe {
                vst1q_f32(to, self.0);
                vst1q_f32(to.add(4), self.1);
                vst1q_f32(to.add(8), self.2);
                vst1q_f32(to.add(12), self.3);
            }
        }
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has NEON.
            let all = unsafe { vdupq_n_f32(value) };
            Neon(all, all, all, all)
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has NEON.
            unsafe {
                Neon(
                    vaddq_f32(self.0, other.0),
                    vaddq_f32(self.1, other.1),
                    vaddq_f32(self.2, other.2),
                    vaddq_f32(self.3, other.3),
                )
            }
        }
        #[inline(always)]
        unsafe fn subtract(self, other: Self) -> Self {
            // SAFETY: the caller has NEON.
            unsafe {
                Neon(
                    vsubq_f32(self.0, other.0),
                    vsubq_f32(self.1, other.1),
                    vsubq_f32(self.2, other.2),
                    vsubq_f32(self.3, other.3),
                )
            }
        }
        #[inline(always)]
        unsafe fn multiply(self, other: Self) -> Self {
            // SAFETY: the caller has NEON.
            unsafe {
                Neon(
                    vmulq_f32(self.0, other.0),
                    vmulq_f32(self.1, other.1),
                    vmulq_f32(self.2, other.2),
                    vmulq_f32(self.3, other.3),
                )
            }
        }
        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: the caller has NEON.
            unsafe {
                Neon(
                    vfmaq_f32(addend.0, self.0, factor.0),
                    vfmaq_f32(addend.1, self.1, factor.1),
                    vfmaq_f32(addend.2, self.2, factor.2),
                    vfmaq_f32(addend.3, self.3, factor.3),
                )
            }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: the caller has NEON. The instruction gives NaN where either operand is NaN.
            unsafe {
                let zero = vdupq_n_f32(0.0);
                Neon(vmaxq_f32(self.0, zero), vmaxq_f32(self.1, zero), vmaxq_f32(self.2, zero), vmaxq_f32(self.3, zero))
            }
        }
        #[inline(always)]
        unsafe fn where_positive(self, gate: Self) -> Self {
            // SAFETY: the caller has NEON.
            unsafe {
                Neon(
                    quarter_where_positive(self.0, gate.0),
                    quarter_where_positive(self.1, gate.1),
                    quarter_where_positive(self.2, gate.2),
                    quarter_where_positive(self.3, gate.3),
                )
            }
        }
    }

    /// # Safety
    /// Needs NEON.
    #[inline(always)]
    unsafe fn quarter_where_positive(values: float32x4_t, gate: float32x4_t) -> float32x4_t {
        // SAFETY: the caller has NEON.
        unsafe { vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(gate), vreinterpretq_u32_f32(values))) }
    }
}

/// Plain floats in fours, which compilers turn into the vectors that every processor has. A product and a
/// sum are rounded apart, since a fused one is a slow library call where the processor lacks it.
#[derive(Clone, Copy)]
pub(crate) struct Portable([[f32; 4]; 4]);

impl Portable {
    #[inline(always)]
    fn lanes(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self;
        for quarter in 0..4 {
            for lane in 0..4 {
                result.0[quarter][lane] = operation(self.0[quarter][lane], other.0[quarter][lane]);
            }
        }
        result
    }
}

impl Simd for Portable {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has 16 readable floats at `from`; the read needs no alignment.
        Portable(unsafe { from.cast::<[[f32; 4]; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has 16 writable floats at `to`; the write needs no alignment.
        unsafe { to.cast::<[[f32; 4]; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([[value; 4]; 4])
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.lanes(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        self.lanes(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn multiply(self, other: Self) -> Self {
        self.lanes(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self {
        self.lanes(factor, |a, b| a * b).lanes(addend, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        self.lanes(self, |a, _| if a < 0.0 { 0.0 } else { a })
    }
    #[inline(always)]
    unsafe fn where_positive(self, gate: Self) -> Self {
        self.lanes(gate, |a, gate| if gate > 0.0 { a } else { 0.0 })
    }
}
