// Every numeric kernel of the encoder, behind plain C functions.
//
// Rules for all of them: matrices are row-major; no allocation; no state after start; the same inputs give the same bits,
// and a row's bits do not depend on the rows beside it, whatever their number. NaN stays NaN, in its row or its text
// alone; infinities give what IEEE arithmetic gives; denormals count as zero or not, as the thread's control word says, but
// always as zero where the processor's own bfloat16 instructions take them. For i8 whatever is not finite in a row makes
// its range's scale NaN, and so the whole row; in a weight, its output.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdint.h>

#pragma clang assume_nonnull begin

// What a product's operands are made of. Sums are float (f32, bf16) or exact 32-bit integers (i8) in all of them.
typedef enum ek_precision {
    ek_f32 = 0,
    // Both operands bfloat16.
    ek_bf16 = 1,
    // Rows unsigned bytes with a range of their own, weights signed bytes with a scale for each output.
    ek_i8 = 2,
} ek_precision;

typedef enum ek_activation {
    // x·Φ(x), absolute error at most 1e-7·max(1, |x|) in f32; before rounding at most 5e-5 where the result is stored as
    // bfloat16. At -infinity relu gives 0, the others NaN, -infinity or a number below 1e-6 in magnitude.
    ek_gelu_erf = 0,
    // 0.5·x·(1 + tanh(sqrt(2/π)·(x + 0.044715·x³)))
    ek_gelu_tanh = 1,
    // x·sigmoid(x)
    ek_silu = 2,
    // max(x, 0)
    ek_relu = 3,
} ek_activation;

// What becomes of a product, bias added.
typedef enum ek_epilogue {
    ek_store_f32 = 0,
    // out = product + residual, float
    ek_add_f32 = 1,
    ek_store_bf16 = 2,
    // out = activation(product)
    ek_activate_f32 = 3,
    ek_activate_bf16 = 4,
} ek_epilogue;

// A quantized row: value = low + scale · byte.
typedef struct ek_range {
    float scale;
    float low;
} ek_range;

// A dense layer, packed for one table of kernels by ek_pack.
//
// Inputs are taken in steps of four bytes: 1, 2 or 4 values by precision. panels: (panel, step, column of the panel, value of
// the step), zero where there is no such input or output.
typedef struct ek_dense {
    ek_precision precision;
    int32_t step_count;
    int32_t panel_count;
    const void *panels;
    // Columns of all panels each: bias, and for i8 each output's scale and scale · sum of its weights.
    const float *bias;
    const float *_Nullable scales;
    const float *_Nullable sums;
    // i8: further inputs, in bfloat16, packed like a bf16 layer's; their values among the quantized ones have no weight.
    const void *_Nullable tail_panels;
    int32_t tail_step_count;
} ek_dense;

// What a dense layer works on. Strides are bytes between rows. Rows of `in` and `out` reach to the end of the last step
// and panel; what `in` holds behind its inputs is finite.
typedef struct ek_dense_rows {
    const void *in;
    int64_t in_stride;
    // i8: one a row.
    const ek_range *_Nullable ranges;
    // i8 with a tail: its inputs.
    const void *_Nullable tail;
    int64_t tail_stride;
    void *out;
    int64_t out_stride;
    // ek_add_f32: strided as `out`, and may be it.
    const float *_Nullable residual;
    ek_epilogue epilogue;
    ek_activation activation;
} ek_dense_rows;

// Layer norm of float rows: (x - mean) / sqrt(variance + epsilon) · gamma + beta, two passes over each row.
typedef struct ek_norm {
    const float *gamma;
    const float *beta;
    // i8: what takes gamma's and beta's place in the copy that is quantized.
    const float *_Nullable quantized_gamma;
    const float *_Nullable quantized_beta;
    // i8: columns whose values, tail_beta in beta's place, go to the tail in bfloat16.
    const int32_t *_Nullable tail_columns;
    const float *_Nullable tail_beta;
    int32_t tail_count;
    float epsilon;
    int32_t width;
} ek_norm;

// Rows as a dense layer of the precision, bf16 or i8, reads them. Strides are bytes.
typedef struct ek_copy {
    ek_precision precision;
    void *rows;
    int64_t stride;
    // i8: one a row.
    ek_range *_Nullable ranges;
    // i8, if the norm has a tail.
    uint16_t *_Nullable tail;
    int64_t tail_stride;
} ek_copy;

// One sequence. Rows of q, k and v are `stride` bytes apart, of one row a head's values stand side by side, the heads one
// after the other. q is multiplied already by log2(e)/√head_size. In bf16 with an odd head size the value behind a head is
// read, so it is there, and finite.
typedef struct ek_attention {
    // f32 or bf16: of q, k, v and out.
    ek_precision precision;
    const void *q;
    const void *k;
    const void *v;
    int64_t stride;
    void *out;
    int64_t out_stride;
    int32_t query_count;
    // ≥ 1
    int32_t key_count;
    int32_t head_size;
} ek_attention;

