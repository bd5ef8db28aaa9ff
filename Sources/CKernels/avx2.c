#include "CKernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define EK_TARGET __attribute__((target("avx2,fma")))
#define EK_LANES 8
#define EK_TILE_ROWS 6  // 12 accumulators, two columns and a factor: 15 of 16 registers
#define EK_TILE_VECTORS 2

// vpmaddubsw saturates where two products, of bytes up to 255, sum to more than 16 bits hold.
#define EK_PAIR_LIMIT 128
#define EK_DOT_I8 dot_bytes
typedef int32_t dot_vi __attribute__((ext_vector_type(EK_LANES)));
static inline __attribute__((always_inline)) EK_TARGET dot_vi dot_bytes(dot_vi sum, dot_vi row, dot_vi columns) {
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)row, (__m256i)columns);
    return sum + (dot_vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#include "kernels.h"

const ek_kernels *ek_kernels_avx2(void) {
    static const ek_kernels kernels = EK_TABLE("avx2", 1 << ek_f32 | 1 << ek_bf16 | 1 << ek_i8);
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : 0;
}

#else

const ek_kernels *ek_kernels_avx2(void) { return 0; }

#endif
