// The way of the host's bytes to the device: through pinned memory, without a wait, and none overwritten too early.
#include "engine/cuda/staging.h"

#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <numeric>

#include "engine/cuda/device_code.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/select.h"
#include "tests/emulator/execution.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::cuda;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

Device device() { return open_device("cuda"); }

__global__ void add_one(Global<int64_t> y) { y[0] = y[0] + 1; }

// Work that tells whether the device has come to it.
class Marker {
 public:
  Marker() {
    context(device().index).synchronize();
    launch("marker", context(device().index), {.threads_x = 1}, add_one, cuda::pointer<int64_t>(count_));
  }
  // Past all queues: the emulated device's memory is the host's.
  bool done() const { return *reinterpret_cast<const int64_t*>(count_.raw()) == 1; }

 private:
  Tensor count_ = Tensor::zeros({1}, {.dtype = DType::i64, .device = device()});
};

// Bytes of device memory, and what they shall be: filled from a host buffer that is reused for every one.
struct Sent {
  Tensor there;
  uint8_t first;
};
Sent send(std::vector<uint8_t>& buffer, std::size_t bytes, uint8_t first) {
  buffer.resize(std::max(buffer.size(), bytes));
  std::iota(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(bytes), first);
  Sent sent{Tensor::empty({static_cast<int64_t>(bytes)}, {.dtype = DType::u8, .device = device()}), first};
  staging(0).copy(sent.there.raw(), reinterpret_cast<const std::byte*>(buffer.data()), bytes);
  return sent;
}

bool arrived(const Sent& sent) {
  const Tensor here = sent.there.to(Device{});
  uint8_t wanted = sent.first;
  for (int64_t i = 0; i < here.numel(); ++i)
    if (here.data<uint8_t>()[i] != wanted++) return false;
  return true;
}

}  // namespace

TEST_CASE("a tensor goes to the device without a wait for the work before it, and may be changed at once") {
  const Marker marker;
  const Tensor x = Tensor::full({1000}, 5);
  const Tensor there = x.to(device());
  x.data<float>()[0] = 6;
  CHECK_FALSE(marker.done());
  CHECK(there.to<float>() == std::vector<float>(1000, 5));
  CHECK(marker.done());
}

TEST_CASE("staging: copies of every size, more than fit at a time, arrive as they were") {
  std::vector<uint8_t> buffer;
  std::vector<Sent> sent;
  uint8_t first = 0;
  for (int round = 0; round < 3; ++round)
    for (const std::size_t bytes : {std::size_t{1}, 255 + mib, std::size_t{256}, 5 * mib + 1, Staging::largest_piece,
                                    Staging::largest_piece + 1, 3 * mib})
      sent.push_back(send(buffer, bytes, first += 31));
  sent.push_back(send(buffer, Staging::capacity + 7, 3));
  for (const Sent& s : sent) CHECK(arrived(s));
}

TEST_CASE("staging: many small copies arrive as they were") {
  std::vector<uint8_t> buffer;
  std::vector<Sent> sent;
  for (std::size_t i = 0; i < 2 * Staging::most_pieces + 9; ++i) sent.push_back(send(buffer, 1 + i % 300, 7 * i % 256));
  for (const Sent& s : sent) CHECK(arrived(s));
}

TEST_CASE("staging: waits for the oldest copies only, and only where the ring is full") {
  std::vector<uint8_t> buffer;
  std::vector<Sent> sent;
  context(device().index).synchronize();
  for (std::size_t i = 0; i < Staging::most_pieces; ++i) send(buffer, 1, 0);  // nothing older is left in the ring
  {
    const Marker first;
    for (std::size_t i = 0; i < Staging::most_pieces; ++i) sent.push_back(send(buffer, 1, 1));
    CHECK_FALSE(first.done());
    sent.push_back(send(buffer, 1, 2));  // takes the place of the oldest, which stands behind the marker
    CHECK(first.done());
  }
  // By bytes: four pieces fill the ring wherever it begins.
  const Marker second;
  for (int i = 0; i < 2; ++i) sent.push_back(send(buffer, Staging::largest_piece, 4));
  CHECK_FALSE(second.done());
  for (int i = 0; i < 4; ++i) sent.push_back(send(buffer, Staging::largest_piece, 5));
  CHECK(second.done());
  for (const Sent& s : sent) CHECK(arrived(s));
}

TEST_CASE("staging: a failed copy leaves the ring as it was") {
  std::vector<std::byte> host(64);
  CHECK(contains(error_of([&] { staging(device().index).copy(host.data(), host.data(), host.size()); }),
                 "cudaMemcpyAsync"));
  emulator::take_fault();
  std::vector<uint8_t> buffer;
  CHECK(arrived(send(buffer, 100, 9)));
}
