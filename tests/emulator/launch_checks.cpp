#include "tests/emulator/launch_checks.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <initializer_list>

#include "engine/cuda/columns.h"
#include "engine/cuda/pool_maps.h"
#include "engine/cuda/reduction.h"

namespace engine::test {
namespace {

using namespace engine::cuda;
using emulator::Launch;

// What a pointer of the kernel's may touch, from where it points to.
struct Buffer {
  int64_t elements;
  int64_t element_size;
  uintptr_t address;
};

template <class T>
bool append(const std::any& parameter, std::vector<Buffer>& out) {
  const auto* p = std::any_cast<emulator::Pointer<T>>(&parameter);
  if (p && *p) out.push_back({p->elements(), sizeof(T), reinterpret_cast<uintptr_t>(p->unchecked())});
  return p;
}

template <class... T>
std::vector<Buffer> buffers_of(const Launch& launch) {
  std::vector<Buffer> out;
  for (const std::any& parameter : launch.parameters)
    ((append<T>(parameter, out) || append<const T>(parameter, out)) || ...);
  return out;
}

std::vector<Buffer> buffers_of(const Launch& launch) {
  return buffers_of<float, double, bfloat16, float16, int64_t, uint8_t, bool, uint16_t, uint32_t, uint64_t>(launch);
}

template <class T>
const T* parameter(const Launch& launch) {
  for (const std::any& p : launch.parameters)
    if (const T* found = std::any_cast<T>(&p)) return found;
  return nullptr;
}

int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

std::string check_limits(const Launch& l) {
  const LaunchShape shape{
      .blocks_x = l.blocks_x, .blocks_y = l.blocks_y, .threads_x = l.threads, .shared_bytes = l.shared_bytes};
  return shape.valid() ? "" : fmt::format("{} x {} blocks of {} threads", l.blocks_x, l.blocks_y, l.threads);
}

// Positions from first to last, a prime apart.
std::vector<int64_t> samples(int64_t count) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; i += std::max<int64_t>(count / 5, 1) | 1) out.push_back(i);
  if (count) out.push_back(count - 1);
  return out;
}

// The loop's positions in 64 bits, and for each operand how many elements it spans.
template <int N>
std::string check_loop(const DeviceLoop<N>& loop, std::vector<Buffer> buffers) {
  if (loop.count == 0) return "a launch for nothing";
  if (loop.small && loop.count > int64_t{1} << 32) return "positions that don't fit 32 bits";
  int64_t sizes[Shape::max_rank] = {}, inner = 1;
  for (int axis = 1; axis < loop.rank; ++axis) inner *= sizes[axis] = loop.sizes[axis];
  if (inner == 0 || loop.count % inner) return fmt::format("{} elements in rows of {}", loop.count, inner);
  sizes[0] = loop.count / inner;
  std::vector<int64_t> spans(N, 1);
  for (int n = 0; n < N; ++n)
    for (int axis = 0; axis < loop.rank; ++axis) spans[n] += (sizes[axis] - 1) * std::abs(loop.strides[n][axis]);
  for (const int64_t i : samples(loop.count)) {
    const auto at = loop.offsets(i);
    for (int n = 0; n < N; ++n) {
      int64_t rest = i, expected = 0;
      for (int axis = loop.rank - 1; axis >= 0; rest /= sizes[axis--])
        expected += rest % sizes[axis] * loop.strides[n][axis];
      if (at.at[n] != expected) return fmt::format("element {} at {} instead of {}", i, at.at[n], expected);
    }
  }
  if (buffers.size() < N) return "";  // they are parts of a functor
  // Whichever operand has which buffer: the largest span must fit the largest buffer, and so on.
  std::ranges::sort(spans, std::greater{});
  std::ranges::sort(buffers, std::greater{}, &Buffer::elements);
  for (int n = 0; n < N; ++n)
    if (spans[n] > buffers[n].elements)
      return fmt::format("an operand spans {} elements, its buffer has {}", spans[n], buffers[n].elements);
  return "";
}

template <int N>
std::string check_loops(const Launch& l, const std::vector<Buffer>& buffers) {
  const auto* loop = parameter<DeviceLoop<N>>(l);
  return loop ? check_loop(*loop, buffers) : "";
}

bool is_width(int64_t width, int64_t element_size) { return width == 1 || width == 16 / element_size; }

