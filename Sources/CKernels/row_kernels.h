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

// The range that covers low...high and zero with 256 whole steps. Zero is a step, so it is exact.
EK_INLINE ek_range range_of(float low, float high) {
    low = low < 0.0f ? low : 0.0f;
    high = high > 0.0f ? high : 0.0f;
    const float span = high - low;
    if (!(span > 0.0f)) return (ek_range){span == 0.0f ? 1.0f : span, 0.0f};
    const float scale = span / 255.0f;
    return (ek_range){scale, __builtin_rintf(-low / scale)};
}

EK_INLINE vb quantize_v(vf value, float inverse, float zero) {
    vf q = __builtin_elementwise_roundeven(fma_v(value, inverse, zero));
    q = select_less(q, 0.0f, 0.0f, q);
    q = select_less(q, 255.0f, q, 255.0f);  // NaN to 255: its row's scale is NaN as well
    return __builtin_convertvector(__builtin_convertvector(q, vi), vb);
}

EK_INLINE void store_bytes(uint8_t *to, vb value) { __builtin_memcpy(to, &value, sizeof value); }

// bytes: (width) = values, quantized; answers their range.
EK_INLINE ek_range quantize_row(uint8_t *bytes, const float *values, int32_t width) {
    const int32_t whole = width / EK_LANES * EK_LANES, rest = width - whole;
    vf low = 0, high = 0, sum = 0;
    for (int32_t i = 0; i < whole; i += EK_LANES) {
        const vf value = load(values + i);
        low = select_less(value, low, value, low);
        high = select_less(high, value, value, high);
        sum += value;
    }
    if (rest > 0) {
        const vf value = load_part(values + whole, rest);
        low = select_less(value, low, value, low);
        high = select_less(high, value, value, high);
        sum += value;
    }
    ek_range range = range_of(-max_lanes(-low), max_lanes(high));
    const float total = sum_lanes(sum);
    if (total != total) range.scale = total;
    const float inverse = 1.0f / range.scale;
    for (int32_t i = 0; i < whole; i += EK_LANES) {
        store_bytes(bytes + i, quantize_v(load(values + i), inverse, range.zero));
    }
    if (rest > 0) {
        const vb value = quantize_v(load_part(values + whole, rest), inverse, range.zero);
        memcpy(bytes + whole, &value, (size_t)rest);
    }
    return range;
}

// What one row of the norm is quantized from lies here: widths beyond it take their own turn in blocks.
EK_INLINE void norm_row(float *row, const ek_norm *norm, char *copy, ek_range *range, const ek_precision precision) {
    const int32_t width = norm->width, whole = width / EK_LANES * EK_LANES, rest = width - whole;
    const float *gamma = norm->gamma, *beta = norm->beta;
    vf sums = 0, squares = 0;
    for (int32_t i = 0; i < whole; i += EK_LANES) sums += load(row + i);
    if (rest > 0) sums += load_part(row + whole, rest);
    const float mean = sum_lanes(sums) / (float)width;
    for (int32_t i = 0; i < whole; i += EK_LANES) {
        const vf centred = load(row + i) - mean;
        squares = fma_v(centred, centred, squares);
    }
    if (rest > 0) {
        float centred[EK_LANES] = {0};
        for (int32_t i = 0; i < rest; i++) centred[i] = row[whole + i] - mean;
        squares = fma_v(load(centred), load(centred), squares);
    }
    const float inverse = 1.0f / sqrtf(sum_lanes(squares) / (float)width + norm->epsilon);
    vf low = 0, high = 0;
    if (precision == ek_i8) {
        for (int32_t i = 0; i < whole; i += EK_LANES) {
            const vf value = (load(row + i) - mean) * inverse * load(norm->quantized_gamma + i);
            low = select_less(value, low, value, low);
            high = select_less(high, value, value, high);
        }
        if (rest > 0) {
            const vf value =
                (load_part(row + whole, rest) - mean) * inverse * load_part(norm->quantized_gamma + whole, rest);
            low = select_less(value, low, value, low);
            high = select_less(high, value, value, high);
        }
        *range = range_of(-max_lanes(-low), max_lanes(high));
        if (inverse != inverse || mean != mean) range->scale = inverse + mean;
    }
    const float step = precision == ek_i8 ? 1.0f / range->scale : 0.0f;
    for (int32_t i = 0; i < whole; i += EK_LANES) {
        const vf normal = (load(row + i) - mean) * inverse;
        const vf value = fma_v(normal, load(gamma + i), load(beta + i));
        store(row + i, value);
        if (precision == ek_bf16) store_bf16((uint16_t *)copy + i, narrow(value));
        if (precision == ek_i8) {
            store_bytes((uint8_t *)copy + i, quantize_v(normal * load(norm->quantized_gamma + i), step, range->zero));
        }
    }
    if (rest > 0) {
        const vf normal = (load_part(row + whole, rest) - mean) * inverse;
        const vf value = fma_v(normal, load_part(gamma + whole, rest), load_part(beta + whole, rest));
        store_part(row + whole, value, rest);
        if (precision == ek_bf16) store_bf16_part((uint16_t *)copy + whole, narrow(value), rest);
        if (precision == ek_i8) {
            const vb bytes =
                quantize_v(normal * load_part(norm->quantized_gamma + whole, rest), step, range->zero);
            memcpy(copy + whole, &bytes, (size_t)rest);
        }
    }
}

