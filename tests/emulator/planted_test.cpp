// What the emulator is there for: mistakes planted in kernels, each of which must be found and named; and correct
// kernels, which must pass in every order.
#include <doctest/doctest.h>

#include "engine/cuda/device_code.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::cuda;

namespace {

constexpr emulator::Order orders[] = {emulator::Order::forward, emulator::Order::backward, emulator::Order::shuffled};

Context& device_context() { return context(open_device("cuda").index); }

// What the device says about a kernel that was launched; it works again afterwards.
template <class... Parameters, class... Arguments>
std::string fault_in(const LaunchShape& shape, void (*kernel)(Parameters...), Arguments... arguments) {
  Context& c = device_context();
  launch("planted", c, shape, kernel, arguments...);
  const std::string error = error_of([&] { c.synchronize(); });
  emulator::take_fault();
  return error;
}

// Found in every order, not only where the mistake happens to matter.
template <class... Parameters, class... Arguments>
void check_found(const std::string& expected, const LaunchShape& shape, void (*kernel)(Parameters...),
                 Arguments... arguments) {
  for (const emulator::Order order : orders) {
    emulator::set_order(order);
    const std::string error = fault_in(shape, kernel, arguments...);
    CHECK_MESSAGE(contains(error, expected), "in order ", static_cast<int>(order), ": ", error);
    CHECK(contains(error, "planted, block ("));
    CHECK(contains(error, "planted; RIDE_CUDA_SYNC=1 tells which"));
  }
  emulator::set_order(emulator::Order::forward);
}

Tensor zeros(int64_t n, DType dtype = DType::f32) {
  return Tensor::zeros({n}, {.dtype = dtype, .device = open_device("cuda")});
}
Tensor numbers(int64_t n) { return cast(Tensor::arange(n), DType::f32).to(open_device("cuda")); }

// --- shared memory ---------------------------------------------------------------------------------------------------

// y[t] = x[n - 1 - t] through shared memory; barriers can be left out.
template <bool between, bool after>
__global__ void reverse_twice(Global<const float> x, Global<float> y) {
  ENGINE_SHARED(float, row, 64);
  const int t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  for (int turn = 0; turn < 2; ++turn) {
    row[t] = turn == 0 ? x[t] : y[t];
    if (between) __syncthreads();
    y[t] = row[n - 1 - t];
    if (after) __syncthreads();
  }
}

// The second warp still reads what the first one, having met, writes.
__global__ void read_by_two_warps(Global<float> y) {
  ENGINE_SHARED(float, place, 1);
  if (threadIdx.x == 0) place[0] = 1;
  __syncthreads();
  y[threadIdx.x] = place[0];
  __syncwarp();
  if (threadIdx.x == 0) place[0] = 2;
}

__global__ void one_place(Global<float> y) {
  ENGINE_SHARED(float, place, 1);
  place[0] = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = place[0];
}

__global__ void read_unwritten(Global<float> y) {
  ENGINE_SHARED(float, row, 64);
  if (threadIdx.x < 63) row[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = row[threadIdx.x];
}

__global__ void beyond_shared(Global<float> y) {
  ENGINE_DYNAMIC_SHARED(float, row);
  row[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = row[threadIdx.x];
}

// Lanes of one warp see what the others wrote only after they have met.
template <bool meet>
__global__ void neighbour_in_warp(Global<float> y) {
  ENGINE_SHARED(float, row, 32);
  row[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (meet) __syncwarp();
  y[threadIdx.x] = row[threadIdx.x ^ 1];
}

// --- global memory ---------------------------------------------------------------------------------------------------

__global__ void read_at(Global<const float> x, int64_t shift, Global<float> y) {
  y[threadIdx.x] = x[static_cast<int64_t>(threadIdx.x) + shift];
}
__global__ void write_to(int64_t n, Global<float> y) {
  if (static_cast<int64_t>(threadIdx.x) <= n) y[threadIdx.x] = 1;  // one too many
}
__global__ void vectors(int64_t n, int64_t shift, Global<float> y) {
  for (int64_t i = 0; i + shift < n; i += 4) store<4>(y, i + shift, load<4>(y, i + shift));
}
template <bool wrong>
__global__ void rows_to_columns(int rows, int columns, Global<const float> x, Global<float> y) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * columns; i += static_cast<int>(blockDim.x)) {
    const int row = i / columns, column = i % columns;
    y[wrong ? column * columns + row : column * rows + row] = x[i];
  }
}

// --- warps and barriers
// ------------------------------------------------------------------------------------------------

__global__ void shuffle_beyond_mask(Global<float> y) {
  const float value = static_cast<float>(threadIdx.x);
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_down_sync(0xffffu, value, 8);  // lanes 8 to 15 read 16 to 23
}
__global__ void shuffle_not_in_mask(Global<float> y) {
  y[threadIdx.x] = __shfl_xor_sync(0xffffu, static_cast<float>(threadIdx.x), 1);
}
__global__ void shuffle_of_some(Global<float> y) {
  if (threadIdx.x < 20) y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, static_cast<float>(threadIdx.x), 1);
}
__global__ void barrier_of_some(Global<float> y) {
  if (threadIdx.x <= 32)
    __syncthreads();
  else
    __syncwarp();
  y[threadIdx.x] = 1;
}

// --- correct kernels
// ---------------------------------------------------------------------------------------------------

// y[block] = sum of the block's part of x, by shuffles within warps and shared memory between them.
__global__ void block_sums(int64_t n, Global<const float> x, Global<float> y) {
  ENGINE_SHARED(float, of_warp, 32);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  float sum = i < n ? x[i] : 0.0f;
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  float total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += of_warp[w];
  y[blockIdx.x] = total;
}

// The same by halves in dynamic shared memory, with a barrier after each.
__global__ void halved_sums(int64_t n, Global<const float> x, Global<float> y) {
  ENGINE_DYNAMIC_SHARED(float, part);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  part[threadIdx.x] = i < n ? x[i] : 0.0f;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) y[blockIdx.x] = part[0];
}

