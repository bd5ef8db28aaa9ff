#include "CKernels.h"

#if defined(__x86_64__)

#define EK_TARGET __attribute__((target("avx2,fma")))
#define EK_LANES 8
#define EK_TILE_ROWS 4  // 8 accumulators, two columns and a factor: 11 of 16 registers
#include "vector_kernels.h"

const ek_kernels *ek_kernels_avx2(void) {
    static const ek_kernels kernels = {"avx2",     gelu_erf,   gelu_tanh, silu,
                                       relu,       layer_norm, softmax,   attention};
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : 0;
}

#else

const ek_kernels *ek_kernels_avx2(void) { return 0; }

#endif
