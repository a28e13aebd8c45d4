// The vector kernels of every instruction set this processor has, against loops in double.
#include "engine/cpu/row_kernels.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/core/random.h"
#include "engine/kernels/select.h"

using namespace engine;
using namespace engine::cpu;

namespace {

using Floats = std::vector<float>;

Floats random_floats(int64_t n, uint64_t stream) {
  Generator random(7, stream);
  Floats out(static_cast<std::size_t>(n));
  for (float& v : out) v = random.normal();
  return out;
}

std::vector<const RowKernels*> available() {
  std::vector<const RowKernels*> sets;
  row_kernels_per_isa.for_each([&](const RowKernels& kernels) { sets.push_back(&kernels); });
  return sets;
}

// What the kernels store: floats as they are, or the bits of bfloat16.
template <class T>
std::vector<T> stored(const Floats& values) {
  std::vector<T> out;
  for (const float v : values)
    if constexpr (std::is_same_v<T, float>)
      out.push_back(v);
    else
      out.push_back(bfloat16(v).bits);
  return out;
}
float value(float x) { return x; }
float value(uint16_t bits) {
  bfloat16 x;
  x.bits = bits;
  return static_cast<float>(x);
}
const RowPasses<float>& passes(const RowKernels& k, float) { return k.f32; }
const RowPasses<uint16_t>& passes(const RowKernels& k, uint16_t) { return k.bf16; }

// Sums of up to a few hundred normal numbers in f32: 1e-4 is some hundred roundings of values near 10.
template <class T>
void check_near(const std::vector<T>& got, const std::vector<double>& wanted, const char* what, const char* isa,
                double tolerance = 1e-4) {
  const double rounding = std::is_same_v<T, float> ? 0 : 0x1p-8;  // half a unit in bf16's last place, at most
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(value(got[i]) - wanted[i]) - rounding * std::abs(wanted[i]);
    worst = d <= worst ? worst : std::isnan(d) ? INFINITY : d;
  }
  CHECK_MESSAGE(worst <= tolerance, what << " of " << isa << " is off by " << worst);
}

struct Case {
  int64_t rows, channels;
};
const Case cases[] = {{1, 1}, {3, 5}, {4, 16}, {7, 17}, {9, 33}, {32, 24}, {5, 100}};

}  // namespace

TEST_CASE_TEMPLATE("row kernels: sums and squares", T, float, uint16_t) {
  for (const RowKernels* k : available())
    for (const auto [rows, channels] : cases) {
      const std::vector<T> x = stored<T>(random_floats(rows * channels, 1));
      const Floats shift = random_floats(channels, 2);
      Floats sum(channels, 1.0f), squares(channels, 2.0f);  // they are added to
      std::vector<double> wanted_sum(channels, 1.0), wanted_squares(channels, 2.0);
      for (int64_t i = 0; i < rows * channels; ++i) {
        const double d = double{value(x[i])} - shift[i % channels];
        wanted_sum[i % channels] += d;
        wanted_squares[i % channels] += d * d;
      }
      passes(*k, T()).sums(x.data(), shift.data(), rows, channels, sum.data(), squares.data());
      check_near(sum, wanted_sum, "sum", k->isa);
      check_near(squares, wanted_squares, "squares", k->isa);
    }
}

TEST_CASE_TEMPLATE("row kernels: normalise with and without residual and ReLU", T, float, uint16_t) {
  for (const RowKernels* k : available())
    for (const auto [rows, channels] : cases)
      for (const bool relu : {false, true})
        for (const bool with_residual : {false, true}) {
          const int64_t n = rows * channels;
          const std::vector<T> x = stored<T>(random_floats(n, 1)), residual = stored<T>(random_floats(n, 4));
          const Floats scale = random_floats(channels, 2), shift = random_floats(channels, 3);
          std::vector<T> y(n);
          std::vector<double> wanted(n);
          for (int64_t i = 0; i < n; ++i) {
            const double v = double{value(x[i])} * scale[i % channels] + shift[i % channels] +
                             (with_residual ? value(residual[i]) : 0.0f);
            wanted[i] = relu ? std::max(v, 0.0) : v;
          }
          passes(*k, T()).normalize(x.data(), scale.data(), shift.data(), with_residual ? residual.data() : nullptr,
                                    relu, rows, channels, y.data());
          check_near(y, wanted, "normalize", k->isa, 1e-5);
        }
}

