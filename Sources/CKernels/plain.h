// The plain kernels by name, for the two tables that hold them.
#include "CKernels.h"

void ek_plain_activate(float *values, int64_t count, ek_activation activation);
void ek_plain_layer_norm(float *rows, int64_t stride, const ek_norm *norm, const ek_copy *copy, int32_t row_count);
void ek_plain_quantize_bf16(uint8_t *out, int64_t out_stride, ek_range *ranges, const uint16_t *in, int64_t in_stride,
                            int32_t row_count, int32_t width);
void ek_plain_softmax(float *scores, float *sums, int32_t row_count, int32_t count, int32_t stride);
int64_t ek_plain_spin(ek_precision precision, int64_t step_count);
void ek_plain_attention(const ek_attention *sequence, void *scratch, int32_t first_head, int32_t head_count);

#define EK_PLAIN_TABLE(name, panel_width, row_multiple, dense)                                                  \
    {name,                   1 << ek_f32,      panel_width,       row_multiple, 0, ek_plain_activate, dense,          \
     ek_plain_layer_norm, ek_plain_quantize_bf16, ek_plain_softmax, ek_plain_spin, ek_plain_attention}
