#include "engine/cpu/onednn.h"

#include "engine/core/word_hash.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/peak.h"

namespace engine::cpu {

dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& onednn_stream() {
  static thread_local dnnl::stream stream(onednn_engine());
  return stream;
}

dnnl::memory::dims dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

dnnl::memory::data_type onednn_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return dnnl::memory::data_type::f32;
    case DType::bf16: return dnnl::memory::data_type::bf16;
    case DType::f16: return dnnl::memory::data_type::f16;
    default: fail("oneDNN", "no type for {}", name(dtype));
  }
}

bool computes_in(DType dtype) {
  if (dtype != DType::bf16) return dtype == DType::f32;
  static const bool pays = [] {
    // Later instruction sets have the bits of those they include.
    const auto includes = [has = static_cast<unsigned>(dnnl::get_effective_cpu_isa())](dnnl::cpu_isa isa) {
      const auto wanted = static_cast<unsigned>(isa);
      return (has & wanted) == wanted;
    };
    return includes(dnnl::cpu_isa::avx512_core_amx) ||
           (includes(dnnl::cpu_isa::avx512_core_bf16) && has_bf16_pairs() && bf16_gain() > 1);
  }();
  return pays;
}

dnnl::memory::desc describe(const Shape& shape, const Strides& strides, DType dtype) {
  return {dims_of(shape), onednn_type(dtype), dims_of(strides)};
}

dnnl::memory wrap(const dnnl::memory::desc& desc, const Tensor& x) { return {desc, onednn_engine(), x.raw()}; }

OpaqueMemory make_opaque(const dnnl::memory::desc& desc) {
  Tensor bytes = Tensor::empty({static_cast<int64_t>(desc.get_size())}, {.dtype = DType::u8});
  return {bytes, wrap(desc, bytes)};
}

std::size_t PrimitiveKeyHash::operator()(const PrimitiveKey& key) const {
  WordHash hash;
  for (const int64_t word : key) hash.mix(word);
  return hash.value();
}

void append(PrimitiveKey& key, const Shape& shape) {
  key.push_back(shape.rank());
  key.insert(key.end(), shape.begin(), shape.end());
}

}  // namespace engine::cpu
