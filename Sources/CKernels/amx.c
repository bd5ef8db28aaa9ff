#include "CKernels.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EK_TARGET                                                                                              \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,amx-tile,amx-int8," \
                          "amx-bf16")))
#define EK_LANES 16
#define EK_TILE_ROWS 12
#define EK_TILE_VECTORS 2
#define EK_DOT_BF16(sum, row, columns) (vf) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(row), (__m512bh)(columns))
#define EK_DOT_I8(sum, row, columns) (vi) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(row), (__m512i)(columns))
#define EK_NARROW(value) (vh) _mm512_cvtneps_pbh((__m512)(value))
#define EK_HAS_MATRICES
#include "kernels.h"

// Linux gives a process the matrix registers' state when it asks for it, once and for all its threads
// (Documentation/arch/x86/xstate.rst). Processors and kernels without it refuse.
static int is_permitted(void) {
    const long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a, b, c, d;
    const unsigned wanted = 1u << 22 | 1u << 24 | 1u << 25;  // AMX-BF16, AMX-TILE, AMX-INT8
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & wanted) != wanted) return 0;
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
}

const ek_kernels *ek_kernels_amx(void) {
    static const ek_kernels kernels = {
        "amx", 1 << ek_f32 | 1 << ek_bf16 | 1 << ek_i8, EK_PANEL, 1, 0, activate, dense_on_matrices, layer_norm,
        quantize_bf16, softmax, spin_on_matrices, attention,
    };
    return ek_kernels_avx512bf16() && is_permitted() ? &kernels : 0;
}

#else

const ek_kernels *ek_kernels_amx(void) { return 0; }

#endif