// Threads that have nothing to do leave; the others go on meeting.
__global__ void early_exit(int n, Global<float> y) {
  ENGINE_SHARED(float, row, 64);
  const int t = static_cast<int>(threadIdx.x);
  if (t >= n) return;
  row[t] = static_cast<float>(t);
  __syncthreads();
  y[t] = row[(t + 1) % n];
}

// As atomicAdd: fibers change places only where they wait, so nothing comes between.
void atomic_add(Global<int64_t> p, int64_t i, int64_t value) { p[i] = p[i] + value; }

// How many numbers are even, and how many warps have met a negative one: votes, then one addition for a warp.
__global__ void count_even(int64_t n, Global<const int64_t> x, Global<int64_t> counts) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const uint32_t even = __ballot_sync(0xffffffffu, i < n && x[i] % 2 == 0);
  if (threadIdx.x % 32 == 0) atomic_add(counts, 0, __popc(even));
  if (__any_sync(0xffffffffu, i < n && x[i] < 0) && threadIdx.x % 32 == 0) atomic_add(counts, 1, 1);
}

__global__ void shuffles(Global<float> y) {
  const float lane = static_cast<float>(threadIdx.x);
  y[threadIdx.x] = __shfl_up_sync(0xffffffffu, lane, 1) + 100 * __shfl_down_sync(0xffffffffu, lane, 1) +
                   10000 * __shfl_sync(0xffffffffu, lane, 3, 8);
}

__global__ void in_a_grid(int width, Global<int64_t> y) {
  const unsigned column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  y[static_cast<int64_t>(row) * width + column] = row * 1000 + column;
}

}  // namespace

