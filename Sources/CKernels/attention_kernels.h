// Attention of one sequence, a head at a time: keys and values are packed into panels once, then every block of queries
// takes one pass: scores, softmax, weighted sum. No more than one block's scores are ever held.

// What multiplies bfloat16 where that is not the register tile, where blocks of queries begin and end, and what is to be
// done before and after.
#ifndef EK_SCORE_BF16
#define EK_SCORE_BF16 multiply_bf16
#define EK_SCORE_HALF_BF16 multiply_half_bf16
#define EK_MIX_BF16 multiply_bf16
#define EK_MIX_HALF_BF16 multiply_half_bf16
#define EK_BLOCK_START tile_start
#define EK_BLOCK_END(block, query_count) tile_start((block) + 1, query_count)
#define EK_BEFORE_ATTENTION
#define EK_AFTER_ATTENTION
#endif

#define EK_ROUND_UP(count, multiple) (((count) + (multiple)-1) / (multiple) * (multiple))

typedef struct attention_scratch {
    char *keys;    // (key panel, step of the head, EK_PANEL) steps
    char *values;  // (panel of the head, step of the keys, EK_PANEL) steps
    float *scores; // (EK_TILE_ROWS, padded keys)
    char *weights; // scores as the second product reads them: (EK_TILE_ROWS, padded keys)
    float *mixed;  // (EK_TILE_ROWS, EK_PANEL)
    float *sums;   // (EK_TILE_ROWS)
} attention_scratch;

// Keys as columns: step by step of four bytes, EK_PANEL keys side by side, zeros behind the last key and behind the head.
EK_INLINE void pack_keys(char *to, const char *rows, int64_t stride, int32_t key_count, int32_t byte_count) {
    const int32_t whole = byte_count / 4, step_count = (byte_count + 3) / 4;
    for (int32_t k0 = 0; k0 < key_count; k0 += EK_PANEL) {
        int32_t *panel = (int32_t *)to + (int64_t)k0 * step_count;
        const int32_t count = key_count - k0 < EK_PANEL ? key_count - k0 : EK_PANEL;
        for (int32_t k = 0; k < count; k++) {
            const char *row = rows + (k0 + k) * stride;
            // One by one: the compiler would scatter, which takes four times as long.
            _Pragma("clang loop vectorize(disable) unroll_count(4)")
            for (int32_t s = 0; s < whole; s++) __builtin_memcpy(panel + (int64_t)s * EK_PANEL + k, row + 4 * s, 4);
            if (whole == step_count) continue;
            int32_t last = 0;
            __builtin_memcpy(&last, row + 4 * whole, 2);
            panel[(int64_t)whole * EK_PANEL + k] = last;
        }
        if (count == EK_PANEL) continue;
        for (int32_t s = 0; s < step_count; s++) {
            for (int32_t k = count; k < EK_PANEL; k++) panel[(int64_t)s * EK_PANEL + k] = 0;
        }
    }
}

// Values as they stand for float; pairs of rows interleaved for bfloat16. Zeros beside the head and behind the last key.
EK_INLINE void pack_values(char *to, const char *rows, int64_t stride, int32_t key_count, int32_t head_size,
                           const ek_precision precision) {
    const int32_t step_count = precision == ek_f32 ? key_count : (key_count + 1) / 2;
    for (int32_t c0 = 0; c0 < head_size; c0 += EK_LANES) {
        const int32_t count = head_size - c0 < EK_LANES ? head_size - c0 : EK_LANES;
        float *lanes = (float *)to + (int64_t)(c0 / EK_PANEL) * step_count * EK_PANEL + c0 % EK_PANEL;
        for (int32_t s = 0; s < step_count; s++) {
            if (precision == ek_f32) {
                const float *row = (const float *)(rows + s * stride) + c0;
                store(lanes + (int64_t)s * EK_PANEL, count == EK_LANES ? load(row) : load_part(row, count));
            } else {
                const uint16_t *row = (const uint16_t *)(rows + 2 * s * stride) + c0;
                const uint16_t *next = (const uint16_t *)(rows + (2 * s + 1) * stride) + c0;
                const int has_next = 2 * s + 1 < key_count;
                const vh low = count == EK_LANES ? load_bf16(row) : load_bf16_part(row, count);
                const vh high = !has_next ? 0 : count == EK_LANES ? load_bf16(next) : load_bf16_part(next, count);
                const vi pair = __builtin_convertvector(low, vi) | __builtin_convertvector(high, vi) << 16;
                store(lanes + (int64_t)s * EK_PANEL, (vf)pair);
            }
        }
    }
}

