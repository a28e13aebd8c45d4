// Order of the last axis. Elements become entries of key and position, which differ even where elements are equal, so
// that every way to sort them is stable. Rows that fit a block's shared memory are sorted there (a bitonic network);
// longer ones are sorted in chunks of that size, and then neighbouring runs are merged, twice as long each time.
#include "engine/cuda/sort.h"

#include "engine/cuda/map.h"
#include "engine/cuda/table.h"
#include "engine/kernels/order.h"

namespace engine::cuda {
namespace {

template <class Key>
struct Entry {
  Key key;
  uint32_t position;

  ENGINE_HD friend bool operator<(const Entry& a, const Entry& b) {
    return a.key < b.key || (a.key == b.key && a.position < b.position);
  }
};

template <class T>
using EntryOf = Entry<SortKey<Compute<T>>>;

// What a chunk is filled up with: behind every element.
template <class Key>
__device__ Entry<Key> filler(uint32_t position) {
  return {static_cast<Key>(~Key(0)), position};
}

// Sorts `size` entries, a power of two, of which each thread has written some.
template <class E, class Entries>
__device__ void sort_shared(Entries entries, int size) {
  for (int run = 2; run <= size; run *= 2)
    for (int away = run / 2; away > 0; away /= 2) {
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < size / 2; i += static_cast<int>(blockDim.x)) {
        const int low = 2 * i - (i & (away - 1)), high = low + away;
        const bool rising = (low & run) == 0;
        const E a = entries[low], b = entries[high];
        if ((b < a) == rising) {
          entries[low] = b;
          entries[high] = a;
        }
      }
    }
  __syncthreads();
}

// Block (r, c) sorts chunk c of row r. The first `keep` of a chunk are what can still be among the first of the row;
// they go to `index` where the row is one chunk, to `runs` at the chunk's own place otherwise.
template <class T>
__global__ void __launch_bounds__(1024) sort_chunks(int64_t n, int64_t keep, int chunk, bool descending,
                                                    Global<const T> x, Global<int64_t> index, Global<EntryOf<T>> runs) {
  ENGINE_DYNAMIC_SHARED(EntryOf<T>, entries);
  const int64_t row = blockIdx.x, begin = static_cast<int64_t>(blockIdx.y) * chunk;
  for (int i = static_cast<int>(threadIdx.x); i < chunk; i += static_cast<int>(blockDim.x)) {
    const int64_t position = begin + i;
    entries[i] = position < n ? EntryOf<T>{sort_key(static_cast<Compute<T>>(x[row * n + position]), descending),
                                           static_cast<uint32_t>(position)}
                              : filler<SortKey<Compute<T>>>(static_cast<uint32_t>(position));
  }
  sort_shared<EntryOf<T>>(entries, chunk);
  const int64_t rest = n - begin;
  for (int i = static_cast<int>(threadIdx.x); i < chunk && i < keep && i < rest; i += static_cast<int>(blockDim.x)) {
    const EntryOf<T> entry = entries[i];
    if (gridDim.y == 1)
      index[row * keep + i] = entry.position;
    else
      runs[row * n + begin + i] = entry;
  }
}

// Merges runs of `length`, of each of which the first `keep` are there: an entry's place is its own number and the
// number of entries of the other run before it. Into `index` when these are the last two runs of the row.
template <class E>
__global__ void merge_runs(int64_t rows, int64_t n, int64_t keep, int64_t length, Global<const E> from, Global<E> to,
                           Global<int64_t> index) {
  const int64_t per_run = keep < length ? keep : length, runs = (n + length - 1) / length;
  for (int64_t i = grid_index(); i < rows * runs * per_run; i += grid_step()) {
    const int64_t number = i % per_run, run = i / per_run % runs, row = i / per_run / runs;
    const int64_t own = run * length, other = (run ^ 1) * length, first = own < other ? own : other;
    if (own + number >= n) continue;
    const E entry = from[row * n + own + number];
    const int64_t there = n - other < per_run ? n - other : per_run;  // not above 0 where there is no other run
    int64_t before = 0;
    for (int64_t end = there; before < end;) {
      const int64_t middle = (before + end) / 2;
      if (from[row * n + other + middle] < entry)
        before = middle + 1;
      else
        end = middle;
    }
    const int64_t place = number + before;
    if (place >= keep) continue;
    if (2 * length >= n)
      index[row * keep + place] = entry.position;
    else
      to[row * n + first + place] = entry;
  }
}

template <class T>
void sort_as(const Tensor& x, bool descending, const Tensor& index) {
  using E = EntryOf<T>;
  constexpr int64_t longest = 32 * 1024 / sizeof(E);  // chunk
  const int64_t n = x.size(-1), keep = index.size(-1), rows = x.numel() / n;
  check(n <= longest * most_blocks_yz, "sort", "an axis of {} elements is too long: expected at most {}", n,
        longest * most_blocks_yz);
  const int64_t chunk = std::min(longest, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))));
  const int64_t chunks = (n + chunk - 1) / chunk;
  Context& c = context(x.device().index);
  Tensor memory[2];
  Global<E> runs[2] = {};
  if (chunks > 1)
    for (int i = 0; i < 2; ++i) {
      memory[i] =
          Tensor::empty({x.numel() * static_cast<int64_t>(sizeof(E))}, {.dtype = DType::u8, .device = x.device()});
      runs[i] = memory_as<E>(memory[i].raw(), static_cast<std::size_t>(x.numel()));
    }
  const LaunchShape shape{.blocks_x = rows,
                          .blocks_y = chunks,
                          .threads_x = static_cast<int>(std::clamp<int64_t>(chunk / 2, 32, 1024)),
                          .shared_bytes = static_cast<std::size_t>(chunk) * sizeof(E)};
  launch("sort", c, shape, sort_chunks<T>, n, keep, static_cast<int>(chunk), descending, pointer<const T>(x),
         pointer<int64_t>(index), runs[0]);
  for (int64_t length = chunk; length < n; length *= 2) {
    launch("sort", c, cover_device(c, x.numel()), merge_runs<E>, rows, n, keep, length, runs[0], runs[1],
           pointer<int64_t>(index));
    std::swap(runs[0], runs[1]);
  }
}

}  // namespace

void sort(const Tensor& x, bool descending, const Tensor& index) {
  if (index.numel() == 0) return;
  dispatch_all(x.dtype(), [&](auto tag) { sort_as<typename decltype(tag)::type>(x, descending, index); });
}

void fill_sort(ReduceKernels& table) { table.sort = sort; }

}  // namespace engine::cuda
