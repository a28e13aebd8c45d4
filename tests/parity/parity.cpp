#include "tests/parity/parity.h"

#include "engine/ops/shape_ops.h"

namespace engine::test {
namespace {

struct Allowed {
  double forward, backward;  // of |device - cpu| / max(1, |cpu|)
};

// Each side may be off by the case's tolerance, whose reason stands beside the case; the device adds in another order.
Allowed allowed(const Case& c, DType dtype) {
  switch (dtype) {
    // Under TF32 each factor is off by up to 2^-11; a sum of up to a thousand products, whose errors have either sign,
    // by thirty times that of one. Nothing is rounded otherwise.
    case DType::f32:
      if (numerics().tf32.convolutions) return {2 * (c.tolerance + 0x1p-6), 2 * (c.tolerance + 0x1p-6)};
      return {2 * c.tolerance, 2 * c.tolerance};
    // The same roundings, each 2^-29 of f32's.
    case DType::f64: return {2 * c.tolerance * 0x1p-29, 2 * c.tolerance * 0x1p-29};
    default: break;
  }
  // Both compute in f32 and round once, which may be up on one side and down on the other; so do the gradients of sums
  // and products. Those of element-wise ops take rounded outputs or products, up to three, each scaled by a factor up
  // to 8 (case_test.cpp).
  const double rounding = dtype == DType::bf16 ? 0x1p-8 : 0x1p-11;
  return {2 * (rounding + c.tolerance), 2 * ((c.uses.halves ? 24 : 1) * rounding + c.tolerance)};
}

// All inputs of the type, or beside 16-bit activations, which are the first input and the last where it is a residual,
// parameters in f32. Their values are such that 16 bits hold them: a device may multiply them so, the CPU may not.
std::vector<Tensor> inputs_of(const Case& c, const Kind& kind) {
  const DType dtype = kind.dtype;
  if (!kind.f32_parameters) return make_inputs(c, dtype);
  std::vector<Tensor> inputs = make_inputs(c, DType::f32);
  const bool residual = inputs.size() > 1 && inputs.back().shape() == inputs[0].shape();
  for (Tensor& x : inputs)
    if (is_floating(x.dtype())) x = cast(x, dtype);
  for (std::size_t i = 1; i < inputs.size() - residual; ++i)
    if (is_floating(inputs[i].dtype())) inputs[i] = cast(inputs[i], DType::f32);
  return inputs;
}

std::vector<Tensor> arranged(const Case& c, const Kind& kind, Device device) {
  std::vector<Tensor> out;
  for (const Tensor& x : inputs_of(c, kind))
    out.push_back((kind.layout ? kind.layout->arrange(x) : x).detach().to(device));
  return out;
}

void check_kind(const std::string& what, const Tensor& got, const Tensor& wanted, Device device) {
  if (!got.defined() || !wanted.defined()) return;
  CHECK_MESSAGE(got.dtype() == wanted.dtype(), what, " is ", got.str(), ", on the CPU ", wanted.str());
  CHECK_MESSAGE(got.device() == device, what, " is ", got.str());
}

}  // namespace

void check_parity(const Case& c, Device device, const Kind& kind) {
  const Layout* layout = kind.layout;
  const std::string label = fmt::format("{}, {}, {}", c.name, name(kind.dtype), layout ? layout->name : "contiguous");
  const auto arrange = [&](const Tensor& dy) { return layout ? layout->arrange(dy) : dy; };
  try {
    const Run wanted = run(c, arranged(c, kind, {}), arrange);
    const Run got = run(c, arranged(c, kind, device), arrange);
    const Allowed most = allowed(c, kind.dtype);
    const double forward = difference(got.y, wanted.y);
    CHECK_MESSAGE(forward <= most.forward, label, ": output off by ", forward, ", allowed ", most.forward);
    check_kind(label, got.y, wanted.y, device);
    for (std::size_t k = 0; k < wanted.gradients.size(); ++k) {
      const double backward = difference(got.gradients[k], wanted.gradients[k]);
      CHECK_MESSAGE(backward <= most.backward, label, ": gradient of input ", k, " off by ", backward, ", allowed ",
                    most.backward);
      check_kind(label, got.gradients[k], wanted.gradients[k], device);
    }
  } catch (const Error& error) {
    recover();
    FAIL_CHECK(label << ": " << std::string(error.what()));
  }
}

}  // namespace engine::test
