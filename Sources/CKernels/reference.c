// The plain twins: what each kernel means, in the clearest C that is exact enough to judge the others by.
#include <math.h>
#include <string.h>

#include "plain.h"

enum { panel_width = 16 };

static float activated(float x, ek_activation activation) {
    switch (activation) {
    case ek_gelu_erf: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case ek_gelu_tanh: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case ek_silu: return x / (1.0f + expf(-x));
    case ek_relu: return x < 0.0f ? 0.0f : x;
    }
}

void ek_plain_activate(float *values, int64_t count, ek_activation activation) {
    for (int64_t i = 0; i < count; i++) values[i] = activated(values[i], activation);
}

static float widened(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t narrowed(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return value != value ? 0x7FC0 : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float float_at(const void *base, int64_t index) {
    float value;
    memcpy(&value, (const char *)base + 4 * index, sizeof value);
    return value;
}

static float bf16_at(const void *base, int64_t index) {
    uint16_t value;
    memcpy(&value, (const char *)base + 2 * index, sizeof value);
    return widened(value);
}

static float value_at(const void *base, int64_t index, ek_precision precision) {
    return precision == ek_f32 ? float_at(base, index) : bf16_at(base, index);
}

static void set_value(void *base, int64_t index, float value, ek_precision precision) {
    const uint16_t half = narrowed(value);
    if (precision == ek_f32) memcpy((char *)base + 4 * index, &value, sizeof value);
    else memcpy((char *)base + 2 * index, &half, sizeof half);
}

// One element of a product, bias not added.
static float product(const ek_dense *layer, const ek_dense_rows *rows, int32_t row, int64_t column) {
    const char *in = (const char *)rows->in + row * rows->in_stride;
    const char *weights = (const char *)layer->panels + column / panel_width * layer->step_count * panel_width * 4;
    const int64_t place = column % panel_width;
    float sum = 0.0f;
    int32_t exact = 0;
    for (int64_t s = 0; s < layer->step_count; s++) {
        const char *step = weights + (s * panel_width + place) * 4;
        switch (layer->precision) {
        case ek_f32: sum += float_at(in, s) * float_at(step, 0); break;
        case ek_bf16:
            for (int i = 0; i < 2; i++) sum += bf16_at(in, 2 * s + i) * bf16_at(step, i);
            break;
        case ek_i8:
            for (int i = 0; i < 4; i++) exact += (uint8_t)in[4 * s + i] * (int8_t)step[i];
            break;
        }
    }
    if (layer->precision != ek_i8) return sum;
    const ek_range range = rows->ranges[row];
    sum = range.scale * ((float)exact * layer->scales[column]) + range.low * layer->sums[column];
    if (layer->tail_step_count == 0) return sum;
    const char *tail = (const char *)layer->tail_panels + column / panel_width * layer->tail_step_count * panel_width * 4;
    for (int64_t s = 0; s < layer->tail_step_count; s++) {
        const char *step = tail + (s * panel_width + place) * 4;
        for (int i = 0; i < 2; i++) {
            sum += bf16_at((const char *)rows->tail + row * rows->tail_stride, 2 * s + i) * bf16_at(step, i);
        }
    }
    return sum;
}

static void dense(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                  int32_t panel_count) {
    for (int32_t row = 0; row < row_count; row++) {
        char *out = (char *)rows->out + row * rows->out_stride;
        const char *residual = rows->epilogue == ek_add_f32 ? (const char *)rows->residual + row * rows->out_stride : 0;
        for (int64_t i = 0; i < (int64_t)panel_count * panel_width; i++) {
            const int64_t column = (int64_t)first_panel * panel_width + i;
            const float value = product(layer, rows, row, column) + layer->bias[column];
            switch (rows->epilogue) {
            case ek_store_f32: set_value(out, column, value, ek_f32); break;
            case ek_add_f32: set_value(out, column, value + float_at(residual, column), ek_f32); break;
            case ek_store_bf16: set_value(out, column, value, ek_bf16); break;
            case ek_activate_f32: set_value(out, column, activated(value, rows->activation), ek_f32); break;
            case ek_activate_bf16: set_value(out, column, activated(value, rows->activation), ek_bf16); break;
            }
        }
    }
}

// The range that covers low...high with 256 steps.
static ek_range range_of(float low, float high, float nan) {
    const float scale = (high - low) / 255.0f;
    return (ek_range){(scale > 1e-12f ? scale : 1e-12f) + nan, low};
}

static uint8_t quantized(float value, ek_range range) {
    const float q = rintf((value - range.low) / range.scale);
    return (uint8_t)(q > 0.0f ? (q < 255.0f ? q : 255.0f) : 0.0f);
}

// The quantized copy of a row, mean and deviation of which are taken away already.
static void quantize_normal(const float *row, const ek_norm *norm, uint8_t *bytes, uint16_t *tail, ek_range *range) {
    float low = INFINITY, high = -INFINITY, nan = 0.0f;
    for (int32_t i = 0; i < norm->width; i++) {
        const float value = row[i] * norm->quantized_gamma[i] + norm->quantized_beta[i];
        low = value < low ? value : low;
        high = value > high ? value : high;
        nan += value * 0.0f;
    }
    *range = range_of(low, high, nan);
    for (int32_t i = 0; i < norm->width; i++) {
        bytes[i] = quantized(row[i] * norm->quantized_gamma[i] + norm->quantized_beta[i], *range);
    }
    for (int32_t t = 0; t < norm->tail_count; t++) {
        const int32_t column = norm->tail_columns[t];
        tail[t] = narrowed(row[column] * norm->gamma[column] + norm->tail_beta[t]);
    }
}

void ek_plain_layer_norm(float *rows, int64_t stride, const ek_norm *norm, const ek_copy *copy, int32_t row_count) {
    const int32_t width = norm->width;
    for (int32_t r = 0; r < row_count; r++) {
        float *row = (float *)((char *)rows + r * stride);
        char *to = copy ? (char *)copy->rows + r * copy->stride : 0;
        double sum = 0, squares = 0;
        for (int32_t i = 0; i < width; i++) sum += row[i];
        const double mean = sum / width;
        for (int32_t i = 0; i < width; i++) squares += (row[i] - mean) * (row[i] - mean);
        const double inverse = 1.0 / sqrt(squares / width + norm->epsilon);
        for (int32_t i = 0; i < width; i++) row[i] = (float)((row[i] - mean) * inverse);
        if (copy && copy->precision == ek_i8) {
            uint16_t *tail = copy->tail ? (uint16_t *)((char *)copy->tail + r * copy->tail_stride) : 0;
            quantize_normal(row, norm, (uint8_t *)to, tail, copy->ranges + r);
        }
        for (int32_t i = 0; i < width; i++) {
            row[i] = row[i] * norm->gamma[i] + norm->beta[i];
            if (copy && copy->precision == ek_bf16) set_value(to, i, row[i], ek_bf16);
        }
    }
}

void ek_plain_quantize_bf16(uint8_t *out, int64_t out_stride, ek_range *ranges, const uint16_t *in, int64_t in_stride,
                            int32_t row_count, int32_t width) {
    for (int32_t r = 0; r < row_count; r++) {
        const uint16_t *row = (const uint16_t *)((const char *)in + r * in_stride);
        float low = INFINITY, high = -INFINITY, nan = 0.0f;
        for (int32_t i = 0; i < width; i++) {
            const float value = widened(row[i]);
            low = value < low ? value : low;
            high = value > high ? value : high;
            nan += value * 0.0f;
        }
        ranges[r] = range_of(low, high, nan);
        for (int32_t i = 0; i < width; i++) out[r * out_stride + i] = quantized(widened(row[i]), ranges[r]);
    }
}

void ek_plain_softmax(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride) {
    for (int32_t r = 0; r < row_count; r++) {
        float *row = scores + (int64_t)r * stride;
        float maximum = row[0], sum = 0;
        for (int32_t i = 1; i < count; i++) maximum = row[i] > maximum ? row[i] : maximum;
        for (int32_t i = 0; i < count; i++) {
            row[i] = exp2f(row[i] - maximum);
            sum += row[i];
        }
        sums[r] = sum;
    }
}

int64_t ek_plain_spin(ek_precision precision, int64_t step_count) {
    (void)precision;
    float sums[8] = {0};
    volatile float source = 0.5f;
    const float factor = source;
    for (int64_t s = 0; s < step_count; s++) {
        for (int i = 0; i < 8; i++) sums[i] = sums[i] * factor + factor;
    }
    for (int i = 0; i < 8; i++) source = sums[i];
    return step_count * 8 * 2;
}

void ek_plain_attention(const ek_attention *sequence, void *scratch, int32_t first_head, int32_t head_count) {
    const ek_precision precision = sequence->precision;
    const int64_t size = sequence->head_size;
    float *scores = scratch;
    for (int64_t head = first_head; head < first_head + head_count; head++) {
        for (int64_t q = 0; q < sequence->query_count; q++) {
            const char *query = (const char *)sequence->q + q * sequence->stride;
            for (int64_t k = 0; k < sequence->key_count; k++) {
                const char *key = (const char *)sequence->k + k * sequence->stride;
                float score = 0;
                for (int64_t i = head * size; i < (head + 1) * size; i++) {
                    score += value_at(query, i, precision) * value_at(key, i, precision);
                }
                scores[k] = score;
            }
            float sum;
            ek_plain_softmax(scores, &sum, 1, sequence->key_count, sequence->key_count);
            for (int64_t i = head * size; i < (head + 1) * size; i++) {
                float mixed = 0;
                for (int64_t k = 0; k < sequence->key_count; k++) {
                    mixed += scores[k] * value_at((const char *)sequence->v + k * sequence->stride, i, precision);
                }
                set_value((char *)sequence->out + q * sequence->out_stride, i, mixed / sum, precision);
            }
        }
    }
}

const ek_kernels *ek_kernels_plain(void) {
    static const ek_kernels kernels = EK_PLAIN_TABLE("plain", panel_width, 1, dense);
    return &kernels;
}
