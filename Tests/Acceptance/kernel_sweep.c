// Every table of kernels that this processor has, against the plain twin: odd sizes, tails, precisions, epilogues.
//
// Prints one JSON object: for each table null where the processor lacks it, else how many results were compared, the
// largest error as a share of its tolerance, and how many were beyond it. Buffers end where a page without access
// begins, so reading or writing too far ends the program. Exit status 1: something was beyond its tolerance.
//
//     kernel_sweep [SLACK]     SLACK: bytes before that page; a multiple of 64
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CKernels.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
// Half the distance from 1 to the next number: the largest relative error of one rounding.
static const double unit_f32 = 0x1p-24, unit_bf16 = 0x1p-8;

static struct { const char *name; long compared, beyond; double worst; } tally;

static void compare(double got, double expected, double tolerance, const char *kernel, int a, int b, int c) {
    tally.compared++;
    const bool same = (isnan(got) && isnan(expected)) || got == expected;
    const double share = same ? 0 : fabs(got - expected) / tolerance;
    if (share <= 1) {
        tally.worst = fmax(tally.worst, share);
    } else if (tally.beyond++ < 10) {
        fprintf(stderr, "%s, %s (%d, %d, %d): %.9g instead of %.9g, tolerance %.3g\n", tally.name, kernel, a, b, c, got,
                expected, tolerance);
    }
}

static void claim(bool holds, const char *kernel, int a, int b, int c) { compare(holds, 1, 0.5, kernel, a, b, c); }

// Memory
static struct { void *base; size_t size; } lent[64];
static int lent_count;
static size_t slack;

// Zeroed; multiples of `alignment` bytes reach up to the slack before the page without access. Given back by give_back.
static void *lend(int64_t byte_count, int64_t alignment) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t rounded = (size_t)((byte_count + alignment - 1) / alignment * alignment);
    const size_t size = (rounded + slack + page - 1) / page * page;
    char *base = mmap(0, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || lent_count == COUNT(lent) || mprotect(base + size, page, PROT_NONE) != 0) exit(2);
    lent[lent_count].base = base;
    lent[lent_count++].size = size + page;
    return base + size - slack - rounded;
}

static void give_back(void) {
    while (lent_count > 0) {
        lent_count--;
        munmap(lent[lent_count].base, lent[lent_count].size);
    }
}

// Values
static uint64_t seed = 1;

static uint32_t random_bits(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }

static float *random_floats(int64_t count) {
    float *values = lend(count * 4, 4);
    for (int64_t i = 0; i < count; i++) values[i] = random_float();
    return values;
}

