#include "engine/cpu/plain.h"

#include <limits>

#include "engine/core/parallel.h"
#include "engine/kernels/pool_windows.h"

namespace engine::cpu::plain {
namespace {

// Element access to a f64 tensor of rank 4 (or 3) by index.
struct At {
  double* data;
  const Strides& s;
  explicit At(const Tensor& t) : data(t.data<double>()), s(t.strides()) {}
  double& operator()(int64_t a, int64_t b, int64_t c, int64_t d) const {
    return data[a * s[0] + b * s[1] + c * s[2] + d * s[3]];
  }
  double& operator()(int64_t a, int64_t b, int64_t c) const { return data[a * s[0] + b * s[1] + c * s[2]]; }
};

void clear(const Tensor& t) { std::fill_n(t.data<double>(), t.numel(), 0.0); }

// Calls f(n, k, p, q, c, h, w, r, s) for every product of the convolution sum: output (n, k, p, q) takes input channel
// c (within the image) at (h, w) through the weight's (r, s).
template <class F>
void for_products(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& o, F&& f) {
  const int64_t per_group = w[0] / o.groups;
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t k = 0; k < y[1]; ++k)
      for (int64_t p = 0; p < y[2]; ++p)
        for (int64_t q = 0; q < y[3]; ++q)
          for (int64_t c = 0; c < w[1]; ++c)
            for (int64_t r = 0; r < w[2]; ++r)
              for (int64_t s = 0; s < w[3]; ++s) {
                const int64_t h = p * o.stride.h - o.padding.h + r * o.dilation.h;
                const int64_t v = q * o.stride.w - o.padding.w + s * o.dilation.w;
                if (h >= 0 && h < x[2] && v >= 0 && v < x[3]) f(n, k, p, q, c, k / per_group * w[1] + c, h, v, r, s);
              }
}

template <class F>
void for_outputs(const Shape& y, F&& f) {
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t c = 0; c < y[1]; ++c)
      for (int64_t p = 0; p < y[2]; ++p)
        for (int64_t q = 0; q < y[3]; ++q) f(n, c, p, q);
}

}  // namespace

void conv_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Conv2dOptions& options, const Tensor& y) {
  const At px(x), pw(w), py(y);
  for_outputs(y.shape(), [&](auto n, auto k, auto p, auto q) {
    py(n, k, p, q) = b.defined() ? b.data<double>()[k * b.strides()[0]] : 0;
  });
  for_products(x.shape(), w.shape(), y.shape(), options,
               [&](auto n, auto k, auto p, auto q, auto c, auto channel, auto h, auto v, auto r, auto s) {
                 py(n, k, p, q) += px(n, channel, h, v) * pw(k, c, r, s);
               });
}

void conv_backward_input(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, const Tensor& dx) {
  const At pdy(dy), pw(w), pdx(dx);
  clear(dx);
  for_products(dx.shape(), w.shape(), dy.shape(), options,
               [&](auto n, auto k, auto p, auto q, auto c, auto channel, auto h, auto v, auto r, auto s) {
                 pdx(n, channel, h, v) += pdy(n, k, p, q) * pw(k, c, r, s);
               });
}

void conv_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, const Tensor& dw) {
  const At pdy(dy), px(x), pdw(dw);
  clear(dw);
  for_products(x.shape(), dw.shape(), dy.shape(), options,
               [&](auto n, auto k, auto p, auto q, auto c, auto channel, auto h, auto v, auto r, auto s) {
                 pdw(k, c, r, s) += pdy(n, k, p, q) * px(n, channel, h, v);
               });
}

void max_pool(const Tensor& x, const Pool2dOptions& options, const Tensor& y, const Tensor& where) {
  const At px(x), py(y);
  int64_t* winner = where.data<int64_t>();
  const PoolWindows windows = pool_windows(x.shape(), y.shape(), options);
  for_outputs(y.shape(), [&](auto n, auto c, auto p, auto q) {
    const PoolRange rows = windows.h.pixels_of(p), columns = windows.w.pixels_of(q);
    double best = -std::numeric_limits<double>::infinity();
    int64_t at = rows.begin * x.size(3) + columns.begin;
    for (int64_t h = rows.begin; h < rows.end; ++h)
      for (int64_t w = columns.begin; w < columns.end; ++w)
        if (functors::takes_over(px(n, c, h, w), best)) {
          best = px(n, c, h, w);
          at = h * x.size(3) + w;
        }
    py(n, c, p, q) = best;
    *winner++ = at;
  });
}

void max_pool_backward(const Tensor& dy, const Tensor& where, const Tensor& dx) {
  const At pdy(dy), pdx(dx);
  clear(dx);
  const int64_t* winner = where.data<int64_t>();
  for_outputs(dy.shape(), [&](auto n, auto c, auto p, auto q) {
    pdx(n, c, *winner / dx.size(3), *winner % dx.size(3)) += pdy(n, c, p, q);
    ++winner;
  });
}

void average_pool(const Tensor& x, const Pool2dOptions& options, const Tensor& y) {
  const At px(x), py(y);
  const PoolWindows windows = pool_windows(x.shape(), y.shape(), options);
  for_outputs(y.shape(), [&](auto n, auto c, auto p, auto q) {
    const PoolRange rows = windows.h.pixels_of(p), columns = windows.w.pixels_of(q);
    double sum = 0;
    for (int64_t h = rows.begin; h < rows.end; ++h)
      for (int64_t w = columns.begin; w < columns.end; ++w) sum += px(n, c, h, w);
    py(n, c, p, q) = sum / static_cast<double>(windows.divisor(p, q));
  });
}

void average_pool_backward(const Tensor& dy, const Pool2dOptions& options, const Tensor& dx) {
  const At pdy(dy), pdx(dx);
  const PoolWindows windows = pool_windows(dx.shape(), dy.shape(), options);
  clear(dx);
  for_outputs(dy.shape(), [&](auto n, auto c, auto p, auto q) {
    const PoolRange rows = windows.h.pixels_of(p), columns = windows.w.pixels_of(q);
    const double share = pdy(n, c, p, q) / static_cast<double>(windows.divisor(p, q));
    for (int64_t h = rows.begin; h < rows.end; ++h)
      for (int64_t w = columns.begin; w < columns.end; ++w) pdx(n, c, h, w) += share;
  });
}

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  const At pa(a), pb(b), py(y);
  for (int64_t n = 0; n < y.size(0); ++n)
    for (int64_t i = 0; i < y.size(1); ++i)
      for (int64_t j = 0; j < y.size(2); ++j) {
        double sum = bias.defined() ? bias.data<double>()[j * bias.strides()[0]] : 0;
        for (int64_t k = 0; k < a.size(2); ++k) sum += pa(n, i, k) * pb(n, k, j);
        py(n, i, j) = sum;
      }
}

}  // namespace engine::cpu::plain
