// The table of ops under test. One row serves the gradient check, the comparison of f32 with f64, of views with
// contiguous inputs, of the 16-bit types with f32 and of other devices with the CPU (tests/parity).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace engine::test {

// How one input of a case is drawn: reals uniform in [low, high), indices uniform in 0 .. high-1, masks true or false.
struct Input {
  enum class Kind { real, index, mask };
  Shape shape;
  double low = -1, high = 1;
  Kind kind = Kind::real;
  bool grad = true;  // reals only
};
Input index_below(int64_t n, const Shape& shape);
Input mask(const Shape& shape);
Input constant(const Shape& shape, double low, double high);  // a real that gets no gradient

// What a case is used for; each flag that is off has its reason where the case stands.
struct Uses {
  bool gradient = true;  // off for large inputs (two evaluations per element)
  bool layouts = true;
  bool halves = false;  // on for element-wise ops
  bool devices = true;  // off for what the CPU alone has
};

struct Case {
  std::string name;
  std::vector<Input> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> f;
  double tolerance;  // allowed |f32 - f64| / max(1, |f64|), of outputs and gradients
  Uses uses = {};
};

std::vector<Case> elementwise_cases();
std::vector<Case> shape_cases();
std::vector<Case> reduce_cases();
std::vector<Case> network_cases();
std::vector<Case> loss_cases();
const std::vector<Case>& all_cases();

// The inputs of a case, the same numbers (exact in f32) for f32 and f64, rounded for the 16-bit types.
std::vector<Tensor> make_inputs(const Case& c, DType dtype);

struct Run {
  Tensor y;
  std::vector<Tensor> gradients;  // of the inputs; undefined where none was asked for or none came
};
// Forward, and backward of a fixed random gradient that `arrange` may lay out in another way, on the inputs' device.
Run run(const Case& c, std::vector<Tensor> inputs, const std::function<Tensor(const Tensor&)>& arrange = {});

// The same elements with another layout in memory, or x itself where the layout does not apply: "transposed",
// "strided" (every second element of a larger tensor), "channels_last", and "expanded": the first slice repeated, so
// other values. x lives on the CPU.
struct Layout {
  std::string name;
  Tensor (*arrange)(const Tensor& x);
};
const std::vector<Layout>& layouts();

// Largest |a - b| / max(1, |b|); infinite when shapes differ or one side alone is not finite.
double difference(const Tensor& a, const Tensor& b);
// The largest over outputs and gradients.
double difference(const Run& a, const Run& b);

}  // namespace engine::test
