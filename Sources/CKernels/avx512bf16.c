#include "CKernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define EK_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma")))
#define EK_LANES 16
#define EK_TILE_ROWS 12  // 24 accumulators, two columns and a factor: 27 of 32 registers
#define EK_TILE_VECTORS 2
#define EK_DOT_BF16(sum, row, columns) (vf) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(row), (__m512bh)(columns))
#define EK_DOT_I8(sum, row, columns) (vi) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(row), (__m512i)(columns))
#define EK_NARROW(value) (vh) _mm512_cvtneps_pbh((__m512)(value))
#include "kernels.h"

const ek_kernels *ek_kernels_avx512bf16(void) {
    static const ek_kernels kernels = EK_TABLE("avx512bf16", 1 << ek_f32 | 1 << ek_bf16 | 1 << ek_i8);
    __builtin_cpu_init();
    return ek_kernels_avx512() && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16")
               ? &kernels
               : 0;
}

#else

const ek_kernels *ek_kernels_avx512bf16(void) { return 0; }

#endif
