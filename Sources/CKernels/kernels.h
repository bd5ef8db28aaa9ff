// All kernels that have a version for each instruction set. A file that includes this defines
//   EK_TARGET        the target attribute, the same on every function here
//   EK_LANES         floats in a register
//   EK_TILE_ROWS     rows of the largest register tile, at most 12
//   EK_TILE_VECTORS  registers that it is wide, an even number
//   EK_DOT_BF16, EK_DOT_I8, EK_NARROW   where the instructions are there
//   EK_HAS_MATRICES  where there are AMX's instructions, too
//   EK_PAIR_LIMIT    where EK_DOT_I8 sums two products in 16 bits: see pair_limit in CKernels.h
//   EK_BYTE_OFFSET   0 or 128: what is taken from every byte of a row for EK_DOT_I8, and added by the epilogue
// and makes its table with EK_TABLE.
#include "vector_math.h"

#include "row_kernels.h"

#include "tile_kernels.h"

#include "dense_kernels.h"

#ifdef EK_HAS_MATRICES
#include "matrix_kernels.h"
#endif

#include "attention_kernels.h"

#define EK_TABLE(name, precisions) \
    {name, precisions, EK_PANEL, 1, EK_PAIR_LIMIT, activate, dense, layer_norm, quantize_bf16, softmax, spin, attention}
