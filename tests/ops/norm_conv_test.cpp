// A convolution of a normalised input as one op, against batch_norm and conv2d one after the other.
#include <doctest/doctest.h>

#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "tests/cpu/lanes.h"
#include "tests/distance.h"

using namespace engine;
using lanes_test::normal;
using test::relative_distance;

namespace {

struct Result {
  Tensor y, dx, dweight, dbias, dw, running_mean, running_var;
  ChannelMoments moments;
};

Result run(bool fused, const Shape& shape, Pair stride, DType dtype, MemoryFormat format) {
  const Shape channels{shape[1]};
  Tensor x = contiguous(cast(normal(shape, 1), dtype), format).set_requires_grad();
  Tensor weight = normal(channels, 2).set_requires_grad(), bias = normal(channels, 3).set_requires_grad(),
         w = normal({10, shape[1], 3, 3}, 4).set_requires_grad();
  Result out;
  out.running_mean = Tensor::zeros(channels);
  out.running_var = Tensor::full(channels, 1);
  const BatchNormOptions norm{.relu = true};
  const Conv2dOptions options{.stride = stride, .padding = 1};
  out.y =
      fused ? batch_norm_relu_conv2d(x, weight, bias, out.running_mean, out.running_var, norm, w, options, out.moments)
            : conv2d_with_moments(batch_norm(x, weight, bias, out.running_mean, out.running_var, norm), w, options,
                                  out.moments);
  out.y.backward(contiguous(cast(normal(out.y.shape(), 5), dtype), format));
  out.dx = x.grad(), out.dweight = weight.grad(), out.dbias = bias.grad(), out.dw = w.grad();
  return out;
}

}  // namespace

TEST_CASE("batch_norm_relu_conv2d is batch_norm and conv2d, values, gradients and statistics") {
  for (const MemoryFormat format : {MemoryFormat::batch_lanes, MemoryFormat::channels_last})
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const int64_t stride : {1, 2})  // by Winograd, and directly
        for (const Shape& shape : {Shape{19, 12, 9, 6}, Shape{32, 9, 8, 8}}) {
          const Result one = run(true, shape, stride, dtype, format), two = run(false, shape, stride, dtype, format);
          // bf16: the separate ops round the normalised image once more.
          const double tolerance = dtype == DType::f32 ? 2e-5 : 2e-2;
          if (format == MemoryFormat::batch_lanes)
            for (const Tensor& t : {one.y, one.dx}) lanes_test::check_padding(t, "fused");
          CHECK(relative_distance(one.y, two.y) < tolerance);
          CHECK(relative_distance(one.dx, two.dx) < tolerance);
          CHECK(relative_distance(one.dweight, two.dweight) < tolerance);
          CHECK(relative_distance(one.dbias, two.dbias) < tolerance);
          CHECK(relative_distance(one.dw, two.dw) < tolerance);
          CHECK(one.running_mean.to<float>() == two.running_mean.to<float>());
          CHECK(one.running_var.to<float>() == two.running_var.to<float>());
          CHECK(relative_distance(one.moments.mean, two.moments.mean) < tolerance);
          CHECK(relative_distance(one.moments.variance, two.moments.variance) < tolerance);
        }
}
