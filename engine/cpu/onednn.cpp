#include "engine/cpu/onednn.h"

namespace engine::cpu {

dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& onednn_stream() {
  static dnnl::stream stream(onednn_engine());
  return stream;
}

dnnl::memory::dims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

dnnl::memory::desc describe(const Shape& shape, const Strides& strides) {
  return {dims_of(shape), dnnl::memory::data_type::f32, dims_of(strides)};
}

dnnl::memory wrap(const dnnl::memory::desc& desc, const Tensor& x) { return {desc, onednn_engine(), x.raw()}; }

OpaqueMemory make_opaque(const dnnl::memory::desc& desc) {
  Tensor bytes = Tensor::empty({static_cast<int64_t>(desc.get_size())}, {.dtype = DType::u8});
  return {bytes, wrap(desc, bytes)};
}

std::size_t PrimitiveKeyHash::operator()(const PrimitiveKey& key) const {
  uint64_t hash = 0xcbf29ce484222325u;
  for (int64_t word : key) hash = (hash ^ static_cast<uint64_t>(word)) * 0x9E3779B97F4A7C15u + (hash >> 29);
  return hash;
}

void append(PrimitiveKey& key, const Shape& shape) {
  key.push_back(shape.rank());
  key.insert(key.end(), shape.begin(), shape.end());
}

}  // namespace engine::cpu
