// Instruction sets that kernels are compiled for. One source per family of kernels is compiled once for each of them
// (engine/meson.build), and the best one this processor has is picked when the program runs.
#pragma once
#include <array>

namespace engine::cpu {

enum class Isa { baseline, avx2, avx512 };

// The best this processor has, or what RIDE_CPU_ISA=baseline|avx2|avx512 asks for; asking for more is an error.
Isa isa();

// This build knows it and the processor has it.
bool has(Isa isa);

// The processor multiplies pairs of bf16 (AVX512_BF16), and this build has kernels for AVX-512.
bool has_bf16_pairs();

// A family's kernels, compiled for each instruction set; null where this build doesn't know one.
template <class Table>
struct PerIsa {
  std::array<const Table*, 3> tables;

  const Table& operator[](Isa i) const { return *tables[static_cast<int>(i)]; }
  const Table& best() const { return (*this)[isa()]; }
  // f(table) for every one that this processor can run: for tests.
  template <class F>
  void for_each(F&& f) const {
    for (Isa i : {Isa::baseline, Isa::avx2, Isa::avx512})
      if (has(i)) f((*this)[i]);
  }
};

}  // namespace engine::cpu

// RIDE_PER_ISA(RowKernels, row_kernels) declares the tables baseline::row_kernels, avx2::row_kernels ... that the
// family's source defines (as RIDE_ISA::row_kernels), all of them as row_kernels_per_isa, and row_kernels() for the one
// to use.
#if defined(__x86_64__)
#define RIDE_PER_ISA(Table, name)                                                               \
  namespace baseline {                                                                          \
  extern const Table name;                                                                      \
  }                                                                                             \
  namespace avx2 {                                                                              \
  extern const Table name;                                                                      \
  }                                                                                             \
  namespace avx512 {                                                                            \
  extern const Table name;                                                                      \
  }                                                                                             \
  inline constexpr PerIsa<Table> name##_per_isa{{&baseline::name, &avx2::name, &avx512::name}}; \
  inline const Table& name() { return name##_per_isa.best(); }
#else
#define RIDE_PER_ISA(Table, name)                                                     \
  namespace baseline {                                                                \
  extern const Table name;                                                            \
  }                                                                                   \
  inline constexpr PerIsa<Table> name##_per_isa{{&baseline::name, nullptr, nullptr}}; \
  inline const Table& name() { return name##_per_isa.best(); }
#endif
