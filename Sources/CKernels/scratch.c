#include "CKernels.h"

// What the largest version needs: rows of 16 lanes, tiles of 12 rows. Keys never outnumber queries.
int64_t ek_attention_scratch_count(int32_t query_count, int32_t head_size) {
    const int64_t keys = ((int64_t)query_count + 15) / 16 * 16, size = ((int64_t)head_size + 15) / 16 * 16;
    return head_size * keys + keys * size + 12 * (head_size + keys + 1 + size);
}
