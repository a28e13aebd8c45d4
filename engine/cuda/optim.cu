// Optimizer updates: all parameters in one launch, which finds them in its own parameters. What they share with the CPU
// is in engine/kernels/update.h.
#include "engine/cuda/dense.h"
#include "engine/cuda/map.h"
#include "engine/cuda/step_memory.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/update.h"

namespace engine::cuda {
namespace {

constexpr int64_t chunk_size = 2048;  // elements that a block takes at a time, all of one parameter
// A launch's parameters may take 32,764 bytes; most networks have fewer tensors to train than this.
constexpr int most_items = 640;

// A parameter with its gradient and `states` tensors of state.
template <class T, int states>
struct DeviceItem {
  Global<T> parameter;
  Global<const T> gradient;
  Global<T> state[states];
  int64_t count;
  uint32_t first_chunk;
  bool vectors;  // all are aligned to 16 bytes
};

template <class T, int states>
struct DeviceItems {
  DeviceItem<T, states> at[most_items];
  int count;
  uint32_t chunks;
};

// The last item whose first chunk is not behind `chunk`. The whole block looks for the same one.
template <class Items>
__device__ int item_of(const Items& items, uint32_t chunk) {
  int low = 0, high = items.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (items.at[middle].first_chunk <= chunk ? low : high) = middle;
  }
  return low;
}

template <int W, class T, int states, class Rule>
__device__ void update_at(const DeviceItem<T, states>& item, int64_t i, const Rule& rule) {
  Vec<T, W> p = load<W>(item.parameter, i);
  const Vec<T, W> g = load<W>(item.gradient, i);
  Vec<T, W> first = load<W>(item.state[0], i);
  if constexpr (states == 1) {
#pragma unroll
    for (int k = 0; k < W; ++k) rule(p.at[k], g.at[k], first.at[k]);
  } else {
    Vec<T, W> second = load<W>(item.state[1], i);
#pragma unroll
    for (int k = 0; k < W; ++k) rule(p.at[k], g.at[k], first.at[k], second.at[k]);
    store<W>(item.state[1], i, second);
  }
  store<W>(item.state[0], i, first);
  store<W>(item.parameter, i, p);
}

__device__ inline SgdUpdate with(SgdUpdate u, const StepScalars& now) {
  u.lr = now.lr;
  return u;
}
__device__ inline AdamWUpdate with(AdamWUpdate u, const StepScalars& now) {
  u.lr = now.lr;
  u.step = now.step;
  return u;
}

template <class T, int states, class Update>
__global__ void update_kernel(const DeviceItems<T, states> __grid_constant__ items, Update update,
                              Global<const StepScalars> now) {
  using Rule = decltype(updates::rule<T>(update));
  constexpr int W = vector_width<T>;
  ENGINE_SHARED(Rule, shared_rule, 1);
  if (threadIdx.x == 0) shared_rule[0] = updates::rule<T>(with(update, now[0]));
  __syncthreads();
  const Rule rule = shared_rule[0];
  for (uint32_t chunk = blockIdx.x; chunk < items.chunks; chunk += gridDim.x) {
    const DeviceItem<T, states>& item = items.at[item_of(items, chunk)];
    const int64_t begin = (chunk - item.first_chunk) * chunk_size, rest = item.count - begin;
    const int64_t end = begin + (rest < chunk_size ? rest : chunk_size);
    const int64_t vectors_end = item.vectors ? end - (end - begin) % W : begin;
    for (int64_t i = begin + int64_t{threadIdx.x} * W; i < vectors_end; i += int64_t{blockDim.x} * W)
      update_at<W>(item, i, rule);
    for (int64_t i = vectors_end + threadIdx.x; i < end; i += blockDim.x) update_at<1>(item, i, rule);
  }
}

std::array<Tensor, 1> states_of(const SgdItem& item) { return {item.momentum}; }
std::array<Tensor, 2> states_of(const AdamWItem& item) { return {item.exp_avg, item.exp_avg_sq}; }

template <class T, int states>
void append(DeviceItems<T, states>& list, const Tensor& parameter, const Tensor& gradient,
            const std::array<Tensor, states>& state) {
  constexpr int W = vector_width<T>;
  DeviceItem<T, states>& item = list.at[list.count++];
  item = {pointer<T>(parameter),
          pointer<const T>(gradient),
          {},
          parameter.numel(),
          list.chunks,
          aligned(parameter, W) && aligned(gradient, W)};
  for (int k = 0; k < states; ++k) {
    item.state[k] = pointer<T>(state[k]);
    item.vectors = item.vectors && aligned(state[k], W);
  }
  list.chunks += static_cast<uint32_t>((item.count + chunk_size - 1) / chunk_size);
}

// The items of element type T, as many at a time as one launch takes.
template <class T, class Item, class Update>
void update_all(const char* op, Context& c, const std::vector<Item>& items, const Update& update,
                Global<const StepScalars> now) {
  constexpr int states = std::tuple_size_v<decltype(states_of(items[0]))>;
  const auto list = std::make_unique<DeviceItems<T, states>>();
  std::vector<Tensor> gradients;  // laid out as the parameters; held until the launch
  const auto flush = [&] {
    if (list->chunks)
      launch(op, c, cover(int64_t{list->chunks} * threads_per_block, 1, int64_t{c.multiprocessors()} * 8),
             update_kernel<T, states, Update>, *list, update, now);
    *list = {};
  };
  for (const Item& item : items) {
    if (item.parameter.dtype() != dtype_of<T> || item.parameter.numel() == 0) continue;
    count_update(item.parameter);
    gradients.push_back(dense(item.gradient, item.parameter.format()));
    append<T, states>(*list, item.parameter, gradients.back(), states_of(item));
    if (list->count == most_items) flush();
  }
  flush();
}

template <class Item, class Update>
void update(const char* op, const std::vector<Item>& items, const Update& u, int64_t step) {
  if (items.empty()) return;
  for (const Item& item : items)
    check(item.parameter.dtype() == DType::f32 || item.parameter.dtype() == DType::f64, op,
          "parameters must be f32 or f64, got {}", name(item.parameter.dtype()));
  Context& c = context(items[0].parameter.device().index);
  const Global<const StepScalars> now = step_scalars(op, c, u.lr, step);
  update_all<float>(op, c, items, u, now);
  update_all<double>(op, c, items, u, now);
}

void sgd(const std::vector<SgdItem>& items, const SgdUpdate& u) { update("sgd", items, u, 0); }
void adamw(const std::vector<AdamWItem>& items, const AdamWUpdate& u) { update("adamw", items, u, u.step); }

void prepare_replay(Device device, double lr, int64_t step) { write_step_scalars(context(device.index), lr, step); }

}  // namespace

void fill(OptimKernels& table) {
  table.prepare_replay = prepare_replay;
  table.sgd = sgd;
  table.adamw = adamw;
}

}  // namespace engine::cuda
