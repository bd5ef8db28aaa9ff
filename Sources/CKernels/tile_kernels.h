// The register tile that every product runs on: the dense layers, and both products of attention.
//
// Whatever the values are, they are walked in steps of four bytes of a row: one float, two bfloat16 or four bytes. A panel
// holds EK_PANEL columns, for each step four bytes a column. So one loop serves all; only the instruction that multiplies
// and adds differs. A row is summed in the order of its steps whatever the tile's height, so its bits do not depend on
// the rows beside it.

#define EK_PANEL (EK_LANES * EK_TILE_VECTORS)

// How far ahead of a product its columns are asked for, in bytes, into the second cache; in a dense layer the next panel
// follows this one. So the reading of weights, which is most of the work for one short text, goes on beside the sums: 1 KiB
// is too short a way for memory, and asking for a whole panel at once stops the sums. (Asking for what is not there does
// no harm.)
#define EK_AHEAD 8192

#ifndef EK_BYTE_OFFSET
#define EK_BYTE_OFFSET 0
#endif

#ifndef EK_PAIR_LIMIT
#define EK_PAIR_LIMIT 0
#endif

// No instruction, but the compiler cannot tell the value before it from the one behind it: it would take a product that
// is made of several instructions out of the loop.
#if defined(__aarch64__)
#define EK_OPAQUE(value) __asm__ volatile("" : "+w"(value))
#else
#define EK_OPAQUE(value) __asm__ volatile("" : "+v"(value))
#endif

EK_INLINE vi load_step(const char *from, const ek_precision precision) {
    uint32_t step;
    __builtin_memcpy(&step, from, sizeof step);
    if (precision == ek_i8) step ^= EK_BYTE_OFFSET * 0x01010101u;
    return (vi)(int32_t)step;
}

// Where there is no instruction for it, bfloat16 is widened: the first values of all pairs, then the second ones, so that
// no more than one half of a step stands in registers.
#ifndef EK_DOT_BF16
#define EK_WIDENS_BF16 1
#define EK_DOT_BF16(sum, row, columns) (__builtin_trap(), (sum))
EK_INLINE vf widen_half(vi pair, const int half) { return (vf)(half == 0 ? pair << 16 : pair & (int32_t)0xFFFF0000); }
#else
#define EK_WIDENS_BF16 0
#endif

#ifndef EK_DOT_I8
EK_INLINE vi dot_i8(vi sum, vi row, vi columns) {
    EK_UNROLL for (int i = 0; i < 4; i++) sum += (row >> (8 * i) & 0xFF) * (columns << (24 - 8 * i) >> 24);
    return sum;
}
#define EK_DOT_I8 dot_i8
#endif

EK_INLINE vf multiply_step(vf sum, vi row, vi columns, const ek_precision precision) {
    switch (precision) {
    case ek_f32: return fma_v((vf)row, (vf)columns, sum);
    case ek_bf16: return EK_DOT_BF16(sum, row, columns);
    case ek_i8: return (vf)EK_DOT_I8((vi)sum, row, columns);
    }
}

// out: (row_count, vector_count · EK_LANES), sums of float or int32 by precision.
EK_INLINE void multiply_tile(float *out, int64_t out_stride, const char *rows, int64_t row_stride, const char *panel,
                             int32_t step_count, const ek_precision precision, const int row_count,
                             const int vector_count) {
    vf sums[EK_TILE_ROWS][EK_TILE_VECTORS];
    EK_UNROLL for (int i = 0; i < row_count; i++) {
        EK_UNROLL for (int j = 0; j < vector_count; j++) sums[i][j] = 0;
    }
    const char *at[EK_TILE_ROWS];
    EK_UNROLL for (int i = 0; i < row_count; i++) {
        at[i] = rows + i * row_stride;
        __asm__ volatile("" : "+r"(at[i]));
    }
    for (int32_t s = 0; s < step_count; s++) {
        const char *from = panel + (int64_t)s * (EK_PANEL * 4);
        vi columns[EK_TILE_VECTORS];
        EK_UNROLL for (int j = 0; j < vector_count; j++) {
            columns[j] = (vi)load((const float *)from + j * EK_LANES);
            if (j * EK_LANES * 4 % 64 == 0) __builtin_prefetch(from + j * EK_LANES * 4 + EK_AHEAD, 0, 2);  // once a line
        }
#if EK_WIDENS_BF16
        if (precision == ek_bf16) {
            EK_UNROLL for (int half = 0; half < 2; half++) {
                vf values[EK_TILE_VECTORS];
                EK_UNROLL for (int j = 0; j < vector_count; j++) {
                    values[j] = widen_half((vi)load((const float *)from + j * EK_LANES), half);
                }
                EK_UNROLL for (int i = 0; i < row_count; i++) {
                    vi pair = load_step(at[i] + 4 * (int64_t)s, precision);
                    EK_OPAQUE(pair);
                    const vf row = widen_half(pair, half);
                    EK_UNROLL for (int j = 0; j < vector_count; j++) sums[i][j] = fma_v(row, values[j], sums[i][j]);
                }
                __asm__ volatile("" ::: "memory");  // rows are read again for the second half, not kept in registers
            }
            continue;
        }
#endif
        EK_UNROLL for (int i = 0; i < row_count; i++) {
            const vi row = load_step(at[i] + 4 * (int64_t)s, precision);
            EK_UNROLL for (int j = 0; j < vector_count; j++) {
                sums[i][j] = multiply_step(sums[i][j], row, columns[j], precision);
            }
        }
    }
    EK_UNROLL for (int i = 0; i < row_count; i++) {
        EK_UNROLL for (int j = 0; j < vector_count; j++) store(out + i * out_stride + j * EK_LANES, sums[i][j]);
    }
}

