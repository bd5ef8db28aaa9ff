#include "CKernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define EK_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define EK_LANES 16
#define EK_TILE_ROWS 12  // 24 accumulators, two columns and a factor: 27 of 32 registers
#define EK_TILE_VECTORS 2

// Exact, unlike vpmaddubsw, whose sums of two products saturate: even and odd bytes apart, as 16-bit numbers.
#define EK_DOT_I8 dot_bytes
typedef int32_t dot_vi __attribute__((ext_vector_type(EK_LANES)));
static inline __attribute__((always_inline)) EK_TARGET dot_vi dot_bytes(dot_vi sum, dot_vi row, dot_vi columns) {
    const __m512i r = (__m512i)row, c = (__m512i)columns;
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(r, _mm512_set1_epi16(0xFF)),
                                           _mm512_srai_epi16(_mm512_slli_epi16(c, 8), 8));
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(r, 8), _mm512_srai_epi16(c, 8));
    return sum + (dot_vi)_mm512_add_epi32(even, odd);
}
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
