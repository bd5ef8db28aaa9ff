// Products on AMX's matrix registers, in place of the register tile: sixteen rows and sixteen columns at a time, from the
// same panels. A row is summed in the order of its steps, so its bits do not depend on the rows beside it.

#define EK_MATRIX 16  // rows, columns and steps of a matrix register

// What LDTILECFG reads: palette 1, and of each of eight registers its rows and the bytes of a row.
typedef struct matrix_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} matrix_shapes;
_Static_assert(sizeof(matrix_shapes) == 64, "as the instruction reads it");

EK_INLINE void set_shape(matrix_shapes *shapes, int index, int32_t rows, int32_t steps) {
    shapes->rows[index] = (uint8_t)rows;
    shapes->row_bytes[index] = (uint16_t)(4 * steps);
}

// For multiply_block: 0 to 3 hold sums, 4 and 6 rows and columns of sixteen steps, 5 and 7 those of the `rest` behind.
EK_INLINE void shape_block(int32_t row_count, int32_t rest) {
    matrix_shapes shapes = {.palette = 1};
    for (int i = 0; i < 4; i++) set_shape(&shapes, i, row_count, EK_MATRIX);
    set_shape(&shapes, 4, row_count, EK_MATRIX);
    set_shape(&shapes, 6, EK_MATRIX, EK_MATRIX);
    if (rest) {
        set_shape(&shapes, 5, row_count, rest);
        set_shape(&shapes, 7, rest, EK_MATRIX);
    }
    _tile_loadconfig(&shapes);
}

// The registers' numbers are part of the instructions.
#define EK_MATRIX_DOT(sum, row, columns)                               \
    if (precision == ek_bf16) { _tile_dpbf16ps(sum, row, columns); }   \
    else { _tile_dpbusd(sum, row, columns); }

// Rows of one panel's products that wait for their epilogue.
typedef struct unfinished_rows {
    const float *tile, *tail;
    int32_t row, end, panel;
} unfinished_rows;

#define EK_FINISH_UP_TO(name, precision)                                                                         \
    EK_TARGET static __attribute__((noinline)) void name(const ek_dense *layer, const ek_dense_rows *rows,       \
                                                         unfinished_rows *products, int32_t row_count) {         \
        const int32_t left = products->end - products->row, count = row_count < left ? row_count : left;         \
        finish_tile(layer, rows, products->tile, products->tail, products->row, count, products->panel,          \
                    precision);                                                                                  \
        products->tile += count * EK_PANEL;                                                                      \
        if (products->tail) products->tail += count * EK_PANEL;                                                  \
        products->row += count;                                                                                  \
    }

EK_FINISH_UP_TO(finish_up_to_bf16, ek_bf16)
EK_FINISH_UP_TO(finish_up_to_i8, ek_i8)

// What is done between the steps of a block, while the matrix registers are at work: some rows of the block before are
// finished, and some lines of the next panel asked for, so that they are in the second cache when their turn comes.
// (Behind the last panel stand other weights; asking for what is not there does no harm.)
typedef struct work_beside {
    const ek_dense *layer;
    const ek_dense_rows *rows;
    unfinished_rows products;
    const char *ahead;
    int32_t rows_a_step, lines_a_step;
} work_beside;

EK_INLINE void finish_up_to(work_beside *beside, int32_t row_count) {
    if (beside->products.row == beside->products.end) return;
    if (beside->layer->precision == ek_bf16) {
        finish_up_to_bf16(beside->layer, beside->rows, &beside->products, row_count);
    } else {
        finish_up_to_i8(beside->layer, beside->rows, &beside->products, row_count);
    }
}

EK_INLINE void work_a_step(work_beside *beside) {
    for (int32_t i = 0; i < beside->lines_a_step; i++) __builtin_prefetch(beside->ahead + 64 * i, 0, 2);
    beside->ahead += 64 * beside->lines_a_step;
    finish_up_to(beside, beside->rows_a_step);
}

// At times, probably while another thread runs on the core, loads overlap products only where few matrix registers are in
// use: hardly with eight, mostly with six (measured, 1.2 times as fast; at other times no slower). Then instructions of
// theirs without a gap between them take 1.05 times as long, too.
#define EK_GAP __asm__ volatile("nop; nop; nop; nop");

