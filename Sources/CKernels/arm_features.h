// What this Arm processor has beyond NEON, for the choice of kernels at run time.
#if defined(__linux__)
#include <sys/auxv.h>

// The kernel's numbers, from asm/hwcap.h: a header older than the processor does not name them.
static inline int has_dot_products(void) { return (getauxval(AT_HWCAP) & 1ul << 20) != 0; }  // ASIMDDP

static inline int has_bf16_and_i8mm(void) {
    const unsigned long both = 1ul << 13 | 1ul << 14;  // I8MM, BF16
    return (getauxval(AT_HWCAP2) & both) == both;
}
#elif defined(__APPLE__)
#include <sys/sysctl.h>

static inline int has_feature(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, 0, 0) == 0 && value != 0;
}

static inline int has_dot_products(void) { return has_feature("hw.optional.arm.FEAT_DotProd"); }

static inline int has_bf16_and_i8mm(void) {
    return has_feature("hw.optional.arm.FEAT_BF16") && has_feature("hw.optional.arm.FEAT_I8MM");
}
#else
static inline int has_dot_products(void) { return 0; }

static inline int has_bf16_and_i8mm(void) { return 0; }
#endif
