// malloc and its kin as the program's own functions, which every library in the process then uses in place of glibc's.
// They count, and hand on to what glibc calls them by inside. Memory is glibc's own, so free needs no counterpart here.
#include "AllocationCounter.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER
#endif
#endif

// glibc names itself in every header of its own; stdint.h is one.
#if defined(__GLIBC__) && !defined(HAS_SANITIZER)

#include <errno.h>
#include <execinfo.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

// A dynamic thread-local would be allocated itself, on a thread's first use.
static __thread __attribute__((tls_model("initial-exec"))) int64_t count;
static __thread __attribute__((tls_model("initial-exec"))) int32_t is_tracing;

static void note(void) {
    count++;
    if (!is_tracing) return;
    is_tracing = 0;
    void *frames[32];
    backtrace_symbols_fd(frames, backtrace(frames, 32), 2);
    is_tracing = 1;
}

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note();
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    note();
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    note();
    void *const made = __libc_memalign(alignment, size);
    if (made) *memory = made;
    return made ? 0 : ENOMEM;
}

int32_t allocation_counter_works(void) { return 1; }
int64_t allocation_count(void) { return count; }
void allocation_counter_trace(int32_t on) { is_tracing = on; }

#else

int32_t allocation_counter_works(void) { return 0; }
int64_t allocation_count(void) { return 0; }
void allocation_counter_trace(int32_t on) { (void)on; }

#endif
