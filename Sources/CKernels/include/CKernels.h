// Every numeric kernel of the encoder, behind plain C functions.
//
// Rules for all of them: matrices are row-major without gaps between rows; no allocation; no state after start; the same
// inputs give the same bits, and a row's bits do not depend on the rows beside it, whatever their number. NaN stays NaN.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdint.h>

#pragma clang assume_nonnull begin

// The kernels that have a version for each instruction set. All versions agree with the plain one to rounding.
typedef struct ek_kernels {
    // "plain", "avx2" or "avx512".
    const char *name;
    // x·Φ(x) in place, absolute error at most 1e-7·max(1, |x|).
    void (*gelu_erf_f32)(float *values, int64_t count);
    // 0.5·x·(1 + tanh(sqrt(2/π)·(x + 0.044715·x³))) in place.
    void (*gelu_tanh_f32)(float *values, int64_t count);
    // x·sigmoid(x) in place.
    void (*silu_f32)(float *values, int64_t count);
    // max(x, 0) in place.
    void (*relu_f32)(float *values, int64_t count);
    // rows: (row_count, width), in place: (x - mean) / sqrt(variance + epsilon) · gamma + beta, two passes over each row.
    void (*layer_norm_f32)(float *rows, const float *gamma, const float *beta, float epsilon, int32_t row_count,
                           int32_t width);
    // scores: (row_count, stride), of which the first `count` ≥ 1 columns count; in place to exp(x - row maximum), row
    // sums to sums: (row_count). A row that holds NaN has a NaN sum and no other promise. Columns from `count` up to
    // the next multiple of 32 are scratch; stride covers them.
    void (*softmax_f32)(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride);
    // One sequence, all heads. qkv: (query_count, 3·head_count·head_size), a row being q, k, v of all heads.
    // out: (query_count, head_count·head_size). Keys are rows 0..<key_count ≤ query_count; the rows behind them are
    // masked out. scratch: ek_attention_scratch_count(query_count, head_size) floats, 64-byte aligned.
    void (*attention_f32)(float *out, const float *qkv, float *scratch, int32_t query_count, int32_t key_count,
                          int32_t head_count, int32_t head_size, float scale);
} ek_kernels;

// Plain C, for every machine; the twin that the others are tested against.
const ek_kernels *ek_kernels_plain(void);
// Null where this processor, or the build, lacks the instructions.
const ek_kernels *_Nullable ek_kernels_avx2(void);
const ek_kernels *_Nullable ek_kernels_avx512(void);

int64_t ek_attention_scratch_count(int32_t query_count, int32_t head_size);

// out: (count, width): row i = words[ids[i]] + positions[i]. words: (vocabulary, width), positions: (≥ count, width).
void ek_embed_f32(float *restrict out, const float *restrict words, const float *restrict positions,
                  const int32_t *restrict ids, int32_t count, int32_t width);
// out: (row_count, width): every row = bias.
void ek_fill_rows_f32(float *restrict out, const float *restrict bias, int32_t row_count, int32_t width);
// out, in: (row_count, width): every row = its input + bias.
void ek_add_bias_f32(float *restrict out, const float *restrict in, const float *restrict bias, int32_t row_count,
                     int32_t width);

// out: (width): sum, or greatest value (NaN wins; -infinity of no rows), of each column of rows: (row_count, width).
void ek_sum_rows_f32(float *restrict out, const float *restrict rows, int32_t row_count, int32_t width);
void ek_max_rows_f32(float *restrict out, const float *restrict rows, int32_t row_count, int32_t width);
void ek_scale_f32(float *values, float factor, int32_t count);
// Divides by the Euclidean norm, or by 1e-12 where that is greater, as torch.nn.functional.normalize does.
void ek_normalize_f32(float *values, int32_t count);

// out: (row_count, output_count) += in: (row_count, input_count) × weights: (input_count, output_count). On OpenBLAS.
void ek_multiply_add_f32(float *out, const float *in, const float *weights, int32_t row_count, int32_t input_count,
                         int32_t output_count);
// Keeps OpenBLAS on the calling thread, and answers its description; the string lives forever.
const char *ek_start_blas(void);
// The name of the processor that OpenBLAS chose its kernels for.
const char *ek_blas_core(void);

// out: (columns, rows) = in: (rows, columns) transposed, out's rows being `stride` floats apart.
void ek_transpose_f32(float *restrict out, const float *restrict in, int32_t rows, int32_t columns, int64_t stride);
// Widens little-endian half (IEEE) or bfloat16 values, which need not be aligned.
void ek_widen_f16(float *restrict out, const void *restrict in, int64_t count);
void ek_widen_bf16(float *restrict out, const void *restrict in, int64_t count);

// On this thread, denormal results and operands count as zero: the tails of softmax would slow some processors down.
// Answers the setting before, for ek_restore_denormals: threads that this one makes would inherit the new one.
uint64_t ek_flush_denormals(void);
void ek_restore_denormals(uint64_t control);

#pragma clang assume_nonnull end

#endif
