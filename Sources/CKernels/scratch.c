#include "CKernels.h"

// What the largest version needs: panels of 32 columns, tiles of 12 rows, floats.
int64_t ek_attention_scratch_size(int32_t key_count, int32_t head_size) {
    const int64_t keys = ((int64_t)key_count + 31) / 32 * 32, size = ((int64_t)head_size + 31) / 32 * 32;
    return 4 * (keys * head_size + size * keys + 12 * (keys + keys) + 12 * 32 + 16);
}
