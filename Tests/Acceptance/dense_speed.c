// Operations a second of the dense layers, by table of kernels, precision and shape, on one thread.
//
//     dense_speed ROUNDS TABLE...
//
// Prints a JSON list. Every round times each of the tables once, so that a busy moment falls on all alike; the least of
// a shape's processor times counts. `whole` is one call of OpenBLAS for the whole product, without bias: the most that
// could be had of it.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "CKernels.h"

#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>
#else
#include <cblas.h>
#endif

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
enum { most_tables = 8 };

typedef struct shape {
    const char *model;
    int32_t outputs, inputs;
} shape;

// Queries, keys and values together; attention's output; the two of the feed-forward part.
static const shape shapes[] = {
    {"MiniLM", 1152, 384}, {"MiniLM", 384, 384}, {"MiniLM", 1536, 384}, {"MiniLM", 384, 1536},
    {"bge-base", 2304, 768}, {"bge-base", 768, 768}, {"bge-base", 3072, 768}, {"bge-base", 768, 3072},
};
static const int32_t row_counts[] = {24, 64, 128, 192};

static const ek_kernels *table_named(const char *name) {
    if (strcmp(name, "openblas") == 0 || strcmp(name, "whole") == 0) return ek_kernels_openblas();
    const ek_kernels *tables[] = {ek_kernels_avx2(),       ek_kernels_avx512(), ek_kernels_avx512vnni(),
                                  ek_kernels_avx512bf16(), ek_kernels_amx(),    ek_kernels_neon(),
                                  ek_kernels_neondot(),    ek_kernels_neonbf16()};
    for (int i = 0; i < COUNT(tables); i++) {
        if (tables[i] && strcmp(tables[i]->name, name) == 0) return tables[i];
    }
    return 0;
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *zeroed(int64_t byte_count) {
    const size_t size = (size_t)(byte_count + 63) / 64 * 64;
    void *memory = aligned_alloc(64, size);
    if (!memory) exit(2);
    return memset(memory, 0, size);
}

static float *small_floats(int64_t count) {
    float *values = zeroed(count * 4);
    for (int64_t i = 0; i < count; i++) values[i] = (float)(i * 7919 % 2001 - 1000) * 1e-4f;
    return values;
}

static ek_dense packed(const ek_kernels *kernels, ek_precision precision, const shape *shape, const float *weights) {
    ek_dense layer = {.precision = precision, .step_count = ek_step_count(precision, shape->inputs)};
    layer.panel_count = ek_panel_count(kernels, shape->outputs);
    const int64_t columns = (int64_t)layer.panel_count * kernels->panel_width;
    layer.panels = zeroed(columns * layer.step_count * 4);
    layer.bias = zeroed(columns * 4);
    layer.scales = zeroed(columns * 4);
    layer.sums = zeroed(columns * 4);
    ek_pack(kernels, &layer, weights, shape->inputs, shape->outputs);
    return layer;
}

static void release(const ek_dense *layer) {
    free((void *)layer->panels);
    free((void *)layer->bias);
    free((void *)layer->scales);
    free((void *)layer->sums);
}

// The least seconds of one product of each table.
static void measure(const ek_kernels *const *tables, const char *const *names, int table_count, ek_precision precision,
                    const shape *shape, int32_t row_count, const float *weights, int round_count, double *seconds) {
    ek_dense layers[most_tables];
    for (int t = 0; t < table_count; t++) layers[t] = packed(tables[t], precision, shape, weights);
    const int32_t readable = (row_count + 63) / 64 * 64, columns = (shape->outputs + 127) / 128 * 128;
    ek_dense_rows rows = {.in_stride = ek_step_count(precision, shape->inputs) * 4, .out_stride = columns * 4,
                          .epilogue = precision == ek_f32 ? ek_store_f32 : ek_store_bf16};
    rows.in = precision == ek_f32 ? small_floats((int64_t)readable * shape->inputs) : zeroed(readable * rows.in_stride);
    ek_range *ranges = zeroed(readable * (int64_t)sizeof *ranges);
    rows.ranges = ranges;
    rows.out = zeroed(readable * rows.out_stride);
    for (int round = 0; round < round_count; round++) {
        for (int t = 0; t < table_count; t++) {
            const double start = processor_seconds();
            if (strcmp(names[t], "whole") == 0) {
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, row_count, shape->outputs, shape->inputs, 1.0f,
                            rows.in, shape->inputs, weights, shape->inputs, 0.0f, rows.out, columns);
            } else {
                tables[t]->dense(&layers[t], &rows, row_count, 0, layers[t].panel_count);
            }
            const double time = processor_seconds() - start;
            if (round == 0 || time < seconds[t]) seconds[t] = time;
        }
    }
    for (int t = 0; t < table_count; t++) release(&layers[t]);
    free((void *)rows.in);
    free(ranges);
    free(rows.out);
}

// Operations a second of bare multiply and add.
static double peak_of(const ek_kernels *kernels, ek_precision precision) {
    double best = 0;
    for (int round = 0; round < 10; round++) {
        const double start = processor_seconds();
        const double operations = (double)kernels->spin(precision, 200000);
        const double rate = operations / (processor_seconds() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

int main(int argument_count, char **arguments) {
    const int table_count = argument_count - 2;
    if (table_count < 1 || table_count > most_tables) return 2;
    const int round_count = atoi(arguments[1]);
    const char *const *names = (const char *const *)arguments + 2;
    const ek_kernels *tables[most_tables];
    for (int t = 0; t < table_count; t++) {
        tables[t] = table_named(names[t]);
        if (!tables[t]) {
            fprintf(stderr, "this processor has no %s\n", names[t]);
            return 2;
        }
    }
    ek_start_blas();
    const uint64_t control = ek_flush_denormals();
    const char *separator = "[";
    for (int precision = ek_f32; precision <= ek_i8; precision++) {
        // Those that are worth choosing for it; OpenBLAS for float alone.
        const ek_kernels *fit[most_tables];
        const char *fit_names[most_tables];
        double peaks[most_tables], seconds[most_tables];
        int fit_count = 0;
        for (int t = 0; t < table_count; t++) {
            if (!(tables[t]->precisions & 1u << precision)) continue;
            peaks[fit_count] = tables[t]->row_multiple > 1 ? 0 : peak_of(tables[t], (ek_precision)precision);
            fit[fit_count] = tables[t];
            fit_names[fit_count++] = names[t];
        }
        for (int s = 0; s < COUNT(shapes); s++) {
            float *weights = small_floats((int64_t)shapes[s].inputs * shapes[s].outputs);
            for (int m = 0; m < COUNT(row_counts); m++) {
                measure(fit, fit_names, fit_count, (ek_precision)precision, &shapes[s], row_counts[m], weights,
                        round_count, seconds);
                for (int t = 0; t < fit_count; t++) {
                    const double operations = 2.0 * row_counts[m] * shapes[s].outputs * shapes[s].inputs;
                    printf("%s{\"table\": \"%s\", \"precision\": %d, \"model\": \"%s\", \"rows\": %d, \"outputs\": %d, "
                           "\"inputs\": %d, \"gops\": %.2f, \"peak\": %.2f}",
                           separator, fit_names[t], precision, shapes[s].model, row_counts[m], shapes[s].outputs,
                           shapes[s].inputs, operations / seconds[t] * 1e-9, peaks[t] * 1e-9);
                    separator = ",\n";
                }
            }
            free(weights);
        }
    }
    printf("]\n");
    ek_restore_denormals(control);
    return 0;
}
