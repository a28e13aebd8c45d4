// Launches that are planned and not run: whole networks at full size, for which an emulated device has neither the time
// nor the memory. What a launch is given can be looked at instead.
#pragma once
#include <any>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace emulator {

struct Launch {
  std::string op;
  int64_t blocks_x = 1, blocks_y = 1;
  int threads = 1;
  std::size_t shared_bytes = 0;      // dynamic
  std::vector<std::any> parameters;  // the kernel's
};

// From the first call on nothing runs that is put into a stream, device memory is address space that nobody may touch,
// and `see` gets every launch. For programs of their own: there is no way back.
void plan_launches(std::function<void(const Launch&)> see);
bool planning();
void planned(const Launch& launch);

// Multiprocessors of the device, before it is opened: what grids are cut to.
void set_multiprocessors(int count);

}  // namespace emulator
