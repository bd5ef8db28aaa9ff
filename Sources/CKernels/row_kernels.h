// Kernels that walk rows: activations, layer norm, softmax, quantization.

EK_INLINE vf activate_v(vf x, const ek_activation activation, const int is_short) {
    switch (activation) {
    case ek_gelu_erf: return is_short ? gelu_erf_short_v(x) : gelu_erf_v(x);
    case ek_gelu_tanh: return gelu_tanh_v(x);
    case ek_silu: return silu_v(x);
    case ek_relu: return relu_v(x);
    }
}

EK_INLINE void activate_all(float *values, int64_t count, const ek_activation activation) {
    int64_t i = 0;
    for (; i + EK_LANES <= count; i += EK_LANES) store(values + i, activate_v(load(values + i), activation, 0));
    if (i < count) store_part(values + i, activate_v(load_part(values + i, count - i), activation, 0), count - i);
}

EK_TARGET static void activate(float *values, int64_t count, ek_activation activation) {
    switch (activation) {
    case ek_gelu_erf: activate_all(values, count, ek_gelu_erf); break;
    case ek_gelu_tanh: activate_all(values, count, ek_gelu_tanh); break;
    case ek_silu: activate_all(values, count, ek_silu); break;
    case ek_relu: activate_all(values, count, ek_relu); break;
    }
}

// The range that covers low...high with 256 steps. What is not finite makes the scale NaN, and so the whole row.
EK_INLINE ek_range range_of(vf lows, vf highs, vf poison) {
    const float low = -max_lanes(-lows), high = max_lanes(highs), nan = sum_lanes(poison);
    const float scale = (high - low) * (1.0f / 255.0f);
    return (ek_range){(scale > 1e-12f ? scale : 1e-12f) + nan, low};
}

// Not finite in a lane: NaN there, else zero.
EK_INLINE vf poison_v(vf value) { return value * 0.0f; }

EK_INLINE vb quantize_v(vf value, float inverse, float low) {
    vf q = __builtin_elementwise_roundeven((value - low) * inverse);
    q = select_less(0.0f, q, q, 0.0f);
    q = select_less(q, 255.0f, q, 255.0f);
    return __builtin_convertvector(__builtin_convertvector(q, vi), vb);
}

EK_INLINE void store_bytes(uint8_t *to, vb value) { __builtin_memcpy(to, &value, sizeof value); }

// Walks a row in whole vectors, then what is left; `i` and `count` are the place and the lanes.
#define EK_WALK(width)                                                                  \
    for (int32_t i = 0, count; i < (width) && (count = (width)-i < EK_LANES ? (width)-i : EK_LANES); i += EK_LANES)

EK_INLINE vf load_lanes(const float *from, int32_t count) {
    return count == EK_LANES ? load(from) : load_part(from, count);
}

// The first `count` lanes; in those behind them the first one's value.
EK_INLINE vf first_lanes(vf value, int32_t count) {
    if (count == EK_LANES) return value;
    vf lanes = value[0];
    memcpy(&lanes, &value, (size_t)count * sizeof(float));
    return lanes;
}

EK_INLINE void store_lanes(float *to, vf value, int32_t count) {
    if (count == EK_LANES) store(to, value);
    else store_part(to, value, count);
}

EK_INLINE vh load_bf16_lanes(const uint16_t *from, int32_t count) {
    return count == EK_LANES ? load_bf16(from) : load_bf16_part(from, count);
}

EK_INLINE void store_bf16_lanes(uint16_t *to, vh value, int32_t count) {
    if (count == EK_LANES) store_bf16(to, value);
    else store_bf16_part(to, value, count);
}

EK_INLINE void store_byte_lanes(uint8_t *to, vb value, int32_t count) {
    if (count == EK_LANES) store_bytes(to, value);
    else memcpy(to, &value, (size_t)count);
}

// Mean and 1 / sqrt(variance + epsilon).
EK_INLINE void moments_of(const float *row, int32_t width, float epsilon, float *mean, float *inverse) {
    vf sums = 0, squares = 0;
    EK_WALK(width) sums += load_lanes(row + i, count);
    *mean = sum_lanes(sums) / (float)width;
    EK_WALK(width) {
        const vf centred = load_lanes(row + i, count) - *mean;
        if (count == EK_LANES) {
            squares = fma_v(centred, centred, squares);
        } else {
            vf part = 0;
            memcpy(&part, &centred, (size_t)count * sizeof(float));
            squares = fma_v(part, part, squares);
        }
    }
    *inverse = 1.0f / sqrtf(sum_lanes(squares) / (float)width + epsilon);
}

