// Counts what a thread allocates, for tests of code that promises to allocate nothing.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

#include <stdint.h>

// Whether allocations are counted: with glibc, and without a sanitizer, which has an allocator of its own.
int32_t allocation_counter_works(void);
// Calls of malloc, calloc, realloc and the aligned kinds that this thread has made.
int64_t allocation_count(void);
// Prints where from, while on: for whoever looks for the allocation that should not be there.
void allocation_counter_trace(int32_t on);

#endif