std::string check_map(const Launch& l, const std::vector<Buffer>& buffers) {
  const auto* order = parameter<MapOrder>(l);
  if (!order) return "";
  const int64_t image = int64_t{order->fastest} * order->middle * order->slowest;
  if (order->count == 0 || image == 0 || order->count % image)
    return fmt::format("{} vectors in images of {}", order->count, image);
  if (order->small && order->count > int64_t{1} << 32) return "positions that don't fit 32 bits";
  for (const int64_t i : samples(order->count)) {
    const auto at = order->at(i);
    const int64_t position =
        order->channels_last ? at.h * int64_t{order->middle} + at.w : at.c * int64_t{order->middle} + at.h;
    const int64_t found = at.n * image + position * order->fastest + (order->channels_last ? at.c : at.w);
    if (found != i) return fmt::format("vector {} taken for {}", i, found);
  }
  for (const Buffer& b : buffers)
    if (b.elements % order->count == 0 && is_width(b.elements / order->count, b.element_size) &&
        b.address % (b.elements / order->count * b.element_size) == 0)
      return "";
  // A sum that touches some pixels of its tensor only.
  const bool inside = std::ranges::all_of(buffers, [&](const Buffer& b) { return b.elements >= order->count; });
  return inside ? "" : fmt::format("no buffer is {} aligned vectors", order->count);
}

std::string check_columns(const Launch& l, const std::vector<Buffer>& buffers) {
  const auto* g = parameter<Columns>(l);
  if (!g) return "";
  const int64_t groups = parts(g->columns, g->block_columns);
  if (g->block_columns * g->block_rows > l.threads) return "more places in a block than threads";
  if (l.blocks_x % groups) return fmt::format("{} blocks for {} groups of columns", l.blocks_x, groups);
  if (l.blocks_y * g->chunk < g->rows || (l.blocks_y - 1) * g->chunk >= g->rows)
    return fmt::format("{} chunks of {} rows for {}", l.blocks_y, g->chunk, g->rows);
  if (l.blocks_y > 1 && groups > most_counted_groups) return "more groups than are counted";
  if (g->small && g->rows > int64_t{1} << 32) return "rows that don't fit 32 bits";
  const int64_t inner = g->inner;
  if (g->rows % inner) return fmt::format("{} rows in planes of {}", g->rows, inner);
  for (const int64_t row : samples(g->rows))
    for (const int64_t column : samples(g->columns)) {
      const int64_t expected = (row / inner * g->columns + column) * inner + row % inner;
      if (g->vector(row, column) != expected) return fmt::format("row {} of column {} misplaced", row, column);
    }
  const Buffer& x = buffers.at(0);
  const int64_t vectors = g->rows * g->columns * (l.blocks_x / groups);
  if (x.elements % vectors || !is_width(x.elements / vectors, x.element_size))
    return fmt::format("{} vectors for {} elements", vectors, x.elements);
  for (const Buffer& b : buffers)
    if (b.elements == x.elements && b.address % (x.elements / vectors * b.element_size))
      return "a vector is not aligned";
  return "";
}

std::string check_reduction(const Launch& l) {
  const auto* shape = parameter<ReductionShape>(l);
  if (!shape) return "";
  const int64_t sets = parameter<DeviceLoop<2>>(l)->count, terms = *parameter<int64_t>(l), width = shape->width();
  if (l.threads != threads_per_block || !std::has_single_bit(static_cast<unsigned>(shape->lanes)) || width < 1)
    return fmt::format("{} lanes in a block of {}", shape->lanes, l.threads);
  if (l.blocks_x * width < sets || (l.blocks_x - 1) * width >= sets)
    return fmt::format("{} blocks of {} sets for {}", l.blocks_x, width, sets);
  if (l.blocks_y != shape->splits || shape->splits * shape->piece < terms ||
      (shape->splits > 1 && (shape->splits - 1) * shape->piece >= terms))
    return fmt::format("{} pieces of {} terms for {}", l.blocks_y, shape->piece, terms);
  return "";
}

std::string check_count(const Launch& l, const std::vector<Buffer>& buffers) {
  const auto* n = l.parameters.empty() ? nullptr : std::any_cast<int64_t>(&l.parameters[0]);
  if (!n) return "";
  if (*n < 1) return "a launch for nothing";
  for (const Buffer& b : buffers)
    if (b.elements < *n) return fmt::format("{} elements of a buffer of {}", *n, b.elements);
  return "";
}

}  // namespace

std::string complaint(const Launch& l) {
  const std::vector<Buffer> buffers = buffers_of(l);
  for (const std::string& text : {check_limits(l), check_loops<1>(l, buffers), check_loops<2>(l, buffers),
                                  check_loops<3>(l, buffers), check_loops<4>(l, buffers), check_map(l, buffers),
                                  check_columns(l, buffers), check_reduction(l), check_count(l, buffers)})
    if (!text.empty()) return fmt::format("{}: {}", l.op, text);
  return "";
}

}  // namespace engine::test