TEST_CASE_TEMPLATE("row kernels: backward sums and input gradient", T, float, uint16_t) {
  for (const RowKernels* k : available())
    for (const auto [rows, channels] : cases)
      for (const bool relu : {false, true})
        for (const bool with_residual : {false, true}) {
          const int64_t n = rows * channels;
          const std::vector<T> x = stored<T>(random_floats(n, 1)), y = stored<T>(random_floats(n, 2)),
                               dy = stored<T>(random_floats(n, 3));
          const Floats mean = random_floats(channels, 4);
          const Floats a = random_floats(channels, 5), b = random_floats(channels, 6), c = random_floats(channels, 7);
          Floats sum_g(channels), sum_gx(channels);
          std::vector<T> dx(n), dresidual(with_residual ? n : 0);
          std::vector<double> wanted_g(channels), wanted_gx(channels), wanted_dx(n), wanted_dresidual(dresidual.size());
          for (int64_t i = 0; i < n; ++i) {
            const int64_t ch = i % channels;
            const double g = !relu || value(y[i]) > 0 ? value(dy[i]) : 0.0;
            wanted_g[ch] += g;
            wanted_gx[ch] += g * (double{value(x[i])} - mean[ch]);
            wanted_dx[i] = a[ch] * g + double{b[ch]} * value(x[i]) + c[ch];
            if (with_residual) wanted_dresidual[i] = g;
          }
          const T* mask = relu ? y.data() : nullptr;
          passes(*k, T()).backward_sums(x.data(), mask, dy.data(), mean.data(), rows, channels, sum_g.data(),
                                        sum_gx.data());
          passes(*k, T()).backward_input(x.data(), mask, dy.data(), a.data(), b.data(), c.data(), rows, channels,
                                         dx.data(), with_residual ? dresidual.data() : nullptr);
          check_near(sum_g, wanted_g, "sum_g", k->isa);
          check_near(sum_gx, wanted_gx, "sum_gx", k->isa);
          check_near(dx, wanted_dx, "dx", k->isa, 1e-5);
          check_near(dresidual, wanted_dresidual, "dresidual", k->isa, 0);
        }
}

TEST_CASE("row kernels: add and sgd") {
  for (const RowKernels* k : available())
    for (const int64_t n : {1, 7, 16, 33, 1000})
      for (const bool nesterov : {false, true}) {
        const Floats a = random_floats(n, 1), b = random_floats(n, 2), v0 = random_floats(n, 3);
        Floats y(n), p = a, v = v0;
        std::vector<double> wanted_y(n), wanted_p(n), wanted_v(n);
        for (int64_t i = 0; i < n; ++i) {
          wanted_y[i] = double{a[i]} + b[i];
          const double d = b[i] + 0.01 * a[i];
          wanted_v[i] = 0.9 * v0[i] + d;
          wanted_p[i] = a[i] - 0.1 * (nesterov ? d + 0.9 * wanted_v[i] : wanted_v[i]);
        }
        k->f32.add(a.data(), b.data(), n, y.data());
        k->sgd(p.data(), b.data(), v.data(), n, 0.1f, 0.9f, 0.01f, nesterov);
        check_near(y, wanted_y, "add", k->isa, 1e-6);
        check_near(v, wanted_v, "momentum", k->isa, 1e-6);
        check_near(p, wanted_p, "parameter", k->isa, 1e-6);
      }
}

TEST_CASE("row kernels: bf16 add is the f32 sum, rounded once, and NaN stays NaN") {
  const int64_t n = 1000;
  const Floats a = random_floats(n, 1), b = random_floats(n, 2);
  std::vector<bfloat16> pa(a.begin(), a.end()), pb(b.begin(), b.end()), y(n);
  pa[3] = pb[7] = NAN;
  pa[11] = INFINITY;
  pa[13].bits = 0x7f81;  // a signalling NaN
  const auto bits = [](std::vector<bfloat16>& v) { return reinterpret_cast<uint16_t*>(v.data()); };
  for (const RowKernels* k : available()) {
    k->bf16.add(bits(pa), bits(pb), n, bits(y));
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float sum = static_cast<float>(pa[i]) + static_cast<float>(pb[i]);
      wrong += std::isnan(sum) ? !std::isnan(static_cast<float>(y[i])) : y[i].bits != bfloat16(sum).bits;
    }
    CHECK_MESSAGE(wrong == 0, k->isa);
  }
}

TEST_CASE("the CPU back end fills every slot of the kernel table") {
  const KernelTable& table = kernels(Device{});
  auto check_one = [](const auto& slot) { CHECK_MESSAGE(slot.filled(), slot.name()); };
  auto check_slots = [&](const auto&... slots) { (check_one(slots), ...); };
  const auto& e = table.elementwise;
  check_slots(e.unary, e.unary_backward, e.binary, e.compare, e.where, e.copy, e.dropout);
  const auto& r = table.reduce;
  check_slots(r.sum, r.argmax, r.sort, r.softmax, r.softmax_backward);
  check_one(table.peak.measure);
  check_slots(table.index.gather, table.index.scatter, table.matmul.matmul, table.optim.sgd, table.optim.adamw);
  check_slots(table.conv.forward, table.conv.backward_input, table.conv.backward_weight);
  check_slots(table.norm.statistics, table.norm.normalize, table.norm.backward);
  check_slots(table.pool.max, table.pool.max_backward, table.pool.average, table.pool.average_backward);
  check_slots(table.pool.global_average, table.pool.global_average_backward, table.pool.subsample,
              table.pool.subsample_backward);
}

TEST_CASE("an empty slot and a device that is not there say so") {
  const Slot<void(int)> empty("some_op");
  CHECK_THROWS_WITH(empty(1), doctest::Contains("[some_op]"));
  // What is missing: the back end in this build, the driver, or that many devices.
  CHECK_THROWS_WITH(open_device("cuda:1000"), doctest::Contains("cuda"));
  CHECK_THROWS_WITH(open_device("gpu"), doctest::Contains("\"gpu\" is no device"));
}
