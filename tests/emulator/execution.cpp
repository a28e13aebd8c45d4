#include "tests/emulator/execution.h"

#include <fmt/format.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace emulator {
namespace {

constexpr int warp_size = 32;
constexpr std::size_t stack_bytes = 128 << 10;

// --- fibers: entered once through makecontext, then switched with setjmp and longjmp, which ask the system nothing ---

struct Fiber {
  std::unique_ptr<char[]> stack;
  ucontext_t entry{};
  jmp_buf place;
  bool entered = false;
};

jmp_buf scheduler_place;

void resume(Fiber& fiber) {
  if (_setjmp(scheduler_place)) return;
  if (fiber.entered) _longjmp(fiber.place, 1);
  fiber.entered = true;
  setcontext(&fiber.entry);
}

void yield(Fiber& fiber) {
  if (!_setjmp(fiber.place)) _longjmp(scheduler_place, 1);
}

// --- a block --------------------------------------------------------------------------------------------------------

enum class State { ready, at_barrier, in_warp, done };

struct Thread {
  Index index;
  State state = State::ready;
  int number = 0;  // in the block
};

// Lanes that meet in a shuffle, a vote or __syncwarp.
struct Meeting {
  uint32_t mask = 0, arrived = 0;
  uint64_t given[2][warp_size] = {};  // two, so that a fast lane's next meeting leaves this one's values in place
  int round = 0;
  unsigned epoch = 0;  // meetings of all lanes so far: they order a warp's accesses like a barrier
};

struct Touch {  // of a shared element
  int writer = -1, reader = -1;
  bool several_warps = false;  // since that barrier readers of more than one warp
  bool several_readers = false;
  unsigned write_epoch = 0, read_epoch = 0;  // barriers before it
  unsigned write_meeting = 0, read_meeting = 0;
};

struct Shared {
  std::vector<std::byte> bytes;
  std::vector<Touch> touches;
};

struct Block {
  std::string kernel;
  Index grid, size, index;
  const std::function<void()>* body = nullptr;
  std::vector<Thread> threads;
  std::vector<Meeting> meetings;  // by warp
  std::map<const void*, Shared> shared;
  std::size_t dynamic_bytes = 0;
  unsigned epoch = 1;  // barriers passed, from 1
  int live = 0;
  std::string fault;
};

Block block;
Thread* current = nullptr;
std::deque<Fiber> fibers;
Order order = Order::forward;

std::string at(const Thread& thread) {
  return fmt::format("{}, block ({}, {}), thread ({}, {})", block.kernel, block.index.x, block.index.y, thread.index.x,
                     thread.index.y);
}

void fiber_main() {
  for (;;) {
    Thread& self = *current;
    try {
      (*block.body)();
    } catch (const std::exception& error) {
      if (block.fault.empty()) block.fault = fmt::format("{}: {}", at(self), error.what());
    }
    self.state = State::done;
    --block.live;
    yield(fibers[self.number]);
  }
}

Fiber& fiber_of(int number) {
  while (fibers.size() <= static_cast<std::size_t>(number)) fibers.emplace_back();
  Fiber& fiber = fibers[number];
  if (!fiber.stack) {
    fiber.stack = std::make_unique<char[]>(stack_bytes);
    fiber.entered = false;
  }
  if (!fiber.entered) {
    getcontext(&fiber.entry);
    fiber.entry.uc_stack.ss_sp = fiber.stack.get();
    fiber.entry.uc_stack.ss_size = stack_bytes;
    makecontext(&fiber.entry, fiber_main, 0);
  }
  return fiber;
}

void wait_as(State state) {
  Thread& self = *current;
  self.state = state;
  yield(fibers[self.number]);
}

std::vector<int> permutation(int n, std::mt19937& random) {
  std::vector<int> out(n);
  std::iota(out.begin(), out.end(), 0);
  if (order == Order::backward) std::reverse(out.begin(), out.end());
  if (order == Order::shuffled) std::shuffle(out.begin(), out.end(), random);
  return out;
}

std::string waiting_threads() {
  const auto count = [](State state) {
    return std::ranges::count_if(block.threads, [=](const Thread& t) { return t.state == state; });
  };
  return fmt::format("{}, block ({}, {}): threads wait for one another for ever: {} at __syncthreads, {} in a warp",
                     block.kernel, block.index.x, block.index.y, count(State::at_barrier), count(State::in_warp));
}

void run_block(std::mt19937& random) {
  const int n = static_cast<int>(block.threads.size());
  block.live = n;
  while (block.live && block.fault.empty()) {
    bool moved = false;
    for (const int number : permutation(n, random)) {
      Thread& thread = block.threads[number];
      if (thread.state != State::ready) continue;
      moved = true;
      current = &thread;
      resume(fiber_of(number));
      if (!block.fault.empty()) break;
    }
    if (moved) continue;
    const auto waiting = std::count_if(block.threads.begin(), block.threads.end(),
                                       [](const Thread& t) { return t.state == State::at_barrier; });
    if (waiting != block.live) {
      block.fault = waiting_threads();
      break;
    }
    ++block.epoch;
    for (Thread& thread : block.threads)
      if (thread.state == State::at_barrier) thread.state = State::ready;
  }
  current = nullptr;
  if (block.fault.empty()) return;
  for (Fiber& fiber : fibers) fiber.entered = false;  // what still waits is given up
  throw Fault(block.fault);
}

Touch& touch_of(const SharedArray& array, std::size_t i) {
  return (*static_cast<std::vector<Touch>*>(array.shadow))[i];
}

unsigned meeting_epoch() { return block.meetings[current->number / warp_size].epoch; }

// Whether something that `other` did at that barrier and meeting count is ordered before what the current thread does.
bool ordered(int other, unsigned epoch, unsigned meeting) {
  if (other == current->number || epoch != block.epoch) return true;
  return other / warp_size == current->number / warp_size && meeting != meeting_epoch();
}

SharedArray array_of(Shared& shared, std::size_t element_size, std::size_t count) {
  if (shared.bytes.empty()) {
    shared.bytes.assign(element_size * count, std::byte{0xff});  // NaN, -1: nothing that looks right by chance
    shared.touches.assign(count, {});
  }
  return {shared.bytes.data(), count, &shared.touches};
}

}  // namespace

