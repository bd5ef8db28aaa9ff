#include "CKernels.h"

#if defined(__x86_64__)

#define EK_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define EK_LANES 16
#define EK_TILE_ROWS 12  // 24 accumulators, two columns and a factor: 27 of 32 registers
#include "vector_kernels.h"

const ek_kernels *ek_kernels_avx512(void) {
    static const ek_kernels kernels = {"avx512",   gelu_erf,   gelu_tanh, silu,
                                       relu,       layer_norm, softmax,   attention};
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("fma")
               ? &kernels
               : 0;
}

#else

const ek_kernels *ek_kernels_avx512(void) { return 0; }

#endif
