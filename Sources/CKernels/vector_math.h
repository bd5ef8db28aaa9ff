// Vectors of EK_LANES floats, and the functions of them that the kernels need.
#include <math.h>
#include <string.h>

#include "CKernels.h"

typedef float vf __attribute__((ext_vector_type(EK_LANES)));
typedef int32_t vi __attribute__((ext_vector_type(EK_LANES)));
typedef uint16_t vh __attribute__((ext_vector_type(EK_LANES)));  // bfloat16
typedef uint8_t vb __attribute__((ext_vector_type(EK_LANES)));

#define EK_INLINE static inline __attribute__((always_inline)) EK_TARGET
#define EK_UNROLL _Pragma("clang loop unroll(full)")

EK_INLINE vf load(const float *from) {
    vf value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

EK_INLINE void store(float *to, vf value) { __builtin_memcpy(to, &value, sizeof value); }

// The first `count` lanes, zero behind them.
EK_INLINE vf load_part(const float *from, int64_t count) {
    vf value = 0;
    memcpy(&value, from, (size_t)count * sizeof(float));
    return value;
}

EK_INLINE void store_part(float *to, vf value, int64_t count) { memcpy(to, &value, (size_t)count * sizeof(float)); }

EK_INLINE vh load_bf16(const uint16_t *from) {
    vh value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

EK_INLINE vh load_bf16_part(const uint16_t *from, int64_t count) {
    vh value = 0;
    memcpy(&value, from, (size_t)count * sizeof(uint16_t));
    return value;
}

EK_INLINE void store_bf16(uint16_t *to, vh value) { __builtin_memcpy(to, &value, sizeof value); }

EK_INLINE void store_bf16_part(uint16_t *to, vh value, int64_t count) {
    memcpy(to, &value, (size_t)count * sizeof(uint16_t));
}

EK_INLINE vf widen(vh value) { return (vf)(__builtin_convertvector(value, vi) << 16); }

// To nearest, ties to even; a NaN stays one.
#ifndef EK_NARROW
EK_INLINE vh narrow(vf value) {
    const vi bits = (vi)value;
    const vi rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    const vi is_nan = value != value;
    return __builtin_convertvector((rounded & ~is_nan) | (is_nan & 0x7FC0), vh);
}
#else
EK_INLINE vh narrow(vf value) { return EK_NARROW(value); }
#endif

EK_INLINE vf fma_v(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }

// Where the comparison is false or unordered, b: so the value that may be NaN stands second.
EK_INLINE vf select_less(vf left, vf right, vf a, vf b) {
    const vi mask = left < right;
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

typedef float vf4 __attribute__((ext_vector_type(4)));
typedef float vf8 __attribute__((ext_vector_type(8)));

#if EK_LANES == 16
#define EK_QUARTER(value, combine) combine##4(combine##8((value).lo, (value).hi).lo, combine##8((value).lo, (value).hi).hi)
#elif EK_LANES == 8
#define EK_QUARTER(value, combine) combine##4((value).lo, (value).hi)
#else
#define EK_QUARTER(value, combine) (value)
#endif

EK_INLINE vf8 add8(vf8 a, vf8 b) { return a + b; }
EK_INLINE vf4 add4(vf4 a, vf4 b) { return a + b; }
// A lane of a that is not a number loses.
EK_INLINE vf8 max8(vf8 a, vf8 b) { return a > b ? a : b; }
EK_INLINE vf4 max4(vf4 a, vf4 b) { return a > b ? a : b; }

EK_INLINE float sum_lanes(vf value) {
    const vf4 four = EK_QUARTER(value, add);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

EK_INLINE float max_lanes(vf value) {
    const vf4 four = EK_QUARTER(value, max);
    const float left = four[0] > four[2] ? four[0] : four[2], right = four[1] > four[3] ? four[1] : four[3];
    return left > right ? left : right;
}

// 2^x for x in [-126, 127]; relative error 2e-8 before rounding (least squares over [-0.5, 0.5], reweighted to equal
// ripple). Adding 1.5·2^23 + 127 leaves the exponent of a power of two in the low bits, without a conversion that NaN
// could upset; and a product keeps NaN whatever its payload, where adding integers would not.
EK_INLINE vf exp2_v(vf x) {
    const vf shifted = x + 12583039.0f;
    const vf f = x - (shifted - 12583039.0f);
    vf p = 1.53458095e-4f;
    p = fma_v(p, f, 1.33999312e-3f);
    p = fma_v(p, f, 9.61848897e-3f);
    p = fma_v(p, f, 5.55032878e-2f);
    p = fma_v(p, f, 2.40226469e-1f);
    p = fma_v(p, f, 6.93147206e-1f);
    p = fma_v(p, f, 1.0f);
    return p * (vf)((vi)shifted << 23);
}

// The same to 2.6e-6, for results that are rounded to bfloat16.
EK_INLINE vf exp2_short_v(vf x) {
    const vf shifted = x + 12583039.0f;
    const vf f = x - (shifted - 12583039.0f);
    vf p = 9.57004e-3f;
    p = fma_v(p, f, 5.591772e-2f);
    p = fma_v(p, f, 2.4024745e-1f);
    p = fma_v(p, f, 6.9312183e-1f);
    p = fma_v(p, f, 9.9999926e-1f);
    return p * (vf)((vi)shifted << 23);
}

// e^x, with x held within [-87, 88].
EK_INLINE vf exp_v(vf x) {
    x = select_less(x, -87.0f, -87.0f, x);
    x = select_less(88.0f, x, 88.0f, x);
    const vf shifted = fma_v(x, 1.44269504f, 12582912.0f);
    const vf n = shifted - 12582912.0f;
    // ln 2 in two parts: the first has so few bits that n times it is exact.
    vf r = fma_v(n, -0.693359375f, x);
    r = fma_v(n, 2.12194440e-4f, r);
    vf p = 1.38368e-3f;
    p = fma_v(p, r, 8.37482e-3f);
    p = fma_v(p, r, 4.166823e-2f);
    p = fma_v(p, r, 1.666642e-1f);
    p = fma_v(p, r, 4.9999992e-1f);
    p = fma_v(p, r, 1.00000004f);
    p = fma_v(p, r, 1.0f);
    return (vf)((vi)p + ((vi)shifted << 23));
}

// max(x, 0) - |x|·Q(|x|), where Q(t) = erfc(t/√2)/2 = 2^(a polynomial): log2 Q is smooth, and one polynomial of degree 8
// gives |x|·Q to 9e-9 on [0, 6] (least squares, weighted by t·Q(t), reweighted to equal ripple, Q(0) = 1/2 held).
// From 6 on the product is below 6e-9.
EK_INLINE vf gelu_erf_v(vf x) {
    vf t = (vf)((vi)x & 0x7FFFFFFF);
    t = select_less(t, 6.0f, t, 6.0f);
    vf p = -1.90204298e-6f;
    p = fma_v(p, t, 2.80566273e-5f);
    p = fma_v(p, t, -1.31471490e-4f);
    p = fma_v(p, t, -2.72080651e-4f);
    p = fma_v(p, t, 7.24542886e-3f);
    p = fma_v(p, t, -5.26276156e-2f);
    p = fma_v(p, t, -4.59162146e-1f);
    p = fma_v(p, t, -1.15111101f);
    p = fma_v(p, t, -1.0f);
    const vf positive = select_less(x, 0.0f, 0.0f, x);
    return fma_v(-t, exp2_v(p), positive);
}

// x·(1/2 + v·P(v²)), v = x held within ±4.5: for results that are rounded to bfloat16 anyway. Absolute error 4.8e-5 (least
// squares, reweighted to equal ripple).
EK_INLINE vf gelu_erf_short_v(vf x) {
    // Held before it is a factor too: what is left of 1/2 + v·P at -4.5 would grow with |x|.
    x = select_less(x, -4.5f, -4.5f, x);
    const vf v = select_less(4.5f, x, 4.5f, x);
    const vf square = v * v;
    vf p = 3.0006496e-11f;
    p = fma_v(p, square, -3.28451766e-9f);
    p = fma_v(p, square, 1.58049588e-7f);
    p = fma_v(p, square, -4.43219512e-6f);
    p = fma_v(p, square, 8.12161214e-5f);
    p = fma_v(p, square, -1.036301e-3f);
    p = fma_v(p, square, 9.58085497e-3f);
    p = fma_v(p, square, -6.59776988e-2f);
    p = fma_v(p, square, 3.9870891e-1f);
    return x * fma_v(v, p, 0.5f);
}

// 0.5·x·(1 + tanh u) = x / (1 + e^(-2u))
EK_INLINE vf gelu_tanh_v(vf x) {
    const vf u = x * fma_v(x * x, 0.79788456f * 0.044715f, 0.79788456f);
    return x / (1.0f + exp_v(-2.0f * u));
}

EK_INLINE vf silu_v(vf x) { return x / (1.0f + exp_v(-x)); }

EK_INLINE vf relu_v(vf x) { return select_less(x, 0.0f, 0.0f, x); }
