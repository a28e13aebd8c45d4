#include "engine/core/tensor.h"

#include <algorithm>
#include <cstring>

#include "engine/core/device_memory.h"

namespace engine {
namespace {

// Calls f(element offset) for every element in row-major order: for construction, inspection and tests, not for speed.
template <class F>
void for_each_offset(const Shape& shape, const Strides& strides, F&& f) {
  Shape index = Shape::filled(shape.rank(), 0);
  const int64_t n = shape.numel();
  int64_t offset = 0;
  for (int64_t i = 0; i < n; ++i) {
    f(offset);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

// The same for a tensor of shape (N, C, H, W) in batch_lanes.
template <class F>
void for_each_lane_offset(const Shape& shape, F&& f) {
  const int64_t image = shape[1] * shape[2] * shape[3];
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t i = 0; i < image; ++i) f((n / images_per_group * image + i) * images_per_group + n % images_per_group);
}

bool same_layout(const Shape& shape, const Strides& a, const Strides& b) {
  for (int i = 0; i < shape.rank(); ++i)
    if (shape[i] != 1 && a[i] != b[i]) return false;
  return true;
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, TensorOptions options) {
  for (int64_t d : shape) check(d >= 0, "empty", "negative dimension in shape {}", shape);
  Tensor t;
  t.impl_ = std::make_shared<Impl>();
  t.impl_->batch_lanes = options.format == MemoryFormat::batch_lanes;
  t.impl_->storage = std::make_shared<Storage>(
      static_cast<std::size_t>(stored_elements(shape, options.format)) * size_of(options.dtype), options.device);
  t.impl_->shape = shape;
  if (!t.impl_->batch_lanes) t.impl_->strides = strides_of(shape, options.format);
  t.impl_->dtype = options.dtype;
  return t;
}

Tensor Tensor::zeros(const Shape& shape, TensorOptions options) {
  Tensor t = empty(shape, options);
  const std::size_t bytes = t.storage().bytes();
  if (!bytes) return t;
  const std::byte zero{0};
  if (options.device.type == DeviceType::cpu)
    std::memset(t.raw(), 0, bytes);
  else
    memory_of(options.device).fill(t.raw(), &zero, 1, bytes, options.device.index);
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, TensorOptions options) {
  if (options.device.type != DeviceType::cpu) {
    Tensor t = empty(shape, options);
    const Tensor element = full({}, value, {.dtype = options.dtype});
    memory_of(options.device).fill(t.raw(), element.raw(), size_of(options.dtype), t.numel(), options.device.index);
    return t;
  }
  const bool lanes = options.format == MemoryFormat::batch_lanes;
  Tensor t = lanes ? zeros(shape, options) : empty(shape, options);
  dispatch_all(options.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T element = static_cast<T>(static_cast<Compute<T>>(value));
    T* data = t.data<T>();
    if (lanes)
      for_each_lane_offset(shape, [&](int64_t offset) { data[offset] = element; });
    else
      std::fill_n(data, t.numel(), element);
  });
  return t;
}

Tensor Tensor::scalar(double value, DType dtype, Device device) {
  return full({}, value, {.dtype = dtype, .device = device});
}

Tensor Tensor::arange(int64_t n) {
  Tensor t = empty({n}, {.dtype = DType::i64});
  for (int64_t i = 0; i < n; ++i) t.data<int64_t>()[i] = i;
  return t;
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "from", "{} values don't fill shape {}", values.size(),
        shape);
  Tensor t = empty(shape, {.dtype = dtype_of<T>});
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

bool Tensor::is_dense(MemoryFormat format) const {
  if (impl_->batch_lanes || format == MemoryFormat::batch_lanes)
    return impl_->batch_lanes && format == MemoryFormat::batch_lanes;
  if (format == MemoryFormat::channels_last && rank() != 4) return false;
  return numel() == 0 || same_layout(shape(), strides(), strides_of(shape(), format));
}

MemoryFormat Tensor::format() const {
  if (impl_->batch_lanes) return MemoryFormat::batch_lanes;
  return !is_contiguous() && is_dense(MemoryFormat::channels_last) ? MemoryFormat::channels_last
                                                                   : MemoryFormat::contiguous;
}

double Tensor::item() const {
  check(defined() && numel() == 1, "item", "needs exactly one element, shape is {}", defined() ? shape() : Shape{0});
  if (device().type != DeviceType::cpu) return to(Device{}).item();
  return dispatch_all(dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    return static_cast<double>(static_cast<Compute<T>>(*data<T>()));
  });
}

template <class T>
std::vector<T> Tensor::to() const {
  if (device().type != DeviceType::cpu) return to(Device{}).to<T>();
  std::vector<T> out;
  out.reserve(numel());
  dispatch_all(dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    const S* source = data<S>();
    auto take = [&](int64_t offset) { out.push_back(static_cast<T>(static_cast<Compute<S>>(source[offset]))); };
    if (impl_->batch_lanes)
      for_each_lane_offset(shape(), take);
    else
      for_each_offset(shape(), strides(), take);
  });
  return out;
}