// The quantized copy of a row that is not normalised yet.
EK_INLINE void quantize_normal(const float *row, const ek_norm *norm, float mean, float inverse, uint8_t *bytes,
                               uint16_t *tail, ek_range *range) {
    const float *gamma = norm->quantized_gamma, *beta = norm->quantized_beta;
    vf low = INFINITY, high = -INFINITY, poison = 0;
    EK_WALK(norm->width) {
        const vf normal = (load_lanes(row + i, count) - mean) * inverse;
        const vf value = first_lanes(fma_v(normal, load_lanes(gamma + i, count), load_lanes(beta + i, count)), count);
        low = select_less(value, low, value, low);
        high = select_less(high, value, value, high);
        poison += poison_v(value);
    }
    *range = range_of(low, high, poison);
    const float step = 1.0f / range->scale;
    EK_WALK(norm->width) {
        const vf value = fma_v((load_lanes(row + i, count) - mean) * inverse, load_lanes(gamma + i, count),
                               load_lanes(beta + i, count));
        store_byte_lanes(bytes + i, quantize_v(value, step, range->low), count);
    }
    for (int32_t t = 0; t < norm->tail_count; t++) {
        const int32_t column = norm->tail_columns[t];
        const vf value = (row[column] - mean) * inverse * norm->gamma[column] + norm->tail_beta[t];
        store_bf16_part(tail + t, narrow(value), 1);
    }
}

EK_TARGET static void layer_norm(float *rows, int64_t stride, const ek_norm *norm, const ek_copy *copy,
                                 int32_t row_count) {
    const int32_t width = norm->width;
    for (int32_t r = 0; r < row_count; r++) {
        float *row = (float *)((char *)rows + r * stride), mean, inverse;
        moments_of(row, width, norm->epsilon, &mean, &inverse);
        char *to = copy ? (char *)copy->rows + r * copy->stride : 0;
        if (copy && copy->precision == ek_i8) {
            uint16_t *tail = copy->tail ? (uint16_t *)((char *)copy->tail + r * copy->tail_stride) : 0;
            quantize_normal(row, norm, mean, inverse, (uint8_t *)to, tail, copy->ranges + r);
        }
        const int is_narrow = copy && copy->precision == ek_bf16;
        EK_WALK(width) {
            const vf value = fma_v((load_lanes(row + i, count) - mean) * inverse, load_lanes(norm->gamma + i, count),
                                   load_lanes(norm->beta + i, count));
            store_lanes(row + i, value, count);
            if (is_narrow) store_bf16_lanes((uint16_t *)to + i, narrow(value), count);
        }
    }
}

EK_TARGET static void quantize_bf16(uint8_t *out, int64_t out_stride, ek_range *ranges, const uint16_t *in,
                                    int64_t in_stride, int32_t row_count, int32_t width) {
    for (int32_t r = 0; r < row_count; r++) {
        const uint16_t *row = (const uint16_t *)((const char *)in + r * in_stride);
        uint8_t *bytes = out + r * out_stride;
        vf low = INFINITY, high = -INFINITY, poison = 0;
        EK_WALK(width) {
            const vf value = first_lanes(widen(load_bf16_lanes(row + i, count)), count);
            low = select_less(value, low, value, low);
            high = select_less(high, value, value, high);
            poison += poison_v(value);
        }
        ranges[r] = range_of(low, high, poison);
        const float step = 1.0f / ranges[r].scale;
        EK_WALK(width) {
            store_byte_lanes(bytes + i, quantize_v(widen(load_bf16_lanes(row + i, count)), step, ranges[r].low), count);
        }
    }
}

// Makes the columns behind the last -infinity, and answers the greatest value.
EK_INLINE float prepare_softmax(float *row, int32_t count, int32_t end) {
    static const int32_t places[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if (count < end) {
        // A whole vector: single values would have to reach memory before the loads behind could be served.
        vi place;
        __builtin_memcpy(&place, places, sizeof place);
        float *last = row + end - EK_LANES;
        const vi is_inside = place < count - (end - EK_LANES);
        store(last, (vf)((is_inside & (vi)load(last)) | (~is_inside & (vi)(vf)-INFINITY)));
    }
    vf maxima = load(row);
    for (int32_t i = EK_LANES; i < end; i += EK_LANES) {
        const vf value = load(row + i);
        maxima = select_less(maxima, value, value, maxima);
    }
    return max_lanes(maxima);
}

EK_INLINE void softmax_row(float *row, float *sum, int32_t count, int32_t end) {
    const float maximum = prepare_softmax(row, count, end);
    vf total = 0;
    for (int32_t i = 0; i < end; i += EK_LANES) {
        // What lies below adds nothing beside the 1 of the maximum; NaN stays.
        vf x = load(row + i) - maximum;
        x = select_less(x, -126.0f, -126.0f, x);
        const vf value = exp2_v(x);
        store(row + i, value);
        total += value;
    }
    *sum = sum_lanes(total);
}

// The same to bfloat16; what is summed is what is stored.
EK_INLINE void softmax_row_bf16(uint16_t *out, float *row, float *sum, int32_t count, int32_t end) {
    const float maximum = prepare_softmax(row, count, end);
    vf total = 0;
    for (int32_t i = 0; i < end; i += EK_LANES) {
        vf x = load(row + i) - maximum;
        x = select_less(x, -126.0f, -126.0f, x);
        const vh value = narrow(exp2_short_v(x));
        store_bf16(out + i, value);
        total += widen(value);
    }
    *sum = sum_lanes(total);
}

EK_TARGET static void softmax(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride) {
    const int32_t end = (count + EK_LANES - 1) / EK_LANES * EK_LANES;
    for (int32_t r = 0; r < row_count; r++) softmax_row(scores + (int64_t)r * stride, sums + r, count, end);
}
