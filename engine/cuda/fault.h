// How kernels report values that they can't work with: the first that is met is thrown by Context::synchronize().
#pragma once
#include "engine/cuda/device_code.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {

// Where the kernels of one op report: a parameter of theirs.
struct FaultReport {
  Fault* fault;
  uint64_t op;

  // False, and a report, unless 0 <= position < size.
  __device__ bool inside(int64_t position, int64_t size) const {
    if (position >= 0 && position < size) return true;
    if (claim(&fault->raised)) {
      fault->op = op;
      fault->value = position;
      fault->size = size;
    }
    return false;
  }
};

// `op` must be a string literal.
inline FaultReport fault_report(Context& c, const char* op) { return {c.fault(), reinterpret_cast<uint64_t>(op)}; }

}  // namespace engine::cuda