// One block of queries of one head.
EK_INLINE void attend_block(const ek_attention *sequence, const attention_scratch *scratch, int32_t head,
                            int32_t first_row, int32_t row_count, const ek_precision precision) {
    const int32_t width = precision == ek_f32 ? 4 : 2, key_count = sequence->key_count, size = sequence->head_size;
    const int32_t padded_keys = EK_ROUND_UP(key_count, EK_PANEL);
    const int32_t head_steps = (size * width + 3) / 4, key_steps = (key_count * width + 3) / 4;
    multiply_function *score = precision == ek_f32 ? multiply_f32 : EK_SCORE_BF16;
    multiply_function *score_half = precision == ek_f32 ? multiply_half_f32 : EK_SCORE_HALF_BF16;
    multiply_function *mix = precision == ek_f32 ? multiply_f32 : EK_MIX_BF16;
    multiply_function *mix_half = precision == ek_f32 ? multiply_half_f32 : EK_MIX_HALF_BF16;

    const char *queries = (const char *)sequence->q + first_row * sequence->stride + (int64_t)head * size * width;
    for (int32_t k = 0; k < key_count; k += EK_PANEL) {
        multiply_function *multiply = key_count - k > EK_PANEL / 2 ? score : score_half;
        multiply(scratch->scores + k, padded_keys, queries, sequence->stride,
                 scratch->keys + (int64_t)k * head_steps * 4, head_steps, row_count);
    }
    const int32_t end = EK_ROUND_UP(key_count, EK_LANES);
    for (int32_t r = 0; r < row_count; r++) {
        float *row = scratch->scores + (int64_t)r * padded_keys;
        uint16_t *narrowed = (uint16_t *)scratch->weights + (int64_t)r * padded_keys;
        if (precision == ek_f32) softmax_row(row, scratch->sums + r, key_count, end);
        else softmax_row_bf16(narrowed, row, scratch->sums + r, key_count, end);
    }
    char *out = (char *)sequence->out + first_row * sequence->out_stride + (int64_t)head * size * width;
    for (int32_t c0 = 0; c0 < size; c0 += EK_PANEL) {
        multiply_function *multiply = size - c0 > EK_PANEL / 2 ? mix : mix_half;
        multiply(scratch->mixed, EK_PANEL, scratch->weights, (int64_t)padded_keys * width,
                 scratch->values + (int64_t)c0 * key_steps * 4, key_steps, row_count);
        for (int32_t r = 0; r < row_count; r++) {
            const float inverse = 1.0f / scratch->sums[r];
            for (int32_t c = 0; c < EK_PANEL && c0 + c < size; c += EK_LANES) {
                const int32_t count = size - c0 - c < EK_LANES ? size - c0 - c : EK_LANES;
                const vf value = load(scratch->mixed + r * EK_PANEL + c) * inverse;
                char *to = out + r * sequence->out_stride + (int64_t)(c0 + c) * width;
                if (precision == ek_f32) {
                    if (count == EK_LANES) store((float *)to, value);
                    else store_part((float *)to, value, count);
                } else {
                    if (count == EK_LANES) store_bf16((uint16_t *)to, narrow(value));
                    else store_bf16_part((uint16_t *)to, narrow(value), count);
                }
            }
        }
    }
}

EK_INLINE void attend_heads(const ek_attention *sequence, void *memory, int32_t first_head, int32_t head_count,
                            const ek_precision precision) {
    const int32_t width = precision == ek_f32 ? 4 : 2, key_count = sequence->key_count, size = sequence->head_size;
    const int64_t padded_keys = EK_ROUND_UP(key_count, EK_PANEL), padded_size = EK_ROUND_UP(size, EK_PANEL);
    const int32_t head_steps = (size * width + 3) / 4, key_steps = (key_count * width + 3) / 4;
    attention_scratch scratch;
    scratch.keys = memory;
    scratch.values = scratch.keys + padded_keys * head_steps * 4;
    scratch.scores = (float *)(scratch.values + padded_size * key_steps * 4);
    scratch.weights = precision == ek_f32 ? (char *)scratch.scores : (char *)(scratch.scores + EK_TILE_ROWS * padded_keys);
    scratch.mixed = (float *)(scratch.weights + EK_TILE_ROWS * padded_keys * width);
    scratch.sums = scratch.mixed + EK_TILE_ROWS * EK_PANEL;
    for (int32_t head = first_head; head < first_head + head_count; head++) {
        const int64_t offset = (int64_t)head * size * width;
        pack_keys(scratch.keys, (const char *)sequence->k + offset, sequence->stride, key_count, size * width);
        pack_values(scratch.values, (const char *)sequence->v + offset, sequence->stride, key_count, size, precision);
        const int32_t tiles = tile_count(sequence->query_count);
        for (int32_t t = 0; t < tiles; t++) {
            const int32_t row = EK_BLOCK_START(t, sequence->query_count), end = EK_BLOCK_END(t, sequence->query_count);
            attend_block(sequence, &scratch, head, row, end - row, precision);
        }
    }
}

EK_TARGET static void attention(const ek_attention *sequence, void *scratch, int32_t first_head, int32_t head_count) {
    if (sequence->precision == ek_f32) {
        attend_heads(sequence, scratch, first_head, head_count, ek_f32);
    } else {
        EK_BEFORE_ATTENTION
        attend_heads(sequence, scratch, first_head, head_count, ek_bf16);
        EK_AFTER_ATTENTION
    }
}
