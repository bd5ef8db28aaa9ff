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

// For multiply_block over up to 32 rows: 0 to 3 hold sums, 4 and 5 rows, 6 and 7 columns.
EK_INLINE void shape_block(int32_t row_count) {
    const int32_t top = row_count < EK_MATRIX ? row_count : EK_MATRIX, bottom = row_count - top;
    matrix_shapes shapes = {.palette = 1};
    set_shape(&shapes, 0, top, EK_MATRIX);
    set_shape(&shapes, 1, top, EK_MATRIX);
    set_shape(&shapes, 4, top, EK_MATRIX);
    if (bottom > 0) {
        set_shape(&shapes, 2, bottom, EK_MATRIX);
        set_shape(&shapes, 3, bottom, EK_MATRIX);
        set_shape(&shapes, 5, bottom, EK_MATRIX);
    }
    set_shape(&shapes, 6, EK_MATRIX, EK_MATRIX);
    set_shape(&shapes, 7, EK_MATRIX, EK_MATRIX);
    _tile_loadconfig(&shapes);
}

// The registers' numbers are part of the instructions.
#define EK_MATRIX_DOT(sum, row, columns)                               \
    if (precision == ek_bf16) { _tile_dpbf16ps(sum, row, columns); }   \
    else { _tile_dpbusd(sum, row, columns); }

// tile: (up to 16 or, where it is tall, 32 rows; EK_PANEL), of whole steps of 16. shape_block was told of the rows.
EK_INLINE void multiply_block(float *tile, const char *rows, int64_t row_stride, const char *panel, int32_t step_count,
                              const ek_precision precision, const int is_tall) {
    const int64_t panel_stride = EK_PANEL * 4;
    _tile_zero(0);
    _tile_zero(1);
    if (is_tall) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int32_t s = 0; s < step_count; s += EK_MATRIX) {
        const char *columns = panel + s * panel_stride;
        _tile_loadd(6, columns, panel_stride);
        _tile_loadd(7, columns + 64, panel_stride);
        _tile_loadd(4, rows + 4 * s, row_stride);
        EK_MATRIX_DOT(0, 4, 6)
        EK_MATRIX_DOT(1, 4, 7)
        if (is_tall) {
            _tile_loadd(5, rows + EK_MATRIX * row_stride + 4 * s, row_stride);
            EK_MATRIX_DOT(2, 5, 6)
            EK_MATRIX_DOT(3, 5, 7)
        }
    }
    _tile_stored(0, tile, panel_stride);
    _tile_stored(1, tile + EK_MATRIX, panel_stride);
    if (is_tall) {
        _tile_stored(2, tile + EK_MATRIX * EK_PANEL, panel_stride);
        _tile_stored(3, tile + EK_MATRIX * EK_PANEL + EK_MATRIX, panel_stride);
    }
}

// As multiply_rows, of up to sixteen rows; reads no other rows and no further steps. Leaves the registers' shapes changed.
EK_INLINE void multiply_matrix(float *out, int64_t out_stride, const char *rows, int64_t row_stride, const char *panel,
                               int32_t step_count, int32_t row_count, const ek_precision precision,
                               const int vector_count) {
    const int32_t rest = step_count % EK_MATRIX, whole = step_count - rest;
    const int64_t panel_stride = EK_PANEL * 4;
    matrix_shapes shapes = {.palette = 1};
    set_shape(&shapes, 0, row_count, EK_MATRIX);
    set_shape(&shapes, 1, row_count, EK_MATRIX);
    set_shape(&shapes, 2, row_count, EK_MATRIX);
    set_shape(&shapes, 3, EK_MATRIX, EK_MATRIX);
    set_shape(&shapes, 4, EK_MATRIX, EK_MATRIX);
    if (rest) {
        set_shape(&shapes, 5, row_count, rest);
        set_shape(&shapes, 6, rest, EK_MATRIX);
        set_shape(&shapes, 7, rest, EK_MATRIX);
    }
    _tile_loadconfig(&shapes);
    _tile_zero(0);
    _tile_zero(1);
    for (int32_t s = 0; s < whole; s += EK_MATRIX) {
        const char *columns = panel + s * panel_stride;
        _tile_loadd(2, rows + 4 * s, row_stride);
        _tile_loadd(3, columns, panel_stride);
        EK_MATRIX_DOT(0, 2, 3)
        if (vector_count == 2) {
            _tile_loadd(4, columns + 64, panel_stride);
            EK_MATRIX_DOT(1, 2, 4)
        }
    }
    if (rest) {
        const char *columns = panel + whole * panel_stride;
        _tile_loadd(5, rows + 4 * whole, row_stride);
        _tile_loadd(6, columns, panel_stride);
        EK_MATRIX_DOT(0, 5, 6)
        if (vector_count == 2) {
            _tile_loadd(7, columns + 64, panel_stride);
            EK_MATRIX_DOT(1, 5, 7)
        }
    }
    _tile_stored(0, out, out_stride * 4);
    if (vector_count == 2) _tile_stored(1, out + EK_MATRIX, out_stride * 4);
}

