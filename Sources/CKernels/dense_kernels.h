// Dense layers: the register tile over packed panels, then what the next step reads.

// What the columns of one vector are finished with.
typedef struct column_terms {
    vf bias, scales, sums;
} column_terms;

EK_INLINE column_terms load_terms(const ek_dense *layer, int64_t column, const ek_precision precision) {
    column_terms terms = {.bias = load(layer->bias + column)};
    if (precision == ek_i8) {
        terms.scales = load(layer->scales + column);
        terms.sums = load(layer->sums + column);
    }
    return terms;
}

// One vector of a product: integers to float where they are integers, and the bias.
EK_INLINE vf biased_v(vf sum, const column_terms *terms, ek_range range, const ek_precision precision) {
    if (precision != ek_i8) return sum + terms->bias;
    const vf product = __builtin_convertvector((vi)sum, vf) * terms->scales;
    const float low = EK_BYTE_OFFSET ? range.low + EK_BYTE_OFFSET * range.scale : range.low;
    return fma_v(range.scale, product, fma_v(low, terms->sums, terms->bias));
}

// tile: (row_count, EK_PANEL), the products of one panel; tail, unless null, further ones, in float.
EK_INLINE void finish_rows(const ek_dense *layer, const ek_dense_rows *rows, const float *tile, const float *tail,
                           int32_t first_row, int32_t row_count, int32_t panel, const ek_precision precision,
                           const ek_epilogue epilogue, const ek_activation activation) {
    const int is_narrow = epilogue == ek_store_bf16 || epilogue == ek_activate_bf16;
    const int does_activate = epilogue == ek_activate_f32 || epilogue == ek_activate_bf16;
    const int64_t first_column = (int64_t)panel * EK_PANEL;
    column_terms terms[EK_TILE_VECTORS];
    EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) {
        terms[j] = load_terms(layer, first_column + j * EK_LANES, precision);
    }
    for (int32_t i = 0; i < row_count; i++) {
        const int64_t row = first_row + i;
        char *out = (char *)rows->out + row * rows->out_stride;
        const char *residual = epilogue == ek_add_f32 ? (const char *)rows->residual + row * rows->out_stride : 0;
        const ek_range range = precision == ek_i8 ? rows->ranges[row] : (ek_range){0, 0};
        EK_UNROLL for (int j = 0; j < EK_TILE_VECTORS; j++) {
            const int64_t column = first_column + j * EK_LANES;
            vf value = biased_v(load(tile + i * EK_PANEL + j * EK_LANES), &terms[j], range, precision);
            if (precision == ek_i8 && tail) value += load(tail + i * EK_PANEL + j * EK_LANES);
            if (does_activate) value = activate_v(value, activation, is_narrow);
            if (epilogue == ek_add_f32) value += load((const float *)residual + column);
            if (is_narrow) store_bf16((uint16_t *)out + column, narrow(value));
            else store((float *)out + column, value);
        }
    }
}

#define EK_FINISH(epilogue, activation) \
    finish_rows(layer, rows, tile, tail, first_row, row_count, panel, precision, epilogue, activation)

EK_INLINE void finish_tile(const ek_dense *layer, const ek_dense_rows *rows, const float *tile, const float *tail,
                           int32_t first_row, int32_t row_count, int32_t panel, const ek_precision precision) {
    switch (rows->epilogue) {
    case ek_store_f32: EK_FINISH(ek_store_f32, ek_relu); break;
    case ek_add_f32: EK_FINISH(ek_add_f32, ek_relu); break;
    case ek_store_bf16: EK_FINISH(ek_store_bf16, ek_relu); break;
    case ek_activate_f32:
        switch (rows->activation) {
        case ek_gelu_erf: EK_FINISH(ek_activate_f32, ek_gelu_erf); break;
        case ek_gelu_tanh: EK_FINISH(ek_activate_f32, ek_gelu_tanh); break;
        case ek_silu: EK_FINISH(ek_activate_f32, ek_silu); break;
        case ek_relu: EK_FINISH(ek_activate_f32, ek_relu); break;
        }
        break;
    case ek_activate_bf16:
        switch (rows->activation) {
        case ek_gelu_erf: EK_FINISH(ek_activate_bf16, ek_gelu_erf); break;
        case ek_gelu_tanh: EK_FINISH(ek_activate_bf16, ek_gelu_tanh); break;
        case ek_silu: EK_FINISH(ek_activate_bf16, ek_silu); break;
        case ek_relu: EK_FINISH(ek_activate_bf16, ek_relu); break;
        }
        break;
    }
}

// A panel stays in the caches nearest to the core while all rows pass by it, so weights are streamed once a call.
EK_INLINE void dense_panels(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                            int32_t panel_count, multiply_function *multiply, const ek_precision precision) {
    float tile[EK_TILE_ROWS * EK_PANEL] __attribute__((aligned(64)));
    float tail[EK_TILE_ROWS * EK_PANEL] __attribute__((aligned(64)));
    const int has_tail = precision == ek_i8 && layer->tail_step_count > 0;
    const int32_t tiles = tile_count(row_count);
    for (int32_t panel = first_panel; panel < first_panel + panel_count; panel++) {
        const char *weights =
            (const char *)layer->panels + (int64_t)panel * layer->step_count * (EK_PANEL * 4);
        for (int32_t t = 0; t < tiles; t++) {
            const int32_t row = tile_start(t, row_count), count = tile_start(t + 1, row_count) - row;
            multiply(tile, EK_PANEL, (const char *)rows->in + row * rows->in_stride, rows->in_stride, weights,
                     layer->step_count, count);
            if (has_tail) {
                multiply_bf16(tail, EK_PANEL, (const char *)rows->tail + row * rows->tail_stride, rows->tail_stride,
                              (const char *)layer->tail_panels +
                                  (int64_t)panel * layer->tail_step_count * (EK_PANEL * 4),
                              layer->tail_step_count, count);
            }
            finish_tile(layer, rows, tile, has_tail ? tail : 0, row, count, panel, precision);
        }
    }
}

EK_TARGET static void dense(const ek_dense *layer, const ek_dense_rows *rows, int32_t row_count, int32_t first_panel,
                            int32_t panel_count) {
    switch (layer->precision) {
    case ek_f32: dense_panels(layer, rows, row_count, first_panel, panel_count, multiply_f32, ek_f32); break;
    case ek_bf16: dense_panels(layer, rows, row_count, first_panel, panel_count, multiply_bf16, ek_bf16); break;
    case ek_i8: dense_panels(layer, rows, row_count, first_panel, panel_count, multiply_i8, ek_i8); break;
    }
}
