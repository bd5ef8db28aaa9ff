// The only calls to OpenBLAS: float products where no kernels of our own fit the processor.
#include "plain.h"

#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>  // Debian's name for OpenBLAS's own header, whatever the BLAS alternative is
#elif __has_include(<openblas/cblas.h>)
#include <openblas/cblas.h>
#else
#include <cblas.h>
#endif

// Every call has this shape: OpenBLAS takes another path, with another order of summing, for small products.
enum { block_rows = 64, panel_width = 128 };

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
    float products[block_rows * panel_width];
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
    static const ek_kernels kernels = EK_PLAIN_TABLE("openblas", panel_width, block_rows, dense);
    return &kernels;
}

const char *ek_start_blas(void) {
    openblas_set_num_threads(1);
    return openblas_get_config();
}

const char *ek_blas_core(void) { return openblas_get_corename(); }
