// Activations, by PyTorch's definitions: one table of values, one of derivatives. Every operation is rounded once and in the
// order of the CPU's (src/backend/cpu/functions.rs, activation.rs), so that f32 equals it bit for bit.
#pragma once

#include "common.cuh"

// Mirrors `kind` of src/backend/cuda/activation.rs.
enum Activation : uint32_t {
    RELU, RELU6, LEAKY_RELU, HARD_SWISH, HARD_SIGMOID, SIGMOID, SILU, TANH, ELU, GELU
};

__device__ __forceinline__ float times(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float plus(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float minus(float a, float b) { return __fsub_rn(a, b); }

// exp r − 1 for |r| ≤ ln 2 / 2.
__device__ __forceinline__ float less_one(float r) {
    float p = 1.0f / 5040.0f;
    p = plus(times(p, r), 1.0f / 720.0f);
    p = plus(times(p, r), 1.0f / 120.0f);
    p = plus(times(p, r), 1.0f / 24.0f);
    p = plus(times(p, r), 1.0f / 6.0f);
    p = plus(times(p, r), 0.5f);
    return plus(r, times(times(r, r), p));
}

// exp x; 0 below −87.3, above 88 that of 88.
__device__ __forceinline__ float exponential(float x) {
    const float capped = x > 88.0f ? 88.0f : x;
    const float clamped = capped < -87.3f ? -87.3f : capped;
    const float shifted = plus(times(clamped, 1.44269504f), 12582912.0f);
    const float n = minus(shifted, 12582912.0f);
    const float r = plus(minus(clamped, times(n, 0.6933594f)), times(n, 2.1219444e-4f));
    const float e = plus(1.0f, less_one(r));
    const float power = __uint_as_float((__float_as_uint(shifted) + 127u) << 23);
    return capped < -87.3f ? 0.0f : times(e, power);
}

__device__ __forceinline__ float exp_less_one(float x) {
    return fabsf(x) < 0.34f ? less_one(x) : minus(exponential(x), 1.0f);
}

__device__ __forceinline__ float sigmoid(float x) { return __fdiv_rn(1.0f, plus(1.0f, exponential(-x))); }

__device__ __forceinline__ float hyperbolic_tangent(float x) {
    const float size = fabsf(x);
    const float far = minus(1.0f, __fdiv_rn(2.0f, plus(exponential(times(2.0f, size)), 1.0f)));
    const float s = times(x, x);
    float p = -0.005528456f;
    p = plus(times(p, s), 0.020483157f);
    p = minus(times(p, s), 0.05369292f);
    p = plus(times(p, s), 0.13330899f);
    p = minus(times(p, s), 0.33333263f);
    const float near = plus(x, times(times(x, s), p));
    return size < 0.625f ? near : copysignf(far, x);
}

// Φ(x), the normal distribution.
__device__ __forceinline__ float normal(float x) {
    const float size = fabsf(x), t = size > 8.0f ? 8.0f : size;
    float p = -3.302763e-7f;
    p = plus(times(p, t), 6.2946715e-6f);
    p = minus(times(p, t), 5.0209132e-5f);
    p = plus(times(p, t), 1.9225682e-4f);
    p = minus(times(p, t), 2.9510425e-6f);
    p = minus(times(p, t), 0.0048106993f);
    p = plus(times(p, t), 0.036347944f);
    p = plus(times(p, t), 0.31830743f);
    p = plus(times(p, t), 0.7978847f);
    const float tail = times(0.5f, exponential(-times(size, p)));
    return x < 0.0f ? tail : minus(1.0f, tail);
}

// φ(x), its density.
__device__ __forceinline__ float density(float x) {
    return times(0.3989423f, exponential(times(-0.5f, times(x, x))));
}

// min(max(x, 0), 6).
__device__ __forceinline__ float hard(float x) {
    const float positive = x > 0.0f ? x : 0.0f;
    return positive > 6.0f ? 6.0f : positive;
}

constexpr float SIXTH = 1.0f / 6.0f, THIRD = 1.0f / 3.0f;

// f(x); `slope` is that of a leaky ReLU below 0, or α of ELU.
__device__ __forceinline__ float value_of(uint32_t function, float slope, float x) {
    switch (function) {
        case RELU: return x > 0.0f ? x : 0.0f;
        case RELU6: return hard(x);
        case LEAKY_RELU: return x > 0.0f ? x : times(slope, x);
        case HARD_SWISH: return times(times(x, hard(plus(x, 3.0f))), SIXTH);
        case HARD_SIGMOID: return times(hard(plus(x, 3.0f)), SIXTH);
        case SIGMOID: return sigmoid(x);
        case SILU: return times(x, sigmoid(x));
        case TANH: return hyperbolic_tangent(x);
        case ELU: return x > 0.0f ? x : times(slope, exp_less_one(x));
        default: return times(x, normal(x));
    }
}

// f′(x).
__device__ __forceinline__ float derivative_of(uint32_t function, float slope, float x) {
    switch (function) {
        case RELU: return x > 0.0f ? 1.0f : 0.0f;
        case RELU6: return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
        case LEAKY_RELU: return x > 0.0f ? 1.0f : slope;
        case HARD_SWISH: return x < -3.0f ? 0.0f : x > 3.0f ? 1.0f : plus(times(x, THIRD), 0.5f);
        case HARD_SIGMOID: return x > -3.0f && x < 3.0f ? SIXTH : 0.0f;
        case SIGMOID: {
            const float s = sigmoid(x);
            return times(s, minus(1.0f, s));
        }
        case SILU: {
            const float s = sigmoid(x);
            return times(s, plus(1.0f, times(x, minus(1.0f, s))));
        }
        case TANH: {
            const float t = hyperbolic_tangent(x);
            return minus(1.0f, times(t, t));
        }
        case ELU: return x > 0.0f ? 1.0f : times(slope, exponential(x));
        default: return plus(normal(x), times(x, density(x)));
    }
}