// Up to sixteen steps, in six registers: rows take turns in one of them and columns in another, and the first columns are
// loaded twice. Rows pass by once a panel: their hint leaves the first cache to the panel (1.25 times as fast).
#define EK_BLOCK_STEP(row, column)                                  \
    _tile_stream_loadd(row, in, row_stride);                        \
    EK_GAP _tile_loadd(column, columns, panel_stride);              \
    EK_GAP EK_MATRIX_DOT(0, row, column)                            \
    EK_GAP _tile_loadd(column, columns + 64, panel_stride);         \
    EK_GAP EK_MATRIX_DOT(1, row, column)                            \
    if (is_tall) {                                                  \
        EK_GAP _tile_stream_loadd(row, in + bottom, row_stride);    \
        EK_GAP EK_MATRIX_DOT(3, row, column)                        \
        EK_GAP _tile_loadd(column, columns, panel_stride);          \
        EK_GAP EK_MATRIX_DOT(2, row, column)                        \
    }                                                               \
    EK_GAP

// tile: (row_count, EK_PANEL): up to sixteen rows, as shape_block was told; or, where it is tall, 17 to 32, the last
// sixteen of which may overlap the first.
EK_INLINE void multiply_block(float *tile, const char *rows, int64_t row_stride, const char *panel, int32_t step_count,
                              int32_t row_count, work_beside *beside, const ek_precision precision,
                              const int is_tall) {
    const int64_t panel_stride = EK_PANEL * 4, bottom = (row_count - EK_MATRIX) * row_stride;
    const int32_t rest = step_count % EK_MATRIX;
    const char *in = rows, *columns = panel;
    _tile_zero(0);
    _tile_zero(1);
    if (is_tall) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int32_t s = 0; s < step_count - rest; s += EK_MATRIX) {
        EK_BLOCK_STEP(4, 6)
        in += 4 * EK_MATRIX;
        columns += EK_MATRIX * panel_stride;
        if (beside) work_a_step(beside);
    }
    if (rest) {
        EK_BLOCK_STEP(5, 7)
        // Then they are not in use.
        _tile_zero(5);
        _tile_zero(7);
    }
    _tile_stored(0, tile, panel_stride);
    _tile_stored(1, tile + EK_MATRIX, panel_stride);
    if (is_tall) {
        float *low = tile + (row_count - EK_MATRIX) * EK_PANEL;
        _tile_stored(2, low, panel_stride);
        _tile_stored(3, low + EK_MATRIX, panel_stride);
    }
}

EK_INLINE void multiply_slice(float *tile, const char *rows, int64_t row_stride, const char *panel, int32_t step_count,
                              int32_t row_count, work_beside *beside, const ek_precision precision) {
    if (row_count > EK_MATRIX) {
        multiply_block(tile, rows, row_stride, panel, step_count, row_count, beside, precision, 1);
    } else {
        multiply_block(tile, rows, row_stride, panel, step_count, row_count, beside, precision, 0);
    }
}

// Blocks of queries of one height, so that the registers' shapes stay: the last begins with rows of the one before it.
EK_INLINE int32_t block_height(int32_t query_count) {
    const int32_t blocks = tile_count(query_count);
    return (query_count + blocks - 1) / blocks;
}

EK_INLINE int32_t block_start(int32_t block, int32_t query_count) {
    const int32_t height = block_height(query_count), last = query_count - height;
    return block * height < last ? block * height : last;
}

#define EK_BLOCK_START block_start
#define EK_BLOCK_END(block, query_count) (block_start(block, query_count) + block_height(query_count))

// For both products of attention over blocks of so many queries: 0 and 1 hold sums, 2 and 3 rows and columns of sixteen
// steps, 4 and 5 those of the steps behind in a head, 6 and 7 in the keys.
// Changing the shapes takes as long as fifteen products: once a call.
EK_INLINE void shape_attention(const ek_attention *sequence) {
    const int32_t row_count = block_height(sequence->query_count);
    const int32_t head_rest = (sequence->head_size + 1) / 2 % EK_MATRIX;
    const int32_t key_rest = (sequence->key_count + 1) / 2 % EK_MATRIX;
    matrix_shapes shapes = {.palette = 1};
    for (int i = 0; i < 3; i++) set_shape(&shapes, i, row_count, EK_MATRIX);
    set_shape(&shapes, 3, EK_MATRIX, EK_MATRIX);
    if (head_rest) {
        set_shape(&shapes, 4, row_count, head_rest);
        set_shape(&shapes, 5, head_rest, EK_MATRIX);
    }
    if (key_rest) {
        set_shape(&shapes, 6, row_count, key_rest);
        set_shape(&shapes, 7, key_rest, EK_MATRIX);
    }
    _tile_loadconfig(&shapes);
}