TEST_CASE("emulator: a missing barrier is found, before a read and before a write") {
  const Tensor x = numbers(64), y = zeros(64);
  const LaunchShape two_warps{.threads_x = 64};
  const auto run = [&](auto kernel) { return fault_in(two_warps, kernel, pointer<const float>(x), pointer<float>(y)); };
  CHECK(run(reverse_twice<true, true>) == "");
  CHECK(y.to<float>() == x.to<float>());
  for (const emulator::Order order : orders) {
    emulator::set_order(order);
    // Which of the two threads comes second is up to the order: it finds the element unwritten, or read too early.
    const std::string before_read = run(reverse_twice<false, true>);
    CHECK_MESSAGE((contains(before_read, "with no barrier between") || contains(before_read, "which nobody wrote")),
                  before_read);
    CHECK(contains(run(reverse_twice<true, false>), "with no barrier between"));
  }
  emulator::set_order(emulator::Order::forward);
  check_found("writes too, with no barrier between", two_warps, one_place, pointer<float>(y));
  check_found("with no barrier between", two_warps, read_by_two_warps, pointer<float>(y));
}

TEST_CASE("emulator: lanes of a warp that don't meet before they read from one another are found") {
  const Tensor y = zeros(32);
  const LaunchShape warp{.threads_x = 32};
  for (const emulator::Order order : orders) {
    emulator::set_order(order);
    const std::string error = fault_in(warp, neighbour_in_warp<false>, pointer<float>(y));
    CHECK_MESSAGE((contains(error, "with no barrier between") || contains(error, "which nobody wrote")), error);
    CHECK(fault_in(warp, neighbour_in_warp<true>, pointer<float>(y)) == "");
  }
  emulator::set_order(emulator::Order::forward);
  CHECK(y.to<float>()[4] == 5);
}

TEST_CASE("emulator: shared memory that nobody wrote, or beyond the array's end") {
  const Tensor y = zeros(64);
  check_found("reads shared element 63, which nobody wrote", {.threads_x = 64}, read_unwritten, pointer<float>(y));
  check_found("of 63", {.threads_x = 64, .shared_bytes = 63 * sizeof(float)}, beyond_shared, pointer<float>(y));
  CHECK(fault_in({.threads_x = 64, .shared_bytes = 64 * sizeof(float)}, beyond_shared, pointer<float>(y)) == "");
}

TEST_CASE("emulator: reads and writes outside of a tensor, though its block of memory is larger") {
  // The allocator's classes are multiples of 64 bytes: 33 floats lie in a block for 48.
  const Tensor x = numbers(33), y = zeros(33);
  const LaunchShape threads{.threads_x = 64};
  check_found("touches element 33 of a buffer of 33", {.threads_x = 33}, read_at, pointer<const float>(x), int64_t{1},
              pointer<float>(y));
  check_found("touches element -1 of a buffer of 33", {.threads_x = 33}, read_at, pointer<const float>(x), int64_t{-1},
              pointer<float>(y));
  check_found("touches element 33 of a buffer of 33", threads, write_to, y.numel(), pointer<float>(y));
  CHECK(fault_in(threads, write_to, y.numel() - 1, pointer<float>(y)) == "");
  check_found("touches a null pointer", {.threads_x = 33}, read_at, pointer<const float>(Tensor()), int64_t{0},
              pointer<float>(y));
  // A view's pointer starts where the view does and ends with the whole tensor.
  const Tensor tail = slice(x, {.start = 30});
  CHECK(fault_in({.threads_x = 3}, read_at, pointer<const float>(tail), int64_t{-30}, pointer<float>(y)) == "");
  check_found("touches element 33", {.threads_x = 4}, read_at, pointer<const float>(tail), int64_t{0},
              pointer<float>(y));
}

TEST_CASE("emulator: vectors that are not aligned, or end outside") {
  const Tensor y = zeros(34);
  const LaunchShape one{.threads_x = 1};
  check_found("a vector is not aligned", one, vectors, y.numel(), int64_t{2}, pointer<float>(y));
  check_found("touches element 32 of a buffer of 34", one, vectors, y.numel(), int64_t{0}, pointer<float>(y));
  CHECK(fault_in(one, vectors, int64_t{32}, int64_t{0}, pointer<float>(y)) == "");
}

TEST_CASE("emulator: a wrong index inside of the tensor shows beside the CPU's result") {
  const Tensor x = reshape(cast(Tensor::arange(12), DType::f32), {4, 3});
  const auto transposed_by = [&](auto kernel) {
    const Tensor there = x.to(open_device("cuda")), y = zeros(12);
    launch("transpose", device_context(), {.threads_x = 32}, kernel, 4, 3, pointer<const float>(there),
           pointer<float>(y));
    return y.to<float>();
  };
  CHECK(transposed_by(rows_to_columns<false>) == transpose(x, 0, 1).to<float>());
  CHECK(transposed_by(rows_to_columns<true>) != transpose(x, 0, 1).to<float>());
}

