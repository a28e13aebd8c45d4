#include "engine/cpu/table.h"

namespace engine::cpu {

KernelTable kernel_table() {
  KernelTable table;
  fill(table.elementwise);
  fill(table.reduce);
  fill(table.index);
  fill(table.conv);
  fill(table.matmul);
  fill(table.norm);
  fill(table.pool);
  fill(table.loss);
  fill(table.optim);
  fill(table.image);
  fill(table.peak);
  return table;
}

}  // namespace engine::cpu