#define EK_MATRIX_STEP(row, column)                                                  \
    _tile_loadd(row, rows + 4 * s, row_stride);                                      \
    _tile_loadd(column, panel + s * panel_stride, panel_stride);                     \
    _tile_dpbf16ps(0, row, column);                                                  \
    if (vector_count == 2) {                                                         \
        _tile_loadd(column, panel + s * panel_stride + 64, panel_stride);            \
        _tile_dpbf16ps(1, row, column);                                              \
    }

// As multiply_rows, of bfloat16 and as many rows as shape_attention was told of; reads no other rows and steps.
EK_INLINE void multiply_matrix(float *out, int64_t out_stride, const char *rows, int64_t row_stride, const char *panel,
                               int32_t step_count, const int vector_count, const int is_over_keys) {
    const int32_t whole = step_count - step_count % EK_MATRIX;
    const int64_t panel_stride = EK_PANEL * 4;
    int32_t s = 0;
    _tile_zero(0);
    if (vector_count == 2) _tile_zero(1);
    for (; s < whole; s += EK_MATRIX) {
        EK_MATRIX_STEP(2, 3)
    }
    if (s < step_count && is_over_keys) {
        EK_MATRIX_STEP(6, 7)
        _tile_zero(6);
        _tile_zero(7);
    } else if (s < step_count) {
        EK_MATRIX_STEP(4, 5)
        _tile_zero(4);
        _tile_zero(5);
    }
    _tile_stored(0, out, out_stride * 4);
    if (vector_count == 2) _tile_stored(1, out + EK_MATRIX, out_stride * 4);
}

#define EK_MULTIPLY_MATRIX(name, vector_count, is_over_keys)                                                          \
    EK_TARGET static __attribute__((noinline)) void name(float *out, int64_t out_stride, const char *rows,            \
                                                         int64_t row_stride, const char *panel, int32_t step_count,   \
                                                         int32_t row_count) {                                         \
        (void)row_count;                                                                                              \
        multiply_matrix(out, out_stride, rows, row_stride, panel, step_count, vector_count, is_over_keys);            \
    }

EK_MULTIPLY_MATRIX(score_matrix, 2, 0)
EK_MULTIPLY_MATRIX(score_half_matrix, 1, 0)
EK_MULTIPLY_MATRIX(mix_matrix, 2, 1)
EK_MULTIPLY_MATRIX(mix_half_matrix, 1, 1)

#define EK_SCORE_BF16 score_matrix
#define EK_SCORE_HALF_BF16 score_half_matrix
#define EK_MIX_BF16 mix_matrix
#define EK_MIX_HALF_BF16 mix_half_matrix
#define EK_BEFORE_ATTENTION if (sequence->query_count > 0) shape_attention(sequence);
#define EK_AFTER_ATTENTION _tile_release();

#define EK_SLICE (2 * EK_MATRIX)  // rows of a tall block

EK_INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

// How the rows of a call are cut.
typedef struct slice_shapes {
    int32_t height;  // of a matrix register
    int32_t rest, tail_rest;
    int have_both;  // the registers' shapes serve the layer and its tail
} slice_shapes;

EK_INLINE slice_shapes shape_slices(const ek_dense *layer, int32_t row_count, int32_t tail_step_count) {
    slice_shapes shapes = {least(row_count, EK_MATRIX), layer->step_count % EK_MATRIX, tail_step_count % EK_MATRIX, 0};
    shapes.have_both = !shapes.rest || !shapes.tail_rest || shapes.rest == shapes.tail_rest;
    shape_block(shapes.height, shapes.rest ? shapes.rest : shapes.tail_rest);
    return shapes;
}

