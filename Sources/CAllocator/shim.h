// What glibc's allocator can be told. Swift's own module of the C library leaves it out; elsewhere there is nothing to
// tell.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

// Both give whether anything was changed.
static inline int ovenbird_limit_arenas(int count, int mapped_byte_count) {
#if defined(__GLIBC__)
    return mallopt(M_ARENA_MAX, count) && mallopt(M_MMAP_THRESHOLD, mapped_byte_count);
#else
    (void)count, (void)mapped_byte_count;
    return 0;
#endif
}

static inline int ovenbird_give_back_memory(void) {
#if defined(__GLIBC__)
    return malloc_trim(0);
#else
    return 0;
#endif
}
