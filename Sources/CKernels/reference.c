// The plain twins: what each kernel means, in the clearest C that is exact enough to judge the others by.
#include <math.h>
#include <string.h>

#include "CKernels.h"

static void gelu_erf(float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        values[i] = 0.5f * values[i] * (1.0f + erff(values[i] * 0.70710678f));
    }
}

static void gelu_tanh(float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float x = values[i];
        values[i] = 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    }
}

static void silu(float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) values[i] = values[i] / (1.0f + expf(-values[i]));
}

static void relu(float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) values[i] = values[i] < 0.0f ? 0.0f : values[i];
}

static void layer_norm(float *rows, const float *gamma, const float *beta, float epsilon, int32_t row_count,
                       int32_t width) {
    for (int32_t r = 0; r < row_count; r++) {
        float *row = rows + (int64_t)r * width;
        double sum = 0, squares = 0;
        for (int32_t i = 0; i < width; i++) sum += row[i];
        const double mean = sum / width;
        for (int32_t i = 0; i < width; i++) squares += (row[i] - mean) * (row[i] - mean);
        const double inverse = 1.0 / sqrt(squares / width + epsilon);
        for (int32_t i = 0; i < width; i++) row[i] = (float)((row[i] - mean) * inverse) * gamma[i] + beta[i];
    }
}

static void softmax(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride) {
    for (int32_t r = 0; r < row_count; r++) {
        float *row = scores + (int64_t)r * stride;
        float maximum = row[0], sum = 0;
        for (int32_t i = 1; i < count; i++) maximum = row[i] > maximum ? row[i] : maximum;
        for (int32_t i = 0; i < count; i++) {
            row[i] = expf(row[i] - maximum);
            sum += row[i];
        }
        sums[r] = sum;
    }
}

static void attention(float *out, const float *qkv, float *scratch, int32_t query_count, int32_t key_count,
                      int32_t head_count, int32_t head_size, float scale) {
    const int64_t width = (int64_t)head_count * head_size, stride = 3 * width;
    for (int32_t head = 0; head < head_count; head++) {
        const float *queries = qkv + (int64_t)head * head_size, *keys = queries + width, *values = keys + width;
        for (int32_t q = 0; q < query_count; q++) {
            for (int32_t k = 0; k < key_count; k++) {
                float score = 0;
                for (int32_t i = 0; i < head_size; i++) score += queries[q * stride + i] * keys[k * stride + i];
                scratch[k] = score * scale;
            }
            float sum;
            softmax(scratch, &sum, 1, key_count, key_count);
            float *row = out + q * width + (int64_t)head * head_size;
            memset(row, 0, (size_t)head_size * sizeof(float));
            for (int32_t k = 0; k < key_count; k++) {
                for (int32_t i = 0; i < head_size; i++) row[i] += scratch[k] * values[k * stride + i];
            }
            for (int32_t i = 0; i < head_size; i++) row[i] /= sum;
        }
    }
}

const ek_kernels *ek_kernels_plain(void) {
    static const ek_kernels kernels = {"plain",    gelu_erf,   gelu_tanh, silu,
                                       relu,       layer_norm, softmax,   attention};
    return &kernels;
}
