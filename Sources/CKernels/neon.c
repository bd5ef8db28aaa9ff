#include "CKernels.h"

#if defined(__aarch64__)

#define EK_TARGET
#define EK_LANES 4
#define EK_TILE_ROWS 6  // 24 accumulators, four columns and a factor: 29 of 32 registers
#define EK_TILE_VECTORS 4
#include "kernels.h"

// Bytes are multiplied no faster than floats here: each product takes a widening and a pairwise addition besides.
const ek_kernels *ek_kernels_neon(void) {
    static const ek_kernels kernels = EK_TABLE("neon", 1 << ek_f32);
    return &kernels;
}

#else

const ek_kernels *ek_kernels_neon(void) { return 0; }

#endif