TEST_CASE("emulator: shuffles of lanes that don't take part") {
  const Tensor y = zeros(32);
  const LaunchShape warp{.threads_x = 32};
  check_found("a shuffle reads lane", warp, shuffle_beyond_mask, pointer<float>(y));
  check_found("which is not in its mask", warp, shuffle_beyond_mask, pointer<float>(y));
  check_found("a lane is not in the mask", warp, shuffle_not_in_mask, pointer<float>(y));
  for (const emulator::Order order : orders) {
    emulator::set_order(order);
    CHECK(contains(fault_in(warp, shuffle_of_some, pointer<float>(y)), "wait for one another for ever"));
  }
  emulator::set_order(emulator::Order::forward);
}

TEST_CASE("emulator: threads that wait at different places don't hang the test") {
  const Tensor y = zeros(64);
  for (const emulator::Order order : orders) {
    emulator::set_order(order);
    const std::string error = fault_in({.threads_x = 64}, barrier_of_some, pointer<float>(y));
    CHECK_MESSAGE(contains(error, "threads wait for one another for ever: 33 at __syncthreads, 31 in a warp"), error);
  }
  emulator::set_order(emulator::Order::forward);
}

TEST_CASE("emulator: correct kernels pass and give the same in every order") {
  const int64_t n = 1000;
  const Tensor x = numbers(n), positions = Tensor::arange(n).to(open_device("cuda"));
  for (const emulator::Order order : orders) {
    emulator::set_order(order);
    Context& c = device_context();
    const LaunchShape blocks = cover(n);
    const Tensor sums = zeros(blocks.blocks_x), halved = zeros(blocks.blocks_x);
    launch("block_sums", c, blocks, block_sums, n, pointer<const float>(x), pointer<float>(sums));
    launch("halved_sums", c, {.blocks_x = blocks.blocks_x, .shared_bytes = threads_per_block * sizeof(float)},
           halved_sums, n, pointer<const float>(x), pointer<float>(halved));
    // 0 + ... + 255, and 256 * 256 more from block to block; the last has 232 numbers.
    const std::vector<float> expected = {32640, 98176, 163712, 204972};
    CHECK(sums.to<float>() == expected);
    CHECK(halved.to<float>() == expected);

    const Tensor shifted = zeros(64);
    launch("early_exit", c, {.threads_x = 64}, early_exit, 40, pointer<float>(shifted));
    CHECK(shifted.to<float>()[38] == 39);
    CHECK(shifted.to<float>()[39] == 0);

    const Tensor counts = zeros(2, DType::i64);
    launch("count_even", c, blocks, count_even, n, pointer<const int64_t>(positions), pointer<int64_t>(counts));
    CHECK(counts.to<int64_t>() == std::vector<int64_t>{500, 0});

    const Tensor moved = zeros(32);
    launch("shuffles", c, {.threads_x = 32}, shuffles, pointer<float>(moved));
    const std::vector<float> lanes = moved.to<float>();
    CHECK(lanes[0] == 0 + 100 * 1 + 10000 * 3);      // nothing above lane 0: its own value
    CHECK(lanes[9] == 8 + 100 * 10 + 10000 * 11);    // groups of 8: lane 3 of the second
    CHECK(lanes[31] == 30 + 100 * 31 + 10000 * 27);  // nothing below lane 31

    const Tensor places = zeros(8 * 6, DType::i64);
    launch("in_a_grid", c, {.blocks_x = 2, .blocks_y = 3, .threads_x = 4, .threads_y = 2}, in_a_grid, 8,
           pointer<int64_t>(places));
    CHECK(places.to<int64_t>()[5 * 8 + 7] == 5007);
    CHECK(places.to<int64_t>()[2 * 8 + 3] == 2003);
  }
  emulator::set_order(emulator::Order::forward);
}
