#include "CKernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "arm_features.h"

#define EK_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define EK_LANES 4
#define EK_TILE_ROWS 6  // 24 accumulators, four columns and a factor: 29 of 32 registers
#define EK_TILE_VECTORS 4
// Both operands signed: the rows' bytes less 128.
#define EK_BYTE_OFFSET 128
#define EK_DOT_I8(sum, row, columns) (vi) vdotq_s32((int32x4_t)(sum), (int8x16_t)(row), (int8x16_t)(columns))
#include "kernels.h"

const ek_kernels *ek_kernels_neondot(void) {
    static const ek_kernels kernels = EK_TABLE("neondot", 1 << ek_f32 | 1 << ek_i8);
    return has_dot_products() ? &kernels : 0;
}

#else

const ek_kernels *ek_kernels_neondot(void) { return 0; }

#endif
