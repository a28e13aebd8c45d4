// Layout and dtype helpers for kernels that want their operands dense. An undefined tensor passes through; the profiler
// names every copy that is made.
#pragma once
#include "engine/core/tensor.h"

namespace engine::cpu {

void copy(const Tensor& x, const Tensor& y);         // y = x, converting dtype and layout
Tensor dense(const Tensor& x, MemoryFormat format);  // x itself where it lies so already
Tensor dense(const Tensor& x);                       // in whichever format x is nearest to
Tensor strided(const Tensor& x);                     // x itself where it has strides, row-major otherwise
Tensor as_type(const Tensor& x, DType dtype);        // x itself where it has that type

}  // namespace engine::cpu