EK_TARGET static void layer_norm(float *rows, int64_t stride, const ek_norm *norm, void *copy, int64_t copy_stride,
                                 ek_range *ranges, ek_precision precision, int32_t row_count) {
    for (int32_t r = 0; r < row_count; r++) {
        float *row = (float *)((char *)rows + r * stride);
        char *to = copy ? (char *)copy + r * copy_stride : 0;
        if (!copy || precision == ek_f32) norm_row(row, norm, to, 0, ek_f32);
        else if (precision == ek_bf16) norm_row(row, norm, to, 0, ek_bf16);
        else norm_row(row, norm, to, ranges + r, ek_i8);
    }
}

// A row of bfloat16 as floats, multiplied by its factors: whole vectors, then the rest.
EK_INLINE vf scaled_v(const uint16_t *in, const float *factors, int32_t i) {
    const vf value = widen(load_bf16(in + i));
    return factors ? value * load(factors + i) : value;
}

EK_INLINE vf scaled_part(const uint16_t *in, const float *factors, int32_t i, int32_t count) {
    const vf value = widen(load_bf16_part(in + i, count));
    return factors ? value * load_part(factors + i, count) : value;
}

EK_TARGET static void quantize_bf16(uint8_t *out, int64_t out_stride, ek_range *ranges, const uint16_t *in,
                                    int64_t in_stride, const float *factors, int32_t row_count, int32_t width) {
    const int32_t whole = width / EK_LANES * EK_LANES, rest = width - whole;
    for (int32_t r = 0; r < row_count; r++) {
        const uint16_t *row = (const uint16_t *)((const char *)in + r * in_stride);
        uint8_t *bytes = out + r * out_stride;
        vf low = 0, high = 0, nan = 0;
        for (int32_t i = 0; i < whole; i += EK_LANES) {
            const vf value = scaled_v(row, factors, i);
            low = select_less(value, low, value, low);
            high = select_less(high, value, value, high);
            nan += value * 0.0f;
        }
        if (rest > 0) {
            const vf value = scaled_part(row, factors, whole, rest);
            low = select_less(value, low, value, low);
            high = select_less(high, value, value, high);
            nan += value * 0.0f;
        }
        ek_range range = range_of(-max_lanes(-low), max_lanes(high));
        const float poison = sum_lanes(nan);
        if (poison != poison) range.scale = poison;
        ranges[r] = range;
        const float inverse = 1.0f / range.scale;
        for (int32_t i = 0; i < whole; i += EK_LANES) {
            store_bytes(bytes + i, quantize_v(scaled_v(row, factors, i), inverse, range.zero));
        }
        if (rest > 0) {
            const vb value = quantize_v(scaled_part(row, factors, whole, rest), inverse, range.zero);
            memcpy(bytes + whole, &value, (size_t)rest);
        }
    }
}

EK_INLINE void softmax_row(float *row, float *sum, int32_t count, int32_t end) {
    for (int32_t i = count; i < end; i++) row[i] = -INFINITY;
    vf maxima = load(row), total = 0;
    for (int32_t i = EK_LANES; i < end; i += EK_LANES) {
        const vf value = load(row + i);
        maxima = select_less(maxima, value, value, maxima);
    }
    const float maximum = max_lanes(maxima);
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

EK_TARGET static void softmax(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride) {
    const int32_t end = (count + EK_LANES - 1) / EK_LANES * EK_LANES;
    for (int32_t r = 0; r < row_count; r++) softmax_row(scores + (int64_t)r * stride, sums + r, count, end);
}
