#include "CKernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "arm_features.h"

// Not armv8.6-a, which has both: Neoverse V1 has both without the rest of it.
#define EK_TARGET __attribute__((target("arch=armv8.2-a+bf16+i8mm")))
#define EK_LANES 4
#define EK_TILE_ROWS 6  // 24 accumulators, four columns and a factor: 29 of 32 registers
#define EK_TILE_VECTORS 4
#define EK_DOT_BF16(sum, row, columns) \
    (vf) vbfdotq_f32((float32x4_t)(sum), (bfloat16x8_t)(row), (bfloat16x8_t)(columns))
#define EK_DOT_I8(sum, row, columns) (vi) vusdotq_s32((int32x4_t)(sum), (uint8x16_t)(row), (int8x16_t)(columns))
#include "kernels.h"

const ek_kernels *ek_kernels_neonbf16(void) {
    static const ek_kernels kernels = EK_TABLE("neonbf16", 1 << ek_f32 | 1 << ek_bf16 | 1 << ek_i8);
    return has_bf16_and_i8mm() ? &kernels : 0;
}

#else

const ek_kernels *ek_kernels_neonbf16(void) { return 0; }

#endif
