#include "CKernels.h"

#if defined(__x86_64__)

#define EK_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define EK_LANES 16
#define EK_TILE_ROWS 12  // 24 accumulators, two columns and a factor: 27 of 32 registers
#define EK_TILE_VECTORS 2
#include "kernels.h"

const ek_kernels *ek_kernels_avx512(void) {
    static const ek_kernels kernels = EK_TABLE("avx512", 1 << ek_f32 | 1 << ek_i8);
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
