// The only calls to OpenBLAS.
#include "CKernels.h"

#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>  // Debian's name for OpenBLAS's own header, whatever the BLAS alternative is
#elif __has_include(<openblas/cblas.h>)
#include <openblas/cblas.h>
#else
#include <cblas.h>
#endif

void ek_multiply_add_f32(float *out, const float *in, const float *weights, int32_t row_count, int32_t input_count,
                         int32_t output_count) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, row_count, output_count, input_count, 1.0f, in, input_count,
                weights, output_count, 1.0f, out, output_count);
}

const char *ek_start_blas(void) {
    openblas_set_num_threads(1);
    return openblas_get_config();
}

const char *ek_blas_core(void) { return openblas_get_corename(); }