#define EK_TILE_CASE(n)                                                                                          \
    case n <= EK_TILE_ROWS ? n : -n:                                                                             \
        multiply_tile(out, out_stride, rows, row_stride, panel, step_count, precision,                           \
                      n <= EK_TILE_ROWS ? n : 1, vector_count);                                                  \
        break;

EK_INLINE void multiply_rows(float *out, int64_t out_stride, const char *rows, int64_t row_stride, const char *panel,
                             int32_t step_count, int32_t row_count, const ek_precision precision,
                             const int vector_count) {
    switch (row_count) {
        EK_TILE_CASE(1)
        EK_TILE_CASE(2)
        EK_TILE_CASE(3)
        EK_TILE_CASE(4)
        EK_TILE_CASE(5)
        EK_TILE_CASE(6)
        EK_TILE_CASE(7)
        EK_TILE_CASE(8)
        EK_TILE_CASE(9)
        EK_TILE_CASE(10)
        EK_TILE_CASE(11)
        EK_TILE_CASE(12)
    }
}

typedef void multiply_function(float *out, int64_t out_stride, const char *rows, int64_t row_stride,
                               const char *panel, int32_t step_count, int32_t row_count);

#define EK_MULTIPLY(name, precision, vector_count)                                                                  \
    EK_TARGET static __attribute__((noinline, unused)) void name(float *out, int64_t out_stride, const char *rows,  \
                                                         int64_t row_stride, const char *panel, int32_t step_count, \
                                                         int32_t row_count) {                                       \
        multiply_rows(out, out_stride, rows, row_stride, panel, step_count, row_count, precision, vector_count);    \
    }

// All columns of a panel, and the first half of them.
EK_MULTIPLY(multiply_f32, ek_f32, EK_TILE_VECTORS)
EK_MULTIPLY(multiply_half_f32, ek_f32, EK_TILE_VECTORS / 2)
EK_MULTIPLY(multiply_bf16, ek_bf16, EK_TILE_VECTORS)
EK_MULTIPLY(multiply_half_bf16, ek_bf16, EK_TILE_VECTORS / 2)
EK_MULTIPLY(multiply_i8, ek_i8, EK_TILE_VECTORS)

// Rows are cut into tiles of nearly equal height: a last tile of one row would run at a third of the speed.
EK_INLINE int32_t tile_count(int32_t row_count) { return (row_count + EK_TILE_ROWS - 1) / EK_TILE_ROWS; }

EK_INLINE int32_t tile_start(int32_t tile, int32_t row_count) {
    return (int32_t)((int64_t)tile * row_count / tile_count(row_count));
}

// Sums stand in as many registers as the tile has but for a row, which leaves enough for products that take several
// instructions, and depend on themselves alone.
#define EK_SPIN_ROWS (EK_TILE_ROWS - 1)
EK_INLINE int64_t spin_in(const ek_precision precision, int64_t step_count) {
    volatile int32_t source = 0;  // zeros, which no processor multiplies faster
    vi row = (vi)source;
    vi columns[EK_TILE_VECTORS];
    EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) columns[j] = (vi)source;
    vf sums[EK_SPIN_ROWS][EK_TILE_VECTORS];
    EK_UNROLL for (int i = 0; i < EK_SPIN_ROWS; i++) {
        EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) sums[i][j] = 0;
    }
    for (int64_t s = 0; s < step_count; s++) {
        EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) EK_OPAQUE(columns[j]);
        EK_UNROLL for (int i = 0; i < EK_SPIN_ROWS; i++) {
            EK_OPAQUE(row);
            EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) {
                sums[i][j] = multiply_step(sums[i][j], row, columns[j], precision);
            }
        }
    }
    EK_UNROLL for (int i = 0; i < EK_SPIN_ROWS; i++) {
        EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) source = ((vi)sums[i][j])[0];
    }
    const int64_t values = precision == ek_f32 ? 1 : precision == ek_bf16 ? 2 : 4;
    return step_count * EK_SPIN_ROWS * EK_PANEL * values * 2;
}

EK_TARGET static int64_t spin(ek_precision precision, int64_t step_count) {
    switch (precision) {
    case ek_f32: return spin_in(ek_f32, step_count);
    case ek_bf16: return spin_in(EK_WIDENS_BF16 ? ek_f32 : ek_bf16, step_count);
    case ek_i8: return spin_in(ek_i8, step_count);
    }
}
