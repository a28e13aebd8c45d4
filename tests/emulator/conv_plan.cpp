// Convolutions of the emulated device: what cuDNN is asked for, the CPU back end computes when the stream comes to it.
#include "engine/cuda/conv_plan.h"

#include <cstring>

#include "engine/cuda/runtime.h"
#include "engine/cuda/versions.h"
#include "engine/kernels/select.h"
#include "tests/emulator/execution.h"
#include "tests/emulator/tf32.h"

namespace engine::cuda {

const Tensor ConvOperands::undefined;

namespace {

// An operand as cuDNN sees it: bytes.
struct Memory {
  std::byte* address;
  Shape shape;
  TensorOptions options;
};

// Throws where a tensor is not what the problem says: cuDNN would read something else.
Memory memory_of(const Tensor& x, const Shape& shape, const ConvProblem& p) {
  check(x.shape() == shape && x.dtype() == p.dtype && x.is_dense(p.format) &&
            reinterpret_cast<uintptr_t>(x.raw()) % 16 == 0,
        "conv2d", "{} is given for {} in {}", x.str(), shape, p.str());
  return {x.raw(), shape, {.dtype = p.dtype, .format = p.format}};
}

Tensor converted(const Tensor& x, DType dtype) {
  const Tensor y = Tensor::empty(x.shape(), {.dtype = dtype, .format = x.format()});
  kernels(x).elementwise.copy(x, y);
  return y;
}

// In the type that sums are made in.
Tensor read(const Memory& m) {
  const Tensor x = Tensor::empty(m.shape, m.options);
  std::memcpy(x.raw(), m.address, static_cast<std::size_t>(x.numel()) * size_of(x.dtype()));
  return converted(x, m.options.dtype == DType::f64 ? DType::f64 : DType::f32);
}

// The same as a factor of a product.
Tensor factor(const Memory& m, const ConvProblem& p) {
  const Tensor x = read(m);
  if (p.tf32 && p.dtype == DType::f32)
    for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = to_tf32(x.data<float>()[i]);
  return x;
}

void write(const Tensor& x, const Memory& m) {
  const Tensor y = Tensor::empty(m.shape, m.options);
  kernels(x).elementwise.copy(x, y);
  std::memcpy(m.address, y.raw(), static_cast<std::size_t>(y.numel()) * size_of(y.dtype()));
}

void add(const Tensor& other, const Tensor& z) {
  Strides strides = other.strides();
  for (int axis = 0; axis < 4; ++axis)
    if (other.size(axis) == 1) strides[axis] = 0;
  kernels(z).elementwise.binary(BinaryOp::add, z, other.as_strided(z.shape(), strides), z);
}

}  // namespace

bool run_conv(const char* op, const ConvProblem& p, const ConvOperands& operands) {
  if (p.fused() && p.dtype == DType::f64) return false;  // as cuDNN
  Context& c = context(operands.y.device().index);
  const Memory x = memory_of(operands.x, p.x, p), w = memory_of(operands.w, p.w, p), y = memory_of(operands.y, p.y, p);
  const Memory bias = p.bias ? memory_of(operands.bias, {1, p.y[1], 1, 1}, p) : Memory{};
  const Memory residual = p.residual ? memory_of(operands.residual, p.y, p) : Memory{};
  emulator::enqueue(c.stream(), [=] {
    const ConvKernels& cpu = kernels(Device{}).conv;
    if (p.pass == ConvPass::backward_input)
      return write(cpu.backward_input(factor(y, p), factor(w, p), p.x, p.options, {}), x);
    if (p.pass == ConvPass::backward_weight)
      return write(cpu.backward_weight(factor(y, p), factor(x, p), p.w, p.options, nullptr), w);
    const Tensor z = cpu.forward(factor(x, p), factor(w, p), {}, p.y, p.options);
    if (p.residual) add(read(residual), z);
    if (p.bias) add(read(bias), z);
    if (p.relu) kernels(z).elementwise.unary({.op = UnaryOp::relu}, z, z);
    write(z, y);
  });
  c.launched(op);
  return true;
}

void open_libraries() {
  const std::string& missing = emulator::machine().missing;
  check(missing.empty(), "cuda", "{}", missing);
}
std::string library_versions() { return "no cuDNN: the CPU back end in its place"; }

}  // namespace engine::cuda