static float widened(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t random_bf16(void) {
    const float value = random_float();
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void *random_rows(int64_t byte_count, ek_precision precision) {
    if (precision == ek_f32) return random_floats(byte_count / 4);
    uint8_t *bytes = lend(byte_count, 4);
    for (int64_t i = 0; i < byte_count; i++) bytes[i] = (uint8_t)random_bits();
    for (int64_t i = 0; precision == ek_bf16 && i < byte_count / 2; i++) ((uint16_t *)(void *)bytes)[i] = random_bf16();
    return bytes;
}

static double value_of(const void *values, int64_t index, bool is_narrow) {
    return is_narrow ? widened(((const uint16_t *)values)[index]) : ((const float *)values)[index];
}

// How far apart two versions' activations of x may be, if x itself may differ by `error`: their slope is below 1.13.
static double activation_tolerance(double x, double error, bool is_narrow) {
    return 1.13 * error + (is_narrow ? 5e-5 : 4e-7) * fmax(1, fabs(x));
}

// Dense layers
typedef struct layer_shape {
    ek_precision precision;
    int32_t inputs, outputs, rows, tail;
} layer_shape;

static ek_dense packed(const ek_kernels *kernels, const layer_shape *shape, const float *weights, const float *bias,
                       const float *tail_weights) {
    ek_dense layer = {.precision = shape->precision};
    layer.step_count = ek_step_count(shape->precision, shape->inputs);
    layer.panel_count = ek_panel_count(kernels, shape->outputs);
    const int64_t columns = (int64_t)layer.panel_count * kernels->panel_width;
    layer.panels = lend(columns * layer.step_count * 4, 64);
    layer.bias = lend(columns * 4, 64);
    memcpy((void *)layer.bias, bias, (size_t)shape->outputs * 4);
    if (shape->precision == ek_i8) {
        layer.scales = lend(columns * 4, 64);
        layer.sums = lend(columns * 4, 64);
    }
    ek_pack(kernels, &layer, weights, shape->inputs, shape->outputs);
    if (shape->tail > 0) {
        ek_dense tail = {.precision = ek_bf16, .step_count = ek_step_count(ek_bf16, shape->tail)};
        tail.panel_count = layer.panel_count;
        tail.panels = layer.tail_panels = lend(columns * tail.step_count * 4, 64);
        layer.tail_step_count = tail.step_count;
        ek_pack(kernels, &tail, tail_weights, shape->tail, shape->outputs);
    }
    return layer;
}

// Sums of the products' magnitudes: what a rounding error of a sum is in proportion to.
static double magnitude_of(const layer_shape *shape, const ek_dense_rows *rows, const float *weights,
                           const float *tail_weights, int row, int output) {
    const char *in = (const char *)rows->in + row * rows->in_stride;
    double sum = 0;
    for (int i = 0; i < shape->inputs; i++) {
        double value = 0;
        if (shape->precision == ek_i8) value = rows->ranges[row].scale * (uint8_t)in[i] + fabsf(rows->ranges[row].low);
        else value = fabs(value_of(in, i, shape->precision == ek_bf16));
        sum += value * fabsf(weights[output * shape->inputs + i]);
    }
    const char *tail = (const char *)rows->tail + row * rows->tail_stride;
    for (int i = 0; i < shape->tail; i++) {
        sum += fabs(value_of(tail, i, true) * tail_weights[output * shape->tail + i]);
    }
    return sum;
}

static void sweep_dense_layer(const ek_kernels *kernels, const layer_shape *shape) {
    const float *weights = random_floats((int64_t)shape->inputs * shape->outputs);
    const float *tail_weights = random_floats((int64_t)shape->tail * shape->outputs);
    const float *bias = random_floats(shape->outputs);
    // The plain kernels, over the weights that these ones pack.
    ek_kernels twin_kernels = *ek_kernels_plain();
    twin_kernels.pair_limit = kernels->pair_limit;
    const ek_kernels *plain = &twin_kernels;
    const ek_dense layer = packed(kernels, shape, weights, bias, tail_weights);
    const ek_dense twin = packed(plain, shape, weights, bias, tail_weights);
    const int64_t columns = (int64_t)layer.panel_count * kernels->panel_width;
    const int64_t twin_columns = (int64_t)twin.panel_count * plain->panel_width;
    const int64_t most_columns = columns > twin_columns ? columns : twin_columns;
    const int64_t readable =
        ((int64_t)shape->rows + kernels->row_multiple - 1) / kernels->row_multiple * kernels->row_multiple;

    ek_dense_rows rows = {.in_stride = layer.step_count * 4, .tail_stride = layer.tail_step_count * 4};
    rows.in = random_rows(readable * rows.in_stride, shape->precision);
    if (shape->tail > 0) rows.tail = random_rows(readable * rows.tail_stride, ek_bf16);
    ek_range *ranges = lend(readable * (int64_t)sizeof(ek_range), 4);
    for (int i = 0; i < readable; i++) ranges[i] = (ek_range){(1 + random_float()) / 255, random_float()};
    rows.ranges = shape->precision == ek_i8 ? ranges : 0;
    rows.out_stride = most_columns * 4;
    const int64_t out_size = shape->rows * rows.out_stride;
    rows.residual = random_floats(out_size / 4);
    char *out = lend(out_size, 4), *expected = lend(out_size, 4), *again = lend(out_size, 4);

    // Errors of two sums in a row of K steps each; bfloat16's instructions round a pair's sum on their own besides.
    const double roundings = shape->precision == ek_f32    ? 2 * (shape->inputs + 4)
                             : shape->precision == ek_bf16 ? 4 * (shape->inputs + 4)
                                                           : 16 + 4 * shape->tail;
    for (int epilogue = ek_store_f32; epilogue <= ek_activate_bf16; epilogue++) {
        const bool is_narrow = epilogue == ek_store_bf16 || epilogue == ek_activate_bf16;
        const bool activates = epilogue == ek_activate_f32 || epilogue == ek_activate_bf16;
        if (is_narrow && kernels->row_multiple > 1) continue;  // OpenBLAS's table is for float alone
        for (int activation = ek_gelu_erf; activation <= (activates ? ek_relu : ek_gelu_erf); activation++) {
            rows.epilogue = (ek_epilogue)epilogue;
            rows.activation = (ek_activation)activation;
            memset(out, 0xA5, (size_t)out_size);
            memset(again, 0xA5, (size_t)out_size);
            rows.out = expected;
            plain->dense(&twin, &rows, shape->rows, 0, twin.panel_count);
            rows.out = out;
            kernels->dense(&layer, &rows, shape->rows, 0, layer.panel_count);
            for (int r = 0; r < shape->rows; r++) {
                const char *row = out + r * rows.out_stride, *twin_row = expected + r * rows.out_stride;
                for (int c = 0; c < shape->outputs; c++) {
                    const double size = magnitude_of(shape, &rows, weights, tail_weights, r, c) + fabsf(bias[c]) + 1;
                    const double value = value_of(twin_row, c, is_narrow);
                    double tolerance = roundings * unit_f32 * size;
                    if (activates) tolerance = activation_tolerance(size, tolerance, is_narrow);
                    if (is_narrow) tolerance += 2 * unit_bf16 * (fabs(value) + tolerance);
                    compare(value_of(row, c, is_narrow), value, tolerance, "dense", shape->inputs, c, r);
                }
                for (int64_t i = columns * (is_narrow ? 2 : 4); i < rows.out_stride; i++) {
                    if (row[i] != (char)0xA5) claim(false, "dense, behind its panels", shape->inputs, (int)i, r);
                }
            }
            // The same bits for a row alone and a panel alone.
            for (int r = 0; kernels->row_multiple == 1 && r < shape->rows; r++) {
                ek_dense_rows one = rows;
                one.in = (const char *)rows.in + r * rows.in_stride;
                if (rows.tail) one.tail = (const char *)rows.tail + r * rows.tail_stride;
                if (rows.ranges) one.ranges = rows.ranges + r;
                one.out = again + r * rows.out_stride;
                one.residual = (const float *)((const char *)rows.residual + r * rows.out_stride);
                for (int p = 0; p < layer.panel_count; p++) kernels->dense(&layer, &one, 1, p, 1);
            }
            if (kernels->row_multiple == 1) {
                claim(memcmp(out, again, (size_t)out_size) == 0, "dense, rows alone", shape->inputs, shape->outputs,
                      shape->rows);
            }
        }
    }
    give_back();
}

static void sweep_dense(const ek_kernels *kernels) {
    const int inputs[] = {1, 2, 3, 4, 5, 7, 8, 17, 33, 64, 131, 384}, outputs[] = {1, 15, 16, 17, 32, 33, 50};
    const int rows[] = {1, 2, 3, 5, 6, 7, 11, 12, 13, 25, 67}, tails[] = {0, 1, 4, 7};
    const int last = kernels->row_multiple > 1 ? ek_f32 : ek_i8;
    for (int precision = ek_f32; precision <= last; precision++) {
        for (int i = 0; i < COUNT(inputs); i++) {
            for (int r = 0; r < COUNT(rows); r++) {
                const layer_shape shape = {(ek_precision)precision, inputs[i], outputs[(i + r) % COUNT(outputs)],
                                           rows[r], precision == ek_i8 ? tails[r % COUNT(tails)] : 0};
                sweep_dense_layer(kernels, &shape);
            }
        }
    }
}

// A NaN among the inputs is in its row's outputs alone.
static void sweep_nan(const ek_kernels *kernels) {
    const layer_shape shape = {ek_f32, 37, 40, 13, 0};
    const float *weights = random_floats(37 * 40), *bias = random_floats(40);
    const ek_dense layer = packed(kernels, &shape, weights, bias, weights);
    const int64_t columns = (int64_t)layer.panel_count * kernels->panel_width;
    float *in = random_floats(37 * (int64_t)(13 + kernels->row_multiple)), *out = lend(13 * columns * 4, 4);
    in[5 * 37 + 36] = NAN;
    const ek_dense_rows rows = {.in = in, .in_stride = 37 * 4, .out = out, .out_stride = columns * 4,
                                .epilogue = ek_activate_f32, .activation = ek_gelu_erf};
    kernels->dense(&layer, &rows, 13, 0, layer.panel_count);
    for (int r = 0; r < 13; r++) {
        for (int c = 0; c < 40; c++) claim(isnan(out[r * columns + c]) == (r == 5), "dense, NaN", r, c, 0);
    }
    give_back();
}

static void sweep_activate(const ek_kernels *kernels) {
    for (int activation = ek_gelu_erf; activation <= ek_relu; activation++) {
        for (int count = 1; count <= 70; count++) {
            float *values = random_floats(count), *expected = lend(count * 4, 4), *inputs = lend(count * 4, 4);
            for (int i = 0; i < count; i++) values[i] *= i % 3 == 0 ? 1 : i % 3 == 1 ? 8 : 100;
            if (count > 7) values[count - 1] = NAN, values[count - 3] = INFINITY, values[count - 5] = 0;
            memcpy(expected, values, (size_t)count * 4);
            memcpy(inputs, values, (size_t)count * 4);
            ek_kernels_plain()->activate(expected, count, (ek_activation)activation);
            kernels->activate(values, count, (ek_activation)activation);
            for (int i = 0; i < count; i++) {
                compare(values[i], expected[i], activation_tolerance(inputs[i], 0, false), "activate", activation,
                        count, i);
            }
            give_back();
        }
    }
}

static void sweep_softmax(const ek_kernels *kernels) {
    for (int count = 1; count <= 67; count++) {
        for (int rows = 1; rows <= 3; rows++) {
            const int stride = (count + 15) / 16 * 16;
            float *scores = random_floats(rows * stride), *expected = lend(rows * stride * 4, 4), sums[3], twins[3];
            for (int i = 0; i < rows * stride; i++) scores[i] *= rows == 3 ? 300 : 20;
            if (rows == 2) scores[stride + count - 1] = NAN;
            memcpy(expected, scores, (size_t)(rows * stride) * 4);
            ek_kernels_plain()->softmax(expected, twins, rows, count, stride);
            kernels->softmax(scores, sums, rows, count, stride);
            for (int r = 0; r < rows; r++) {
                compare(sums[r], twins[r], 2 * (count + 4) * unit_f32 * twins[r] + count * 0x1p-125, "softmax's sum",
                        count, r, 0);
                for (int i = 0; i < count && !isnan(twins[r]); i++) {
                    const double value = expected[r * stride + i];
                    compare(scores[r * stride + i], value, 4 * unit_f32 * value + 0x1p-125, "softmax", count, r, i);
                }
            }
            give_back();
        }
    }
}

// Bytes and ranges: the same values to one step, since a value between two steps may go to either.
static void compare_bytes(const uint8_t *got, ek_range range, const uint8_t *expected, ek_range twin, int width,
                          double tolerance, const char *kernel, int row) {
    compare(range.scale, twin.scale, 2 * tolerance / 255 + 4 * unit_f32 * twin.scale, kernel, width, row, -1);
    compare(range.low, twin.low, tolerance, kernel, width, row, -2);
    for (int i = 0; i < width && !isnan(twin.scale); i++) {
        compare(range.scale * got[i] + range.low, twin.scale * expected[i] + twin.low,
                1.01 * twin.scale + 4 * tolerance, kernel, width, row, i);
    }
}

static void sweep_layer_norm_width(const ek_kernels *kernels, int width, int row_count, int precision, int tail) {
    const int stride = width + 3;
    float *rows = random_floats(row_count * stride), *expected = lend(row_count * stride * 4, 4);
    const float *scales = random_floats(4 * width), offset = (float)(row_count % 3);
    for (int i = 0; i < row_count * stride; i++) rows[i] += offset;
    if (row_count == 3) rows[stride + width - 1] = NAN;
    memcpy(expected, rows, (size_t)(row_count * stride) * 4);
    int32_t *columns = lend(tail * 4, 4);
    for (int i = 0; i < tail; i++) columns[i] = (i * 5 + width - 1) % width;
    ek_norm norm = {.gamma = scales, .beta = scales + width, .quantized_gamma = scales + 2 * width,
                    .quantized_beta = scales + 3 * width, .tail_columns = columns, .tail_beta = random_floats(tail),
                    .tail_count = tail, .epsilon = 1e-12f, .width = width};
    ek_range ranges[3], twins[3];
    ek_copy copy = {.precision = (ek_precision)precision, .stride = width * 2, .tail_stride = tail * 2};
    copy.rows = lend(row_count * copy.stride, 2), copy.tail = lend(row_count * tail * 2, 2), copy.ranges = ranges;
    ek_copy twin = copy;
    twin.rows = lend(row_count * copy.stride, 2), twin.tail = lend(row_count * tail * 2, 2), twin.ranges = twins;
    const bool copies = precision != ek_f32;
    ek_kernels_plain()->layer_norm(expected, stride * 4, &norm, copies ? &twin : 0, row_count);
    kernels->layer_norm(rows, stride * 4, &norm, copies ? &copy : 0, row_count);
    // Values are at most 1 in magnitude beside the offset; the least deviation of two or more is far above 1e-3.
    const double tolerance = 4 * (width + 8) * unit_f32 * (1 + offset) * (width < 8 ? 100 : 8);
    for (int r = 0; r < row_count; r++) {
        for (int i = 0; i < stride; i++) {
            const double value = expected[r * stride + i];
            compare(rows[r * stride + i], value, i < width ? tolerance : 0, "layer norm", width, r, i);
            if (precision != ek_bf16 || i >= width) continue;
            compare(widened(((uint16_t *)copy.rows)[r * width + i]), value, tolerance + 2 * unit_bf16 * fabs(value),
                    "layer norm's copy", width, r, i);
        }
        if (precision != ek_i8) continue;
        compare_bytes((uint8_t *)copy.rows + r * copy.stride, ranges[r], (uint8_t *)twin.rows + r * copy.stride,
                      twins[r], width, tolerance, "layer norm's bytes", r);
        for (int i = 0; i < tail; i++) {
            const double value = widened(twin.tail[r * tail + i]);
            compare(widened(copy.tail[r * tail + i]), value, tolerance + 2 * unit_bf16 * fabs(value),
                    "layer norm's tail", width, r, i);
        }
    }
    give_back();
}

static void sweep_layer_norm(const ek_kernels *kernels) {
    for (int width = 1; width <= 70; width++) {
        for (int precision = ek_f32; precision <= ek_i8; precision++) {
            sweep_layer_norm_width(kernels, width == 70 ? 384 : width, width % 3 + 1, precision, width % 4);
        }
    }
}

static void sweep_quantize(const ek_kernels *kernels) {
    for (int width = 1; width <= 70; width++) {
        const int rows = width % 3 + 1, stride = width + 1;
        uint16_t *in = random_rows(rows * stride * 2, ek_bf16);
        if (rows == 3) in[stride + width - 1] = 0x7FC0;
        uint8_t *out = lend(rows * width, 1), *expected = lend(rows * width, 1);
        ek_range ranges[3], twins[3];
        ek_kernels_plain()->quantize_bf16(expected, width, twins, in, stride * 2, rows, width);
        kernels->quantize_bf16(out, width, ranges, in, stride * 2, rows, width);
        for (int r = 0; r < rows; r++) {
            compare_bytes(out + r * width, ranges[r], expected + r * width, twins[r], width, 2 * unit_f32, "quantize",
                          r);
        }
        give_back();
    }
}

static void sweep_attention_shape(const ek_kernels *kernels, ek_precision precision, int queries, int keys, int size) {
    const bool is_narrow = precision == ek_bf16;
    const int heads = 3, width = is_narrow ? 2 : 4, most = queries > keys ? queries : keys;
    // q, k and v side by side, and a value that no head reads.
    const int64_t stride = ((int64_t)3 * heads * size * width + 4 + 3) / 4 * 4;
    const int64_t out_stride = (int64_t)heads * size * width;
    char *rows = random_rows(most * stride, precision);
    ek_attention sequence = {.precision = precision, .q = rows, .k = rows + heads * size * width,
                             .v = rows + 2 * heads * size * width, .stride = stride, .out_stride = out_stride,
                             .query_count = queries, .key_count = keys, .head_size = size};
    char *out = lend(queries * out_stride, width), *expected = lend(queries * out_stride, width);
    // The plain one keeps a row of scores there.
    void *scratch = lend(ek_attention_scratch_size(keys, size), 64);
    sequence.out = expected;
    ek_kernels_plain()->attention(&sequence, scratch, 0, heads);
    sequence.out = out;
    kernels->attention(&sequence, scratch, 0, 1);
    kernels->attention(&sequence, scratch, 1, heads - 1);
    // Values are below 1. An error e of a score changes its weight by e·ln 2; weights are rounded to bfloat16, too.
    const double score_error = (is_narrow ? 4 : 2) * (size + 4) * unit_f32 * size;
    const double tolerance = 2 * score_error + 4 * (keys + 8) * unit_f32 + (is_narrow ? 2 * unit_bf16 : 0);
    for (int q = 0; q < queries; q++) {
        for (int i = 0; i < heads * size; i++) {
            const double value = value_of(expected + q * out_stride, i, is_narrow);
            compare(value_of(out + q * out_stride, i, is_narrow), value,
                    tolerance + (is_narrow ? 2 * unit_bf16 * fabs(value) : 0), "attention", keys, q, i);
        }
    }
    give_back();
}

static void sweep_attention(const ek_kernels *kernels) {
    const int queries[] = {1, 2, 5, 6, 7, 12, 13}, keys[] = {1, 2, 3, 15, 16, 17, 31, 33, 64, 65};
    const int sizes[] = {1, 2, 7, 8, 15, 16, 17, 32, 33, 64};
    for (int k = 0; k < COUNT(keys); k++) {
        for (int s = 0; s < COUNT(sizes); s++) {
            sweep_attention_shape(kernels, ek_f32, queries[(k + s) % COUNT(queries)], keys[k], sizes[s]);
            sweep_attention_shape(kernels, ek_bf16, queries[(k + 2 * s) % COUNT(queries)], keys[k], sizes[s]);
        }
    }
}

// What the thread's control word does to a denormal result.
static bool has_denormals(void) {
    volatile float least = FLT_MIN;
    return least * 0.5f != 0;
}

int main(int argument_count, char **arguments) {
    slack = argument_count > 1 ? strtoul(arguments[1], 0, 10) : 0;
    const struct { const char *name; const ek_kernels *kernels; } tables[] = {
#ifdef HAS_OPENBLAS
        {"openblas", ek_kernels_openblas()},
#endif
        {"avx2", ek_kernels_avx2()},
        {"avx512", ek_kernels_avx512()},
        {"avx512vnni", ek_kernels_avx512vnni()},
        {"avx512bf16", ek_kernels_avx512bf16()},
        {"amx", ek_kernels_amx()},
        {"neon", ek_kernels_neon()},
        {"neondot", ek_kernels_neondot()},
        {"neonbf16", ek_kernels_neonbf16()},
    };
    long beyond = 0;
    printf("{");
    for (int t = 0; t < COUNT(tables); t++) {
        const ek_kernels *kernels = tables[t].kernels;
        printf("%s\"%s\": ", t > 0 ? ", " : "", tables[t].name);
        if (!kernels) {
            printf("null");
            continue;
        }
        memset(&tally, 0, sizeof tally);
        tally.name = tables[t].name;
        claim(strcmp(kernels->name, tally.name) == 0, "the table's name", 0, 0, 0);
        claim(kernels->spin(ek_f32, 10) > 0, "spin", 0, 0, 0);
        sweep_dense(kernels);
        sweep_nan(kernels);
        sweep_activate(kernels);
        sweep_softmax(kernels);
        sweep_layer_norm(kernels);
        sweep_quantize(kernels);
        sweep_attention(kernels);
        const uint64_t control = ek_flush_denormals();
        claim(!has_denormals(), "denormals flushed", 0, 0, 0);
        ek_restore_denormals(control);
        claim(has_denormals(), "denormals restored", 0, 0, 0);
        printf("{\"compared\": %ld, \"worst\": %.3f, \"beyond\": %ld}", tally.compared, tally.worst, tally.beyond);
        beyond += tally.beyond;
    }
    printf("}\n");
    return beyond > 0;
}
