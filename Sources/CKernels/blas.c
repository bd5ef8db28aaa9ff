// The only calls to OpenBLAS: float products where no kernels of our own fit the processor.
#include <pthread.h>
#include <string.h>

#include "plain.h"

#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>  // Debian's name for OpenBLAS's own header, whatever the BLAS alternative is
#elif __has_include(<openblas/cblas.h>)
#include <openblas/cblas.h>
#else
#include <cblas.h>
#endif

// Calls have at most so many rows, and this many columns.
enum { most_block_rows = 64, panel_width = 128 };

static int32_t block_rows;

// Whether a call with so many rows sums each of them in the same order, wherever it stands.
static int sums_alike(int32_t row_count) {
    enum { most_inputs = 4096, size_count = 6 };
    static float rows[most_block_rows * most_inputs], weights[most_inputs * panel_width];
    static float products[most_block_rows * panel_width];
    static const int32_t input_counts[size_count] = {3, 16, 37, 384, 1536, most_inputs};
    for (int n = 0; n < size_count; n++) {
        const int32_t inputs = input_counts[n];
        for (int32_t i = 0; i < row_count * inputs; i++) rows[i] = (float)(i % inputs * 7919 % 2001 - 1000) * 1e-3f;
        for (int32_t i = 0; i < inputs * panel_width; i++) weights[i] = (float)((int64_t)i * 104729 % 1999 - 999) * 1e-3f;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, row_count, panel_width, inputs, 1.0f, rows, inputs, weights,
                    panel_width, 0.0f, products, panel_width);
        for (int32_t i = 1; i < row_count; i++) {
            if (memcmp(products, products + i * panel_width, panel_width * sizeof(float)) != 0) return 0;
        }
    }
    return 1;
}

// Every call has the same shape, since OpenBLAS takes another path, with another order of summing, for small products.
// And some of its kernels (Haswell's, say) take the last rows of a call another way than those before: there a call has
// fewer.
static void choose_block_rows(void) {
    ek_start_blas();
    block_rows = most_block_rows;
    while (block_rows > 1 && !sums_alike(block_rows)) block_rows /= 2;
}

static void finish_row(float *out, const float *product, const float *bias, const float *residual,
                       const ek_dense_rows *rows) {
    for (int i = 0; i < panel_width; i++) {
        const float value = product[i] + bias[i];
        out[i] = residual ? value + residual[i] : value;
    }
    if (rows->epilogue == ek_activate_f32) ek_plain_activate(out, panel_width, rows->activation);
}

static void dense(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                  int32_t panel_count) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_block_rows);
    float products[most_block_rows * panel_width];
    const int32_t inputs = layer->step_count;
    for (int32_t panel = first_panel; panel < first_panel + panel_count; panel++) {
        const int64_t column = (int64_t)panel * panel_width;
        const float *weights = (const float *)layer->panels + column * inputs;
        for (int32_t first = 0; first < row_count; first += block_rows) {
            const float *in = (const float *)((const char *)rows->in + first * rows->in_stride);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, block_rows, panel_width, inputs, 1.0f, in,
                        (int)(rows->in_stride / 4), weights, panel_width, 0.0f, products, panel_width);
            const int32_t count = row_count - first < block_rows ? row_count - first : block_rows;
            for (int32_t i = 0; i < count; i++) {
                const int64_t offset = (first + i) * rows->out_stride + column * 4;
                const float *residual =
                    rows->epilogue == ek_add_f32 ? (const float *)((const char *)rows->residual + offset) : 0;
                finish_row((float *)((char *)rows->out + offset), products + i * panel_width, layer->bias + column,
                           residual, rows);
            }
        }
    }
}

const ek_kernels *ek_kernels_openblas(void) {
    static const ek_kernels kernels = EK_PLAIN_TABLE("openblas", panel_width, most_block_rows, dense);
    return &kernels;
}

const char *ek_start_blas(void) {
    openblas_set_num_threads(1);
    return openblas_get_config();
}

const char *ek_blas_core(void) { return openblas_get_corename(); }
