// oneDNN in one place: its engine and stream, the description of our tensors in its terms, and the cache of primitives.
#pragma once
#include <oneapi/dnnl/dnnl.hpp>

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/core/tensor.h"

namespace engine::cpu {

dnnl::engine& onednn_engine();
dnnl::stream& onednn_stream();

// Whether oneDNN is to compute with this type: f32, and bf16 where the processor multiplies it. The other 16-bit cases
// go through f32 copies, which costs less than its emulation.
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

// Bounded cache, least recently used out first. Values are shared, so one in use survives its eviction. Each thread has
// caches of its own: oneDNN asks that a primitive is executed by the thread that made it.
template <class Value>
class PrimitiveCache {
 public:
  explicit PrimitiveCache(std::size_t capacity) : capacity_(capacity) {}

  template <class Make>
  std::shared_ptr<const Value> get(const PrimitiveKey& key, Make&& make) {
    if (auto found = index_.find(key); found != index_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->second;
    }
    auto value = std::make_shared<const Value>(make());
    entries_.emplace_front(key, value);
    index_[key] = entries_.begin();
    if (entries_.size() > capacity_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return value;
  }

 private:
  using Entry = std::pair<PrimitiveKey, std::shared_ptr<const Value>>;
  std::size_t capacity_;
  std::list<Entry> entries_;
  std::unordered_map<PrimitiveKey, typename std::list<Entry>::iterator, PrimitiveKeyHash> index_;
};

}  // namespace engine::cpu
