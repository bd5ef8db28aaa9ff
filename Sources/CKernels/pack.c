// Weights as the register tile reads them.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

static int32_t values_of_step(ek_precision precision) { return precision == ek_f32 ? 1 : precision == ek_bf16 ? 2 : 4; }

int32_t ek_step_count(ek_precision precision, int32_t inputs) {
    const int32_t values = values_of_step(precision);
    return (inputs + values - 1) / values;
}

int32_t ek_panel_count(const ek_kernels *kernels, int32_t outputs) {
    return (outputs + kernels->panel_width - 1) / kernels->panel_width;
}

static uint16_t narrowed(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return 0x7FC0;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// The row of one output, in the column of its panel.
static void pack_f32(char *column, int64_t step_stride, const float *row, int32_t inputs) {
    for (int32_t i = 0; i < inputs; i++) memcpy(column + i * step_stride, row + i, sizeof(float));
}

static void pack_bf16(char *column, int64_t step_stride, const float *row, int32_t inputs) {
    for (int32_t i = 0; i < inputs; i++) {
        const uint16_t value = narrowed(row[i]);
        memcpy(column + i / 2 * step_stride + i % 2 * 2, &value, sizeof value);
    }
}

static int32_t rounded_byte(float quotient) {
    const float rounded = rintf(quotient);
    return (int32_t)(rounded < -127.0f ? -127.0f : rounded > 127.0f ? 127.0f : rounded);
}

// Answers the sum of the bytes. pair_limit: the table's.
static int32_t pack_i8(char *column, int64_t step_stride, const float *row, int32_t inputs, float scale,
                       int32_t pair_limit) {
    const float inverse = 1.0f / scale;
    int32_t sum = 0;
    if (scale != scale) return sum;
    for (int32_t i = 0; i < inputs; i += 2) {
        const int has_next = i + 1 < inputs;
        const int32_t next = has_next ? rounded_byte(row[i + 1] * inverse) : 0;
        int32_t value = rounded_byte(row[i] * inverse);
        // Of a pair at its limit both may lie a hair above n + 1/2, since quotients are rounded themselves.
        if (pair_limit && abs(value + next) > pair_limit) value -= value > 0 ? 1 : -1;
        char *to = column + i / 4 * step_stride + i % 4;
        to[0] = (char)value;
        if (has_next) to[1] = (char)next;
        sum += value + next;
    }
    return sum;
}

// NaN if not all are finite.
static float greatest_magnitude(const float *row, int32_t count) {
    float greatest = 0.0f, nan = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        greatest = fabsf(row[i]) > greatest ? fabsf(row[i]) : greatest;
        nan += row[i] * 0.0f;
    }
    return greatest + nan;
}

// Half of it, since the whole may not be finite.
static float greatest_pair_half(const float *row, int32_t count) {
    float greatest = 0.0f;
    for (int32_t i = 0; i + 1 < count; i += 2) {
        const float half = fabsf(0.5f * row[i] + 0.5f * row[i + 1]);
        greatest = half > greatest ? half : greatest;
    }
    return greatest;
}

// NaN if not all weights are finite.
static float scale_of(const float *row, int32_t inputs, int32_t pair_limit) {
    const float greatest = greatest_magnitude(row, inputs);
    // Weights too small to divide by are nothing.
    if (greatest < 1e-30f) return 1.0f;
    const float scale = greatest / 127.0f;
    const float of_pairs = pair_limit ? greatest_pair_half(row, inputs) / (0.5f * (float)pair_limit) : 0.0f;
    return of_pairs > scale ? of_pairs : scale;
}

void ek_pack(const ek_kernels *kernels, ek_dense *to, const float *weights, int32_t inputs, int32_t outputs) {
    const int64_t width = kernels->panel_width, step_stride = 4 * width;
    for (int64_t output = 0; output < outputs; output++) {
        const float *row = weights + output * inputs;
        char *column = (char *)to->panels + output / width * to->step_count * step_stride + output % width * 4;
        switch (to->precision) {
        case ek_f32: pack_f32(column, step_stride, row, inputs); break;
        case ek_bf16: pack_bf16(column, step_stride, row, inputs); break;
        case ek_i8: {
            const float scale = scale_of(row, inputs, kernels->pair_limit);
            const int32_t sum = pack_i8(column, step_stride, row, inputs, scale, kernels->pair_limit);
            ((float *)to->scales)[output] = scale;
            ((float *)to->sums)[output] = scale * (float)sum;
            break;
        }
        }
    }
}
