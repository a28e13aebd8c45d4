// CUDA's execution model on the host, for tests: a kernel's blocks run one after the other, a block's threads as fibers
// that stop where a thread of a GPU would wait. Mistakes that a GPU may forgive are errors here:
//
//   - an access outside of a buffer (Pointer knows its bounds),
//   - a shared element read before it was written, or written by one thread and read by another without a barrier
//     between (every element remembers who touched it since which barrier),
//   - threads that wait for one another at different places.
//
// Blocks and threads run in several orders (set_order), so that a result which depends on it differs from the CPU's.
#pragma once
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace emulator {

struct Index {
  unsigned x = 1, y = 1, z = 1;
};

// What a kernel did that a GPU would not have done, or not reliably.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Order { forward, backward, shuffled };
void set_order(Order order);

// Runs `body` as every thread of every block. Throws Fault with the kernel's name, block and thread.
void run_kernel(const std::string& name, Index grid, Index block, std::size_t dynamic_shared_bytes,
                const std::function<void()>& body);

// --- called by the thread that runs --------------------------------------------------------------------------------
Index thread_index();
Index block_index();
Index block_size();
Index grid_size();
void barrier();
// Gives `bits` to the other lanes of `mask` and returns a pointer to what all 32 lanes gave.
const uint64_t* warp_exchange(uint32_t mask, uint64_t bits);
int lane();
uint32_t ballot(uint32_t mask, bool predicate);
[[noreturn]] void fault(const std::string& text);

template <class T, class Source>
T shuffle(uint32_t mask, T value, Source source, int width) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const int own = lane();
  const uint64_t* all = warp_exchange(mask, bits);
  const int from = source(own);
  const bool inside = from >= 0 && from / width == own / width;  // as CUDA: a lane outside leaves the own value
  if (inside && !(mask >> from & 1)) fault(fmt::format("a shuffle reads lane {}, which is not in its mask", from));
  std::memcpy(&value, inside ? &all[from] : &bits, sizeof(T));
  return value;
}

// A shared array of the running block, the same for all threads that name the same key.
struct SharedArray {
  std::byte* data;
  std::size_t count;
  void* shadow;
};
SharedArray shared_array(const void* key, std::size_t element_size, std::size_t count);
SharedArray dynamic_shared(std::size_t element_size);
void note_read(const SharedArray& array, std::size_t i);
void note_write(const SharedArray& array, std::size_t i);

// --- streams: work is put into queues and runs when somebody waits for it (runtime.cpp) ------------------------------
struct Stream;
struct Event;
struct Graph;
struct GraphExec;
void enqueue(Stream* stream, std::function<void()> work);
// The text of the last Fault that a stream met; empty if none since the last call.
std::string take_fault();
// Bytes of device memory there are; cudaMalloc fails beyond.
void set_memory(std::size_t bytes);
// What the machine has: a driver for this version of CUDA (0: none), as many devices, kernels for them in this build,
// and libraries unless there is a text that says what is missing of them.
struct Machine {
  int driver = 13000, devices = 1;
  bool kernels = true;
  std::string missing = {};
};
void set_machine(const Machine& machine);
const Machine& machine();

}  // namespace emulator
