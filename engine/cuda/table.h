// The CUDA back end's kernel table: each file fills its part.
#pragma once
#include "engine/kernels/select.h"

namespace engine::cuda {

void fill_unary(ElementwiseKernels& table);
void fill_binary(ElementwiseKernels& table);
void fill_copy(ElementwiseKernels& table);
void fill(ReduceKernels& table);
void fill_sort(ReduceKernels& table);
void fill_softmax(ReduceKernels& table);
void fill(IndexKernels& table);
void fill_partition(IndexKernels& table);
void fill(ConvKernels& table);
void fill(MatmulKernels& table);
void fill(NormKernels& table);
void fill(PoolKernels& table);
void fill(LossKernels& table);
void fill(OptimKernels& table);
void fill(ImageKernels& table);
void fill(PeakKernels& table);

KernelTable kernel_table();

}  // namespace engine::cuda