Tensor Tensor::as_strided(const Shape& shape, const Strides& strides, int64_t offset) const {
  if (impl_->batch_lanes) no_strides();
  Tensor view;
  view.impl_ = std::make_shared<Impl>();
  view.impl_->storage = impl_->storage;
  view.impl_->offset = impl_->offset + offset;
  view.impl_->shape = shape;
  view.impl_->strides = strides;
  view.impl_->dtype = impl_->dtype;
  return view;
}

Tensor Tensor::detach() const {
  Tensor same;
  same.impl_ = std::make_shared<Impl>(*impl_);
  same.impl_->autograd = nullptr;
  return same;
}

// The elements between the first and the last in memory are copied as they lie.
Tensor Tensor::to(Device device) const {
  if (this->device() == device) return *this;
  check(!impl_->batch_lanes, "to", "{} can't leave the CPU: contiguous() first", str());
  int64_t span = numel() > 0 ? 1 : 0;
  for (int axis = 0; numel() > 0 && axis < rank(); ++axis) span += (shape()[axis] - 1) * strides()[axis];
  const std::size_t bytes = static_cast<std::size_t>(span) * size_of(dtype());
  Tensor copy = empty({span}, {.dtype = dtype(), .device = device}).as_strided(shape(), strides());
  if (!bytes) return copy;
  if (device.type == DeviceType::cpu) {
    memory_of(this->device()).copy_to_host(copy.raw(), raw(), bytes, this->device().index);
  } else {
    const Tensor host = to(Device{});  // from one device to another through the host
    memory_of(device).copy_from_host(copy.raw(), host.raw(), bytes, device.index);
  }
  return copy;
}

void Tensor::set_data(const Tensor& other) const {
  check(other.shape() == shape() && other.dtype() == dtype(), "set_data", "{} can't take the place of {}", other.str(),
        str());
  std::shared_ptr<AutogradMeta> autograd = impl_->autograd;
  *impl_ = *other.impl_;
  impl_->autograd = std::move(autograd);
}

Tensor Tensor::groups() const {
  check(impl_->batch_lanes, "groups", "only a batch_lanes tensor lies in groups, this is {}", str());
  Tensor memory = detach();
  memory.impl_->batch_lanes = false;
  memory.impl_->shape = groups_of(shape());
  memory.impl_->strides = contiguous_strides(memory.shape());
  return memory;
}

Tensor Tensor::group_range(int64_t begin, int64_t end) const {
  check(impl_->batch_lanes, "group_range", "only a batch_lanes tensor lies in groups, this is {}", str());
  const Shape memory = groups_of(shape());
  check(0 <= begin && begin < end && end <= memory[0], "group_range", "no groups {} to {} in {}", begin, end,
        memory[0]);
  Tensor images = detach();
  images.impl_->offset += begin * (memory.numel() / memory[0]);
  images.impl_->shape[0] = std::min(end * images_per_group, size(0)) - begin * images_per_group;
  return images;
}

std::string Tensor::str() const {
  if (!defined()) return "undefined";
  return fmt::format("{} {} {} on {}", name(dtype()), shape(), name(format()), name(device()));
}

void Tensor::wrong_type(DType asked) const {
  fail("tensor", "holds {}, asked for {} elements: cast first", name(dtype()), name(asked));
}

void Tensor::not_on_host() const {
  fail("tensor", "{} is not in the host's memory: to(Device{{}}) gives a tensor that is", str());
}

void Tensor::no_strides() const { fail("tensor", "{} has no strides: contiguous() gives a tensor that has", str()); }

std::string conversion_name(const Tensor& x, DType dtype, MemoryFormat format) {
  if (x.dtype() != dtype) return fmt::format("convert {} -> {}", name(x.dtype()), name(dtype));
  const std::string_view from = x.is_dense(x.format()) ? name(x.format()) : "strided";
  return fmt::format("convert {} -> {}", from, name(format));
}

Tensor empty_like(const Tensor& x) { return empty_like(x, x.dtype()); }

Tensor empty_like(const Tensor& x, DType dtype) {
  TensorOptions options = x.options();
  options.dtype = dtype;
  return Tensor::empty(x.shape(), options);
}

#define INSTANTIATE(T)                                                  \
  template Tensor Tensor::from<T>(const std::vector<T>&, const Shape&); \
  template std::vector<T> Tensor::to<T>() const;
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(uint8_t)
INSTANTIATE(bool)
#undef INSTANTIATE

}  // namespace engine
