// The CPU back end's kernel table: each family fills its part in the file of its name.
#pragma once
#include "engine/kernels/select.h"

namespace engine::cpu {

void fill(ElementwiseKernels& table);
void fill(ReduceKernels& table);
void fill(IndexKernels& table);
void fill(ConvKernels& table);
void fill(MatmulKernels& table);
void fill(NormKernels& table);
void fill(PoolKernels& table);
void fill(LossKernels& table);
void fill(OptimKernels& table);
void fill(ImageKernels& table);
void fill(PeakKernels& table);

KernelTable kernel_table();

}  // namespace engine::cpu
