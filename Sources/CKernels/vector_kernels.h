// The vector kernels, once for every instruction set. A file that includes this defines
//   EK_TARGET     the target attribute, the same on every function here
//   EK_LANES      floats in a register
//   EK_TILE_ROWS  rows of the largest register tile, a multiple of 4; it is 2 registers wide
// and gets the static functions that its table names.
#include <math.h>
#include <string.h>

#include "CKernels.h"

typedef float vf __attribute__((ext_vector_type(EK_LANES)));
typedef int32_t vi __attribute__((ext_vector_type(EK_LANES)));

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

EK_INLINE vf fma_v(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }

// Where the comparison is false or unordered, b: so the value that may be NaN stands second.
EK_INLINE vf select_less(vf left, vf right, vf a, vf b) {
    const vi mask = left < right;
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

EK_INLINE float sum_lanes(vf value) {
    float lanes[EK_LANES];
    __builtin_memcpy(lanes, &value, sizeof value);
    EK_UNROLL for (int width = EK_LANES / 2; width > 0; width /= 2) {
        EK_UNROLL for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    }
    return lanes[0];
}

EK_INLINE float max_lanes(vf value) {
    float lanes[EK_LANES];
    __builtin_memcpy(lanes, &value, sizeof value);
    EK_UNROLL for (int width = EK_LANES / 2; width > 0; width /= 2) {
        EK_UNROLL for (int i = 0; i < width; i++) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
    }
    return lanes[0];
}

// 2^x for x in [-126, 127]; relative error 2e-8 before rounding (least squares over [-0.5, 0.5], reweighted to equal
// ripple). Adding 1.5·2^23 leaves x rounded to an integer in the low bits, without a conversion that NaN could upset.
EK_INLINE vf exp2_v(vf x) {
    const vf shifted = x + 12582912.0f;
    const vf f = x - (shifted - 12582912.0f);
    vf p = 1.53458095e-4f;
    p = fma_v(p, f, 1.33999312e-3f);
    p = fma_v(p, f, 9.61848897e-3f);
    p = fma_v(p, f, 5.55032878e-2f);
    p = fma_v(p, f, 2.40226469e-1f);
    p = fma_v(p, f, 6.93147206e-1f);
    p = fma_v(p, f, 1.0f);
    return (vf)((vi)p + ((vi)shifted << 23));
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

// 0.5·x·(1 + tanh u) = x / (1 + e^(-2u))
EK_INLINE vf gelu_tanh_v(vf x) {
    const vf u = x * fma_v(x * x, 0.79788456f * 0.044715f, 0.79788456f);
    return x / (1.0f + exp_v(-2.0f * u));
}

EK_INLINE vf silu_v(vf x) { return x / (1.0f + exp_v(-x)); }

EK_INLINE vf relu_v(vf x) { return select_less(x, 0.0f, 0.0f, x); }

#define EK_MAP(name)                                                                                \
    EK_TARGET static void name(float *values, int64_t count) {                                      \
        int64_t i = 0;                                                                              \
        for (; i + EK_LANES <= count; i += EK_LANES) store(values + i, name##_v(load(values + i))); \
        if (i < count) store_part(values + i, name##_v(load_part(values + i, count - i)), count - i); \
    }

EK_MAP(gelu_erf)
EK_MAP(gelu_tanh)
EK_MAP(silu)
EK_MAP(relu)

EK_TARGET static void layer_norm(float *rows, const float *gamma, const float *beta, float epsilon, int32_t row_count,
                                 int32_t width) {
    const int32_t whole = width / EK_LANES * EK_LANES, rest = width - whole;
    for (int32_t r = 0; r < row_count; r++) {
        float *row = rows + (int64_t)r * width;
        vf sums = 0, squares = 0;
        for (int32_t i = 0; i < whole; i += EK_LANES) sums += load(row + i);
        if (rest > 0) sums += load_part(row + whole, rest);
        const float mean = sum_lanes(sums) / (float)width;
        for (int32_t i = 0; i < whole; i += EK_LANES) {
            const vf centred = load(row + i) - mean;
            squares = fma_v(centred, centred, squares);
        }
        if (rest > 0) {
            float centred[EK_LANES] = {0};
            for (int32_t i = 0; i < rest; i++) centred[i] = row[whole + i] - mean;
            squares = fma_v(load(centred), load(centred), squares);
        }
        const float inverse = 1.0f / sqrtf(sum_lanes(squares) / (float)width + epsilon);
        for (int32_t i = 0; i < whole; i += EK_LANES) {
            store(row + i, fma_v((load(row + i) - mean) * inverse, load(gamma + i), load(beta + i)));
        }
        if (rest > 0) {
            const vf value = (load_part(row + whole, rest) - mean) * inverse;
            store_part(row + whole, fma_v(value, load_part(gamma + whole, rest), load_part(beta + whole, rest)), rest);
        }
    }
}

EK_TARGET static void softmax(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride) {
    const int32_t end = (count + EK_LANES - 1) / EK_LANES * EK_LANES;
    for (int32_t r = 0; r < row_count; r++) {
        float *row = scores + (int64_t)r * stride;
        for (int32_t i = count; i < end; i++) row[i] = -INFINITY;
        vf maxima = load(row), total = 0;
        for (int32_t i = EK_LANES; i < end; i += EK_LANES) {
            const vf value = load(row + i);
            maxima = select_less(maxima, value, value, maxima);
        }
        const float maximum = max_lanes(maxima);
        // exp_v gives e^-87 for the -infinity behind the end: nothing beside the 1 that the maximum adds.
        for (int32_t i = 0; i < end; i += EK_LANES) {
            const vf value = exp_v(load(row + i) - maximum);
            store(row + i, value);
            total += value;
        }
        sums[r] = sum_lanes(total);
    }
}

// out: (rows, registers·EK_LANES) = a: (rows, depth) × b: (depth, registers·EK_LANES), summed in the order of depth.
EK_INLINE void multiply_tile(float *out, int64_t out_stride, const float *a, int64_t a_stride, const float *b,
                             int64_t b_stride, int32_t depth, const int rows, const int registers) {
    vf sums[EK_TILE_ROWS][2];
    EK_UNROLL for (int i = 0; i < rows; i++) {
        EK_UNROLL for (int j = 0; j < registers; j++) sums[i][j] = 0;
    }
    for (int32_t k = 0; k < depth; k++) {
        vf columns[2];
        EK_UNROLL for (int j = 0; j < registers; j++) columns[j] = load(b + k * b_stride + j * EK_LANES);
        EK_UNROLL for (int i = 0; i < rows; i++) {
            const vf factor = a[i * a_stride + k];
            EK_UNROLL for (int j = 0; j < registers; j++) sums[i][j] = fma_v(factor, columns[j], sums[i][j]);
        }
    }
    EK_UNROLL for (int i = 0; i < rows; i++) {
        EK_UNROLL for (int j = 0; j < registers; j++) store(out + i * out_stride + j * EK_LANES, sums[i][j]);
    }
}

// out: (rows, width) = a: (rows, depth) × b: (depth, width); width a multiple of EK_LANES; rows 4, 8 or 12.
EK_INLINE void multiply_rows(float *out, int64_t out_stride, const float *a, int64_t a_stride, const float *b,
                             int64_t b_stride, int32_t depth, int32_t width, const int rows) {
    int32_t j = 0;
    for (; j + 2 * EK_LANES <= width; j += 2 * EK_LANES) {
        multiply_tile(out + j, out_stride, a, a_stride, b + j, b_stride, depth, rows, 2);
    }
    if (j < width) multiply_tile(out + j, out_stride, a, a_stride, b + j, b_stride, depth, rows, 1);
}

EK_TARGET static void multiply_block(float *out, int64_t out_stride, const float *a, int64_t a_stride, const float *b,
                                     int64_t b_stride, int32_t depth, int32_t width, int32_t rows) {
    switch (rows) {
#if EK_TILE_ROWS >= 12
    case 12: multiply_rows(out, out_stride, a, a_stride, b, b_stride, depth, width, 12); break;
    case 8: multiply_rows(out, out_stride, a, a_stride, b, b_stride, depth, width, 8); break;
#endif
    default: multiply_rows(out, out_stride, a, a_stride, b, b_stride, depth, width, 4); break;
    }
}

// Per head: keys transposed and values copied, both padded to whole registers; then blocks of up to EK_TILE_ROWS queries:
// scores (block, keys), their softmax, and the weighted sum of the values. A block's rows past the last query repeat
// zeros and are dropped.
EK_TARGET static void attention(float *out, const float *qkv, float *scratch, int32_t query_count, int32_t key_count,
                                int32_t head_count, int32_t head_size, float scale) {
    const int64_t width = (int64_t)head_count * head_size, stride = 3 * width;
    const int32_t padded_keys = (key_count + EK_LANES - 1) / EK_LANES * EK_LANES;
    const int32_t padded_size = (head_size + EK_LANES - 1) / EK_LANES * EK_LANES;
    float *keys = scratch;                                      // (head_size, padded_keys)
    float *values = keys + (int64_t)head_size * padded_keys;    // (key_count, padded_size)
    float *block = values + (int64_t)key_count * padded_size;   // (EK_TILE_ROWS, head_size)
    float *scores = block + (int64_t)EK_TILE_ROWS * head_size;  // (EK_TILE_ROWS, padded_keys)
    float *sums = scores + (int64_t)EK_TILE_ROWS * padded_keys; // (EK_TILE_ROWS)
    float *mixed = sums + EK_TILE_ROWS;                         // (EK_TILE_ROWS, padded_size)
    for (int32_t head = 0; head < head_count; head++) {
        const float *q_rows = qkv + (int64_t)head * head_size, *k_rows = q_rows + width, *v_rows = k_rows + width;
        // Blocks of EK_LANES keys: their rows stay in the first cache, and each row of `keys` is written in one piece.
        for (int32_t k0 = 0; k0 < key_count; k0 += EK_LANES) {
            const int32_t end = k0 + EK_LANES < key_count ? k0 + EK_LANES : key_count;
            for (int32_t i = 0; i < head_size; i++) {
                for (int32_t k = k0; k < end; k++) keys[(int64_t)i * padded_keys + k] = k_rows[k * stride + i];
            }
        }
        for (int32_t i = 0; i < head_size; i++) {
            for (int32_t k = key_count; k < padded_keys; k++) keys[(int64_t)i * padded_keys + k] = 0;
        }
        for (int32_t k = 0; k < key_count; k++) {
            float *to = values + (int64_t)k * padded_size;
            memcpy(to, v_rows + k * stride, (size_t)head_size * sizeof(float));
            for (int32_t i = head_size; i < padded_size; i++) to[i] = 0;
        }
        for (int32_t q = 0; q < query_count; q += EK_TILE_ROWS) {
            const int32_t rows = query_count - q < EK_TILE_ROWS ? query_count - q : EK_TILE_ROWS;
            const int32_t tile = (rows + 3) / 4 * 4;
            for (int32_t r = 0; r < rows; r++) {
                const float *row = q_rows + (q + r) * stride;
                for (int32_t i = 0; i < head_size; i++) block[(int64_t)r * head_size + i] = row[i] * scale;
            }
            for (int64_t i = (int64_t)rows * head_size; i < (int64_t)tile * head_size; i++) block[i] = 0;
            multiply_block(scores, padded_keys, block, head_size, keys, padded_keys, head_size, padded_keys, tile);
            softmax(scores, sums, tile, key_count, padded_keys);
            multiply_block(mixed, padded_size, scores, padded_keys, values, padded_size, key_count, padded_size, tile);
            for (int32_t r = 0; r < rows; r++) {
                float *row = out + (q + r) * width + (int64_t)head * head_size;
                const float inverse = 1.0f / sums[r];
                for (int32_t i = 0; i < head_size; i++) row[i] = mixed[(int64_t)r * padded_size + i] * inverse;
            }
        }
    }
}
