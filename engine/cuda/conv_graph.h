// A convolution as a graph of cuDNN with the plans it has for it. conv_graph.cpp alone sees cudnn-frontend, which is
// slow to compile.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/cuda/conv_problem.h"

struct cudnnContext;

namespace engine::cuda {

// What plans are made for: the device of a handle, or one that is only described (the JSON text that cuDNN itself makes
// of a device), which needs no device and no driver.
struct ConvTarget {
  cudnnContext* handle = nullptr;
  std::string device = {};
};

// Addresses of the operands; bias and residual only where the problem has them.
struct ConvPointers {
  void *x = nullptr, *w = nullptr, *y = nullptr, *bias = nullptr, *residual = nullptr;
};

class ConvGraph {
 public:
  // Builds the first `most` plans that work, best guess first. None is no error: plans() is 0 then.
  ConvGraph(const ConvProblem& problem, const ConvTarget& target, int most);
  ~ConvGraph();
  ConvGraph(ConvGraph&&) noexcept;
  ConvGraph& operator=(ConvGraph&&) noexcept;

  int plans() const { return static_cast<int>(built_.size()); }
  const std::string& why() const { return why_; }  // there are none
  std::string name(int plan) const;                // cuDNN's
  int64_t workspace(int plan) const;               // bytes

  // Throws Error where cuDNN does.
  void run(int plan, cudnnContext* handle, const ConvPointers& pointers, void* workspace) const;

 private:
  struct Graph;
  std::unique_ptr<Graph> graph_;
  std::vector<int64_t> built_;  // their indices in cuDNN's list
  std::string why_;
};

}  // namespace engine::cuda
