// Weights as the register tile reads them.
#include <math.h>
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

// Answers the sum of the bytes.
static int32_t pack_i8(char *column, int64_t step_stride, const float *row, int32_t inputs, float scale) {
    const float inverse = 1.0f / scale;
    int32_t sum = 0;
    if (scale != scale) return sum;
    for (int32_t i = 0; i < inputs; i++) {
        const float rounded = rintf(row[i] * inverse);
        const int8_t value = (int8_t)(rounded < -127.0f ? -127.0f : rounded > 127.0f ? 127.0f : rounded);
        column[i / 4 * step_stride + i % 4] = (char)value;
        sum += value;
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

void ek_pack(const ek_kernels *kernels, ek_dense *to, const float *weights, int32_t inputs, int32_t outputs) {
    const int64_t width = kernels->panel_width, step_stride = 4 * width;
    for (int64_t output = 0; output < outputs; output++) {
        const float *row = weights + output * inputs;
        char *column = (char *)to->panels + output / width * to->step_count * step_stride + output % width * 4;
        switch (to->precision) {
        case ek_f32: pack_f32(column, step_stride, row, inputs); break;
        case ek_bf16: pack_bf16(column, step_stride, row, inputs); break;
        case ek_i8: {
            const float greatest = greatest_magnitude(row, inputs);
            // Weights too small to divide by are nothing.
            const float scale = greatest < 1e-30f ? 1.0f : greatest / 127.0f;
            const int32_t sum = pack_i8(column, step_stride, row, inputs, scale);
            ((float *)to->scales)[output] = scale;
            ((float *)to->sums)[output] = scale * (float)sum;
            break;
        }
        }
    }
}
