// Row work that only moves memory: one version, which any compiler vectorises well enough.
#include <math.h>
#include <string.h>

#include "CKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void ek_embed_f32(float *restrict out, int64_t stride, const float *restrict words, const float *restrict positions,
                  const int32_t *restrict ids, int32_t count, int32_t width) {
    for (int32_t r = 0; r < count; r++) {
        const float *word = words + (int64_t)ids[r] * width, *position = positions + (int64_t)r * width;
        float *row = (float *)((char *)out + r * stride);
        for (int32_t i = 0; i < width; i++) row[i] = word[i] + position[i];
    }
}

void ek_sum_rows_f32(float *restrict out, const float *restrict rows, int64_t stride, int32_t row_count,
                     int32_t width) {
    memset(out, 0, (size_t)width * sizeof(float));
    for (int32_t r = 0; r < row_count; r++) {
        const float *row = (const float *)((const char *)rows + r * stride);
        for (int32_t i = 0; i < width; i++) out[i] += row[i];
    }
}

void ek_max_rows_f32(float *restrict out, const float *restrict rows, int64_t stride, int32_t row_count,
                     int32_t width) {
    for (int32_t i = 0; i < width; i++) out[i] = -INFINITY;
    for (int32_t r = 0; r < row_count; r++) {
        const float *row = (const float *)((const char *)rows + r * stride);
        for (int32_t i = 0; i < width; i++) out[i] = row[i] > out[i] || row[i] != row[i] ? row[i] : out[i];
    }
}

void ek_scale_f32(float *values, float factor, int32_t count) {
    for (int32_t i = 0; i < count; i++) values[i] *= factor;
}

void ek_normalize_f32(float *values, int32_t count) {
    double squares = 0;
    for (int32_t i = 0; i < count; i++) squares += (double)values[i] * values[i];
    float norm = (float)sqrt(squares);
    norm = norm < 1e-12f ? 1e-12f : norm;
    for (int32_t i = 0; i < count; i++) values[i] /= norm;
}

void ek_widen_f16(float *restrict out, const void *restrict in, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, (const char *)in + 2 * i, sizeof half);
        const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
        uint32_t bits;
        if (exponent == 0) {  // zero or denormal: fraction · 2^-24, exact in float
            const float magnitude = (float)fraction * 0x1p-24f;
            memcpy(&bits, &magnitude, sizeof bits);
        } else {
            bits = (exponent == 31 ? 0xFFu : exponent + 112) << 23 | fraction << 13;
        }
        bits |= sign;
        memcpy(out + i, &bits, sizeof bits);
    }
}

void ek_widen_bf16(float *restrict out, const void *restrict in, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, (const char *)in + 2 * i, sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

uint64_t ek_flush_denormals(void) {
    uint64_t control = 0;
#if defined(__x86_64__)
    control = _mm_getcsr();
    _mm_setcsr((uint32_t)control | 0x8040);  // flush to zero, denormals are zero
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1u << 24));  // FZ
#endif
    return control;
}

void ek_restore_denormals(uint64_t control) {
#if defined(__x86_64__)
    _mm_setcsr((uint32_t)control);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#else
    (void)control;
#endif
}
