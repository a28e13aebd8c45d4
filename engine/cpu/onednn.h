// oneDNN in one place: its engine and stream, the description of our tensors in its terms, and the cache of primitives.
#pragma once
#include <oneapi/dnnl/dnnl.hpp>

#include <vector>

#include "engine/core/lru_cache.h"
#include "engine/core/tensor.h"

namespace engine::cpu {

dnnl::engine& onednn_engine();
dnnl::stream& onednn_stream();

// Whether oneDNN is to compute with this type: f32, and bf16 where the processor multiplies it faster. The other 16-bit
// cases go through f32 copies, which costs less than its emulation, or than an instruction of half f32's rate.
bool computes_in(DType dtype);

// Runs f and turns an exception of oneDNN into ours, with the op's name and what oneDNN said.
template <class F>
auto onednn_call(const char* op, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    fail(op, "oneDNN: {} (status {})", error.what(), static_cast<int>(error.status));
  }
}

dnnl::memory::dims dims_of(const Shape& shape);
dnnl::memory::data_type onednn_type(DType dtype);  // f32, bf16, f16
dnnl::memory::desc describe(const Shape& shape, const Strides& strides, DType dtype = DType::f32);
inline dnnl::memory::desc describe(const Tensor& x) { return describe(x.shape(), x.strides(), x.dtype()); }
dnnl::memory wrap(const dnnl::memory::desc& desc, const Tensor& x);

// A tensor of bytes in a layout of oneDNN's own: reordered weights, workspaces.
struct OpaqueMemory {
  Tensor bytes;
  dnnl::memory memory;
};
OpaqueMemory make_opaque(const dnnl::memory::desc& desc);

// Everything a primitive's choice depends on, as numbers.
using PrimitiveKey = std::vector<int64_t>;
struct PrimitiveKeyHash {
  std::size_t operator()(const PrimitiveKey& key) const;
};
void append(PrimitiveKey& key, const Shape& shape);

// Each thread has caches of its own: oneDNN asks that a primitive is executed by the thread that made it.
template <class Value>
using PrimitiveCache = LruCache<PrimitiveKey, Value, PrimitiveKeyHash>;

}  // namespace engine::cpu
