// Tensor: a small handle over shared storage. Copying a Tensor shares it; views share storage with other shape and
// strides. The functions that compute with tensors are in engine/ops; this header only makes tensors and looks at them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "engine/core/memory_format.h"
#include "engine/core/shape.h"
#include "engine/core/storage.h"

namespace engine {

struct AutogradMeta;  // engine/autograd/node.h

struct TensorOptions {
  DType dtype = DType::f32;
  Device device = {};
  MemoryFormat format = MemoryFormat::contiguous;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: stands for "no tensor" (no bias, no gradient)

  // --- making tensors -------------------------------------------------------------------------------------------
  static Tensor empty(const Shape& shape, TensorOptions options = {});
  static Tensor zeros(const Shape& shape, TensorOptions options = {});
  static Tensor full(const Shape& shape, double value, TensorOptions options = {});
  static Tensor scalar(double value, DType dtype = DType::f32, Device device = {});
  static Tensor arange(int64_t n);  // (n,) i64: 0, 1, ..., n-1
  // Copies `values` (row-major) into a new tensor of T's dtype.
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape);

  // --- what it is -----------------------------------------------------------------------------------------------
  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl_->shape; }
  // Throws for a tensor in batch_lanes, so that code for strided tensors never misreads one.
  const Strides& strides() const {
    if (impl_->batch_lanes) [[unlikely]]
      no_strides();
    return impl_->strides;
  }
  int rank() const { return impl_->shape.rank(); }
  int64_t size(int axis) const { return impl_->shape.at(axis); }  // negative axes count from the end
  int64_t numel() const { return impl_->shape.numel(); }
  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->storage->device(); }
  TensorOptions options() const { return {dtype(), device(), format()}; }
  // True when the elements lie densely in row-major order.
  bool is_contiguous() const { return is_dense(MemoryFormat::contiguous); }
  // True when the elements lie densely in `format` (strides of dimensions of size 1 don't count).
  bool is_dense(MemoryFormat format) const;
  // batch_lanes for such a tensor; channels_last where the elements lie so and not row-major too; contiguous otherwise.
  MemoryFormat format() const;

  // --- its elements ---------------------------------------------------------------------------------------------
  // Pointer to the first element in memory; throws when T is not the dtype or the memory is not the host's.
  template <class T>
  T* data() const {
    if (dtype_of<T> != impl_->dtype) wrong_type(dtype_of<T>);
    if (device().type != DeviceType::cpu) not_on_host();
    return reinterpret_cast<T*>(raw());
  }
  // The same on any device, of any type.
  std::byte* raw() const { return impl_->storage->data() + impl_->offset * size_of(impl_->dtype); }
  const Storage& storage() const { return *impl_->storage; }
  double item() const;  // the value of a tensor with one element
  template <class T>
  std::vector<T> to() const;  // all elements in row-major order, converted to T
  bool shares_storage(const Tensor& other) const { return impl_->storage == other.impl_->storage; }
  // True when no other tensor, view or graph node holds this tensor's memory.
  bool is_unshared() const { return impl_.use_count() == 1 && impl_->storage.use_count() == 1; }

  // A view of the same storage, `offset` elements after this tensor's start; not recorded by autograd. Throws for
  // batch_lanes.
  Tensor as_strided(const Shape& shape, const Strides& strides, int64_t offset = 0) const;
  // The same elements without history.
  Tensor detach() const;
  // The same elements on another device, strides included; this tensor where it lives there already. Not recorded by
  // autograd (engine/ops/shape_ops.h has an op that is). Throws for batch_lanes, which is the CPU's alone.
  Tensor to(Device device) const;
  // Makes this tensor, every copy of its handle included, stand for `other`'s memory: how a module moves between
  // devices. Same shape and dtype.
  void set_data(const Tensor& other) const;
  // A batch_lanes tensor's memory as what it is, a contiguous (ceil(N/16), C, H, W, 16); not recorded by autograd. Who
  // writes through it keeps the lanes of images that don't exist zero.
  Tensor groups() const;
  // The images of a batch_lanes tensor's groups [begin, end), from 16 begin on: a view in batch_lanes; not recorded by
  // autograd.
  Tensor group_range(int64_t begin, int64_t end) const;

  // --- gradients (defined in engine/autograd) ---------------------------------------------------------------------
  bool requires_grad() const;
  Tensor& set_requires_grad(bool on = true);  // on leaves only
  Tensor grad() const;                        // undefined until a backward reached this leaf
  void set_grad(const Tensor& grad) const;    // an undefined one clears it
  void backward() const;                      // of a tensor with one element, with gradient 1
  void backward(const Tensor& gradient) const;
  const std::shared_ptr<AutogradMeta>& autograd() const { return impl_->autograd; }
  void set_autograd(std::shared_ptr<AutogradMeta> meta) const { impl_->autograd = std::move(meta); }

  std::string str() const;  // "f32 (8, 3, 32, 32) channels_last on cpu"

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    int64_t offset = 0;  // elements
    Shape shape;
    Strides strides;
    DType dtype = DType::f32;
    bool batch_lanes = false;  // then `strides` is empty
    std::shared_ptr<AutogradMeta> autograd;
  };
  [[noreturn]] void wrong_type(DType asked) const;
  [[noreturn]] void not_on_host() const;
  [[noreturn]] void no_strides() const;

  std::shared_ptr<Impl> impl_;
};

// "convert strided -> channels_last", "convert f32 -> bf16": what the profiler calls a copy of x to this type or
// layout.
std::string conversion_name(const Tensor& x, DType dtype, MemoryFormat format);

// Uninitialised tensor of x's dtype, device and layout (dense row-major where x is not dense).
Tensor empty_like(const Tensor& x);
// As above with another dtype.
Tensor empty_like(const Tensor& x, DType dtype);

}  // namespace engine
