// `count` copies of one element: what Tensor::zeros and Tensor::full ask of the device's memory.
#include "engine/cuda/fill.h"
#include "engine/cuda/map.h"

namespace engine::cuda {
namespace {

template <class Word>
__global__ void fill_kernel(int64_t count, Word word, Global<Word> target) {
  for (int64_t i = grid_index(); i < count; i += grid_step()) target[i] = word;
}

template <class Word>
void fill_words(Context& c, std::byte* target, const std::byte* element, std::size_t count) {
  Word word;
  std::memcpy(&word, element, sizeof(Word));
  launch("fill", c, cover(static_cast<int64_t>(count)), fill_kernel<Word>, static_cast<int64_t>(count), word,
         memory_as<Word>(target, count));
}

}  // namespace

void fill_memory(Context& c, std::byte* target, const std::byte* element, std::size_t element_size, std::size_t count) {
  if (count == 0) return;
  if (std::all_of(element, element + element_size, [&](std::byte b) { return b == element[0]; })) {  // zeros, mostly
    c.use();
    ENGINE_CUDA(cudaMemsetAsync(target, std::to_integer<int>(element[0]), count * element_size, c.stream()));
    return c.launched("fill");
  }
  switch (element_size) {
    case 2: return fill_words<uint16_t>(c, target, element, count);
    case 4: return fill_words<uint32_t>(c, target, element, count);
    case 8: return fill_words<uint64_t>(c, target, element, count);
    default: fail("fill", "elements of {} bytes", element_size);
  }
}

}  // namespace engine::cuda
