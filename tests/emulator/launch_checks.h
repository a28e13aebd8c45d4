// Whether the plan of a launch is one that a device takes and that does all of the work once.
#pragma once
#include <string>

#include "tests/emulator/planning.h"

namespace engine::test {

// What is wrong with it; empty if nothing. Looked at are the limits of grids and blocks; and of what the kernel is
// given
//   DeviceLoop      sizes against the count, 32-bit positions, where elements lie, the last of them inside of its
//   buffer MapOrder        likewise, and whether its tensor is whole aligned vectors Columns         whether groups and
//   chunks cover columns and rows once, the position of vectors, their alignment ReductionShape  whether blocks and
//   pieces cover sets and terms once a first int64   elements that every buffer has
std::string complaint(const emulator::Launch& launch);

}  // namespace engine::test
