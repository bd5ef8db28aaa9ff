#include "CKernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define EK_TARGET __attribute__((target("avx2,fma")))
#define EK_LANES 8
#define EK_TILE_ROWS 6  // 12 accumulators, two columns and a factor: 15 of 16 registers
#define EK_TILE_VECTORS 2

// Exact, unlike vpmaddubsw, whose sums of two products saturate: even and odd bytes apart, as 16-bit numbers.
#define EK_DOT_I8 dot_bytes
typedef int32_t dot_vi __attribute__((ext_vector_type(EK_LANES)));
static inline __attribute__((always_inline)) EK_TARGET dot_vi dot_bytes(dot_vi sum, dot_vi row, dot_vi columns) {
    const __m256i r = (__m256i)row, c = (__m256i)columns;
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(r, _mm256_set1_epi16(0xFF)),
                                           _mm256_srai_epi16(_mm256_slli_epi16(c, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(r, 8), _mm256_srai_epi16(c, 8));
    return sum + (dot_vi)_mm256_add_epi32(even, odd);
}
#include "kernels.h"

const ek_kernels *ek_kernels_avx2(void) {
    static const ek_kernels kernels = EK_TABLE("avx2", 1 << ek_f32 | 1 << ek_i8);
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : 0;
}

#else

const ek_kernels *ek_kernels_avx2(void) { return 0; }

#endif
