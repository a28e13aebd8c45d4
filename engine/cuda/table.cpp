#include "engine/cuda/table.h"

namespace engine::cuda {

KernelTable kernel_table() {
  KernelTable table;
  fill_unary(table.elementwise);
  fill_binary(table.elementwise);
  fill_copy(table.elementwise);
  fill(table.reduce);
  fill_sort(table.reduce);
  fill_softmax(table.reduce);
  fill(table.index);
  fill_partition(table.index);
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

}  // namespace engine::cuda