void set_order(Order chosen) { order = chosen; }

void run_kernel(const std::string& name, Index grid, Index size, std::size_t dynamic_shared_bytes,
                const std::function<void()>& body) {
  std::mt19937 random(20210503);
  const int blocks = static_cast<int>(grid.x * grid.y), threads = static_cast<int>(size.x * size.y);
  for (const int b : permutation(blocks, random)) {
    block = Block{};
    block.kernel = name;
    block.grid = grid;
    block.size = size;
    block.index = {static_cast<unsigned>(b) % grid.x, static_cast<unsigned>(b) / grid.x, 0};
    block.body = &body;
    block.dynamic_bytes = dynamic_shared_bytes;
    block.meetings.resize((threads + warp_size - 1) / warp_size);
    for (int t = 0; t < threads; ++t)
      block.threads.push_back(
          {.index = {static_cast<unsigned>(t) % size.x, static_cast<unsigned>(t) / size.x, 0}, .number = t});
    run_block(random);
  }
}

Index thread_index() { return current->index; }
Index block_index() { return block.index; }
Index block_size() { return block.size; }
Index grid_size() { return block.grid; }
int lane() { return current->number % warp_size; }

void fault(const std::string& text) { throw Fault(text); }

void barrier() { wait_as(State::at_barrier); }

const uint64_t* warp_exchange(uint32_t mask, uint64_t bits) {
  const int warp = current->number / warp_size, first = warp * warp_size;
  const int lanes = std::min(warp_size, static_cast<int>(block.threads.size()) - first);
  const uint32_t all = lanes == warp_size ? 0xffffffffu : (1u << lanes) - 1;
  mask &= all;  // lanes of a last, smaller warp may be named, as CUDA does
  Meeting& meeting = block.meetings[warp];
  if (!(mask >> lane() & 1)) fault("a lane is not in the mask that it meets the others with");
  if (meeting.arrived == 0) meeting.mask = mask;
  if (meeting.mask != mask) fault("lanes of a warp meet with different masks");
  const int round = meeting.round;
  meeting.given[round][lane()] = bits;
  meeting.arrived |= 1u << lane();
  if (meeting.arrived == mask) {
    meeting.arrived = 0;
    meeting.round ^= 1;
    if (mask == all) ++meeting.epoch;
    for (int i = 0; i < lanes; ++i)
      if (mask >> i & 1 && i != lane()) block.threads[first + i].state = State::ready;
  } else {
    wait_as(State::in_warp);
  }
  return meeting.given[round];
}

uint32_t ballot(uint32_t mask, bool predicate) {
  const uint64_t* given = warp_exchange(mask, predicate);
  const int first = current->number / warp_size * warp_size;
  uint32_t votes = 0;
  for (int i = 0; i < warp_size && first + i < static_cast<int>(block.threads.size()); ++i)
    if (mask >> i & 1 && given[i]) votes |= 1u << i;
  return votes;
}

SharedArray shared_array(const void* key, std::size_t element_size, std::size_t count) {
  return array_of(block.shared[key], element_size, count);
}

SharedArray dynamic_shared(std::size_t element_size) {
  return array_of(block.shared[nullptr], element_size, block.dynamic_bytes / element_size);
}

void note_read(const SharedArray& array, std::size_t i) {
  if (i >= array.count) fault(fmt::format("reads shared element {} of {}", i, array.count));
  Touch& touch = touch_of(array, i);
  if (touch.writer < 0) fault(fmt::format("reads shared element {}, which nobody wrote", i));
  if (!ordered(touch.writer, touch.write_epoch, touch.write_meeting))
    fault(fmt::format("reads shared element {} that thread {} writes, with no barrier between", i, touch.writer));
  const bool same = touch.read_epoch == block.epoch && touch.read_meeting == meeting_epoch();
  touch.several_warps =
      touch.read_epoch == block.epoch &&
      (touch.several_warps || (touch.reader >= 0 && touch.reader / warp_size != current->number / warp_size));
  touch.several_readers = same && (touch.several_readers || (touch.reader >= 0 && touch.reader != current->number));
  touch.reader = current->number;
  touch.read_epoch = block.epoch;
  touch.read_meeting = meeting_epoch();
}

void note_write(const SharedArray& array, std::size_t i) {
  if (i >= array.count) fault(fmt::format("writes shared element {} of {}", i, array.count));
  Touch& touch = touch_of(array, i);
  const bool read_by_others =
      touch.reader >= 0 &&
      (!ordered(touch.reader, touch.read_epoch, touch.read_meeting) ||
       (touch.several_warps && touch.read_epoch == block.epoch) ||
       (touch.several_readers && touch.read_epoch == block.epoch && touch.read_meeting == meeting_epoch()));
  if (read_by_others)
    fault(fmt::format("writes shared element {} that thread {} reads, with no barrier between", i, touch.reader));
  if (touch.writer >= 0 && !ordered(touch.writer, touch.write_epoch, touch.write_meeting))
    fault(fmt::format("writes shared element {} that thread {} writes too, with no barrier between", i, touch.writer));
  touch.writer = current->number;
  touch.write_epoch = block.epoch;
  touch.write_meeting = meeting_epoch();
}

}  // namespace emulator