// The tail's products of some rows and one panel.
EK_INLINE void multiply_tail(float *tail, const ek_dense *layer, const ek_dense_rows *rows, int32_t first_row,
                             int32_t row_count, int32_t panel, slice_shapes shapes) {
    const char *in = (const char *)rows->tail + first_row * rows->tail_stride;
    const int64_t panel_size = (int64_t)layer->tail_step_count * (EK_PANEL * 4);
    if (!shapes.have_both) shape_block(shapes.height, shapes.tail_rest);
    multiply_slice(tail, in, rows->tail_stride, (const char *)layer->tail_panels + panel * panel_size,
                   layer->tail_step_count, row_count, 0, ek_bf16);
    if (!shapes.have_both) shape_block(shapes.height, shapes.rest);
}

// A panel stays in the first cache while all rows pass by it; a slice's epilogue runs beside the products of the next.
EK_INLINE void dense_matrices(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                              int32_t panel_count, const ek_precision precision) {
    if (row_count == 0) return;  // no register has a shape of no rows
    float tiles[2][EK_SLICE * EK_PANEL] __attribute__((aligned(64)));
    float tails[2][EK_SLICE * EK_PANEL] __attribute__((aligned(64)));
    const int has_tail = precision == ek_i8 && layer->tail_step_count > 0;
    const slice_shapes shapes = shape_slices(layer, row_count, has_tail ? layer->tail_step_count : 0);
    const int64_t panel_size = (int64_t)layer->step_count * (EK_PANEL * 4);
    const int32_t slices = (row_count + EK_SLICE - 1) / EK_SLICE;
    const int32_t steps = (layer->step_count + EK_MATRIX - 1) / EK_MATRIX;
    work_beside beside = {.layer = layer, .rows = rows};
    beside.rows_a_step = (EK_SLICE + steps - 1) / steps;
    beside.lines_a_step = (EK_SLICE + slices - 1) / slices;
    for (int32_t panel = first_panel, turn = 0; panel < first_panel + panel_count; panel++) {
        const char *weights = (const char *)layer->panels + panel * panel_size;
        beside.ahead = weights + panel_size;
        for (int32_t row = 0; row < row_count; row += EK_SLICE, turn = !turn) {
            const int32_t end = least(row + EK_SLICE, row_count);
            // Fewer than sixteen are multiplied together with rows before them, so that the shapes stay.
            const int32_t first = least(row, end - shapes.height), repeated = (row - first) * EK_PANEL;
            if (has_tail) multiply_tail(tails[turn], layer, rows, first, end - first, panel, shapes);
            multiply_slice(tiles[turn], (const char *)rows->in + first * rows->in_stride, rows->in_stride, weights,
                           layer->step_count, end - first, &beside, precision);
            finish_up_to(&beside, EK_SLICE);
            beside.products = (unfinished_rows){tiles[turn] + repeated, has_tail ? tails[turn] + repeated : 0, row, end,
                                                panel};
        }
    }
    finish_up_to(&beside, EK_SLICE);
    // Matrix registers in their first state cost a change of threads nothing.
    _tile_release();
}

EK_TARGET static void dense_on_matrices(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count,
                                        int32_t first_panel, int32_t panel_count) {
    switch (layer->precision) {
    case ek_f32: dense(layer, rows, row_count, first_panel, panel_count); break;
    case ek_bf16: dense_matrices(layer, rows, row_count, first_panel, panel_count, ek_bf16); break;
    case ek_i8: dense_matrices(layer, rows, row_count, first_panel, panel_count, ek_i8); break;
    }
}

EK_INLINE int64_t spin_matrices(const ek_precision precision, int64_t step_count) {
    shape_block(EK_MATRIX, EK_MATRIX);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int64_t s = 0; s < step_count; s++) {
        EK_MATRIX_DOT(0, 4, 6)
        EK_MATRIX_DOT(1, 4, 7)
        EK_MATRIX_DOT(2, 5, 6)
        EK_MATRIX_DOT(3, 5, 7)
    }
    _tile_release();
    const int64_t values = precision == ek_bf16 ? 2 : 4;
    return step_count * 4 * EK_MATRIX * EK_MATRIX * EK_MATRIX * values * 2;
}

EK_TARGET static int64_t spin_on_matrices(ek_precision precision, int64_t step_count) {
    switch (precision) {
    case ek_f32: return spin(precision, step_count);
    case ek_bf16: return spin_matrices(ek_bf16, step_count);
    case ek_i8: return spin_matrices(ek_i8, step_count);
    }
}