#define EK_MULTIPLY_MATRIX(name, precision, vector_count)                                                           \
    EK_TARGET static __attribute__((noinline)) void name(float *out, int64_t out_stride, const char *rows,          \
                                                         int64_t row_stride, const char *panel, int32_t step_count, \
                                                         int32_t row_count) {                                       \
        multiply_matrix(out, out_stride, rows, row_stride, panel, step_count, row_count, precision, vector_count);  \
    }

EK_MULTIPLY_MATRIX(multiply_matrix_bf16, ek_bf16, 2)
EK_MULTIPLY_MATRIX(multiply_matrix_half_bf16, ek_bf16, 1)
EK_MULTIPLY_MATRIX(multiply_matrix_i8, ek_i8, 2)

#define EK_ATTEND_BF16 multiply_matrix_bf16
#define EK_ATTEND_HALF_BF16 multiply_matrix_half_bf16
#define EK_AFTER_ATTENTION _tile_release();

// Rows that share a tail's products: 24 kB of them.
#define EK_GROUP_ROWS 192

// The tail's products of a group of rows and one panel.
EK_INLINE void tail_products(float *tail, const ek_dense *layer, const ek_dense_rows *rows, int32_t first_row,
                             int32_t row_count, int32_t panel) {
    const char *weights =
        (const char *)layer->tail_panels + (int64_t)panel * layer->tail_step_count * (EK_PANEL * 4);
    for (int32_t row = 0; row < row_count; row += EK_MATRIX) {
        const int32_t count = row_count - row < EK_MATRIX ? row_count - row : EK_MATRIX;
        multiply_matrix_bf16(tail + row * EK_PANEL, EK_PANEL,
                             (const char *)rows->tail + (first_row + row) * rows->tail_stride, rows->tail_stride,
                             weights, layer->tail_step_count, count);
    }
}

// shaped: the rows that the registers' shapes are for; 0 where they are for something else.
EK_INLINE int32_t dense_group(const ek_dense *layer, const ek_dense_rows *rows, int32_t first_row, int32_t row_count,
                              int32_t panel, float *tail, int32_t shaped, const ek_precision precision) {
    float tile[2 * EK_MATRIX * EK_PANEL] __attribute__((aligned(64)));
    const int64_t panel_size = (int64_t)layer->step_count * (EK_PANEL * 4);
    const char *weights = (const char *)layer->panels + panel * panel_size;
    const int has_tail = precision == ek_i8 && layer->tail_step_count > 0;
    const int is_whole = layer->step_count % EK_MATRIX == 0;
    if (has_tail) tail_products(tail, layer, rows, first_row, row_count, panel);
    if (has_tail || !is_whole) shaped = 0;
    const int32_t height = is_whole ? 2 * EK_MATRIX : EK_MATRIX, slices = (row_count + height - 1) / height;
    for (int32_t slice = 0; slice < slices; slice++) {
        const int32_t row = slice * height, count = row_count - row < height ? row_count - row : height;
        const char *in = (const char *)rows->in + (first_row + row) * rows->in_stride;
        prefetch_slice(weights + panel_size, panel_size, slice, slices);
        if (is_whole) {
            if (shaped != count) shape_block(count);
            shaped = count;
            if (count > EK_MATRIX) {
                multiply_block(tile, in, rows->in_stride, weights, layer->step_count, precision, 1);
            } else {
                multiply_block(tile, in, rows->in_stride, weights, layer->step_count, precision, 0);
            }
        } else if (precision == ek_bf16) {
            multiply_matrix_bf16(tile, EK_PANEL, in, rows->in_stride, weights, layer->step_count, count);
        } else {
            multiply_matrix_i8(tile, EK_PANEL, in, rows->in_stride, weights, layer->step_count, count);
        }
        finish_tile(layer, rows, tile, has_tail ? tail + row * EK_PANEL : 0, first_row + row, count, panel, precision);
    }
    return shaped;
}

EK_INLINE void dense_matrices(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                              int32_t panel_count, const ek_precision precision) {
    float tail[EK_GROUP_ROWS * EK_PANEL] __attribute__((aligned(64)));
    int32_t shaped = 0;
    for (int32_t panel = first_panel; panel < first_panel + panel_count; panel++) {
        for (int32_t row = 0; row < row_count; row += EK_GROUP_ROWS) {
            const int32_t count = row_count - row < EK_GROUP_ROWS ? row_count - row : EK_GROUP_ROWS;
            shaped = dense_group(layer, rows, row, count, panel, tail, shaped, precision);
        }
    }
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
    shape_block(2 * EK_MATRIX);
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