// The kernels that have a version for each instruction set. All versions agree with the plain one to rounding, over
// the same packed weights.
typedef struct ek_kernels {
    const char *name;
    // Bit 1 << p for every ek_precision p that is worth choosing here: faster than what is more exact, or half as large and
    // nearly as fast.
    uint32_t precisions;
    // Columns of a panel.
    int32_t panel_width;
    // `dense` may read rows of `in` up to the next multiple of this, whatever they hold.
    int32_t row_multiple;
    // i8, unless 0: the kernels add the products of two neighbours in 16 bits, so that the packed weights of inputs 2i and
    // 2i + 1 of an output sum to no more than this in magnitude.
    int32_t pair_limit;
    // In place.
    void (*activate)(float *values, int64_t count, ek_activation activation);
    // Panels first_panel..<first_panel + panel_count of the layer over rows 0..<row_count.
    void (*dense)(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                  int32_t panel_count);
    // rows: float, in place, strides in bytes. copy, unless null, is what a dense layer of `precision` reads.
    void (*layer_norm)(float *rows, int64_t stride, const ek_norm *norm, const ek_copy *_Nullable copy,
                       int32_t row_count);
    // Quantizes rows of bfloat16.
    void (*quantize_bf16)(uint8_t *out, int64_t out_stride, ek_range *ranges, const uint16_t *in, int64_t in_stride,
                          int32_t row_count, int32_t width);
    // scores: (row_count, stride), of which the first `count` ≥ 1 columns count; in place to 2^(x - row maximum), row
    // sums to sums: (row_count); a score more than 126 below the greatest counts as 2^-126. A row that holds NaN has a NaN sum and no other promise. Columns from `count` up to
    // the next multiple of 16 are scratch; stride covers them.
    void (*softmax)(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride);
    // Multiplies and adds in registers alone, step_count times in nearly as many as the register tile sums in; answers
    // the operations, a multiplication and an addition being two. What the processor does at best, to measure the rest by.
    int64_t (*spin)(ek_precision precision, int64_t step_count);
    // Heads first_head..<first_head + head_count. scratch: ek_attention_scratch_size bytes, 64-byte aligned.
    void (*attention)(const ek_attention *sequence, void *scratch, int32_t first_head, int32_t head_count);
} ek_kernels;

// Plain C, for every machine; the twin that the others are tested against.
const ek_kernels *ek_kernels_plain(void);
// The plain ones, with float products by OpenBLAS: for machines that none of the others serves.
const ek_kernels *ek_kernels_openblas(void);
// Null where this processor, or the build, lacks the instructions.
const ek_kernels *_Nullable ek_kernels_avx2(void);
// AVX-512 F, BW, DQ, VL
const ek_kernels *_Nullable ek_kernels_avx512(void);
// with VNNI
const ek_kernels *_Nullable ek_kernels_avx512vnni(void);
// with VNNI and BF16
const ek_kernels *_Nullable ek_kernels_avx512bf16(void);
// with AMX's matrix registers, for bfloat16 and bytes
const ek_kernels *_Nullable ek_kernels_amx(void);
// Arm's NEON
const ek_kernels *_Nullable ek_kernels_neon(void);
// with dot products of signed bytes
const ek_kernels *_Nullable ek_kernels_neondot(void);
// with BF16 and I8MM
const ek_kernels *_Nullable ek_kernels_neonbf16(void);

int64_t ek_attention_scratch_size(int32_t key_count, int32_t head_size);

// Four-byte steps of a row of `inputs` values, and panels of `outputs` columns.
int32_t ek_step_count(ek_precision precision, int32_t inputs);
int32_t ek_panel_count(const ek_kernels *kernels, int32_t outputs);
// Packs weights: (outputs, inputs), as PyTorch stores them, into the panels of `to`, and for i8 its scales and sums. Their
// memory is all there and zeroed. Weights are rounded to nearest, ties to even; for i8 an output's greatest is 127, or its
// greatest pair the table's limit where that asks for a coarser scale.
void ek_pack(const ek_kernels *kernels, ek_dense *to, const float *weights, int32_t inputs, int32_t outputs);

// out: rows of `stride` bytes: row i = words[ids[i]] + positions[i]. words: (vocabulary, width), positions: (≥ count, width).
void ek_embed_f32(float *restrict out, int64_t stride, const float *restrict words, const float *restrict positions,
                  const int32_t *restrict ids, int32_t count, int32_t width);

// out: (width): sum, or greatest value (NaN wins; -infinity of no rows), of each column of rows, `stride` bytes apart.
void ek_sum_rows_f32(float *restrict out, const float *restrict rows, int64_t stride, int32_t row_count, int32_t width);
void ek_max_rows_f32(float *restrict out, const float *restrict rows, int64_t stride, int32_t row_count, int32_t width);
void ek_scale_f32(float *values, float factor, int32_t count);
// Divides by the Euclidean norm, or by 1e-12 where that is greater, as torch.nn.functional.normalize does.
void ek_normalize_f32(float *values, int32_t count);

// Keeps OpenBLAS on the calling thread, and answers its description; the string lives forever.
const char *ek_start_blas(void);
// The name of the processor that OpenBLAS chose its kernels for.
const char *ek_blas_core(void);

// Widens little-endian half (IEEE) or bfloat16 values, which need not be aligned.
void ek_widen_f16(float *restrict out, const void *restrict in, int64_t count);
void ek_widen_bf16(float *restrict out, const void *restrict in, int64_t count);

// On this thread, denormal results and operands count as zero: the tails of softmax would slow some processors down.
// Answers the setting before, for ek_restore_denormals: threads that this one makes would inherit the new one.
uint64_t ek_flush_denormals(void);
void ek_restore_denormals(uint64_t control);

// A thread that spins says so, for the sake of the thread that shares its core and of the power.
static inline void ek_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#pragma clang assume_nonnull end

#endif
