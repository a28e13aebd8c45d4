#include "engine/cuda/conv_plan.h"

#include <map>
#include <mutex>

#include "engine/core/lru_cache.h"
#include "engine/cuda/conv_graph.h"
#include "engine/cuda/dnn.h"
#include "engine/cuda/plan_choice.h"

namespace engine::cuda {

const Tensor ConvOperands::undefined;

namespace {

constexpr int autotuned_plans = 10, autotuned_runs = 5;

struct Plan {
  ConvGraph graph;
  int chosen = 0;
};

// Of one device.
struct Plans {
  LruCache<ConvProblem, Plan, ConvProblemHash> cache{1024};
  // A recorded step goes on launching kernels that belong to a plan, so what ran in a recording stays.
  std::map<const Plan*, std::shared_ptr<const Plan>> recorded;
};

Plans& plans_of(int device) {
  static std::mutex mutex;
  static auto* plans = new std::map<int, Plans>;  // never destroyed: the driver may be gone before
  const std::lock_guard lock(mutex);
  return (*plans)[device];
}

ConvPointers pointers_of(const ConvOperands& o) {
  const auto address = [](const Tensor& x) { return x.defined() ? static_cast<void*>(x.raw()) : nullptr; };
  return {address(o.x), address(o.w), address(o.y), address(o.bias), address(o.residual)};
}

void launch_plan(const char* op, const ConvGraph& graph, int plan, Context& c, const ConvOperands& operands) {
  const int64_t bytes = graph.workspace(plan);
  const Tensor workspace =
      bytes > 0 ? Tensor::empty({bytes}, {.dtype = DType::u8, .device = operands.y.device()}) : Tensor();
  graph.run(plan, cudnn_handle(c), pointers_of(operands), bytes > 0 ? workspace.raw() : nullptr);
  c.launched(op);
}

// The result is overwritten by each run, and by the one that counts last.
float milliseconds(const char* op, const ConvGraph& graph, int plan, Context& c, const ConvOperands& operands) {
  cudaGetLastError();  // of a plan tried before this one
  const Event start = make_event(cudaEventDefault), end = make_event(cudaEventDefault);
  launch_plan(op, graph, plan, c, operands);  // the first run also loads the kernel
  ENGINE_CUDA(cudaEventRecord(start.get(), c.stream()));
  for (int run = 0; run < autotuned_runs; ++run) launch_plan(op, graph, plan, c, operands);
  ENGINE_CUDA(cudaEventRecord(end.get(), c.stream()));
  ENGINE_CUDA(cudaEventSynchronize(end.get()));
  float time = 0;
  ENGINE_CUDA(cudaEventElapsedTime(&time, start.get(), end.get()));
  return time;
}

Plan make_plan(const char* op, const ConvProblem& problem, Context& c, const ConvOperands& operands) {
  const bool tries = numerics().autotune && !problem.deterministic;
  Plan plan{ConvGraph(problem, {.handle = cudnn_handle(c)}, tries ? autotuned_plans : 1)};
  if (plan.graph.plans() > 1)
    plan.chosen =
        fastest_plan(plan.graph.plans(), [&](int tried) { return milliseconds(op, plan.graph, tried, c, operands); });
  return plan;
}

}  // namespace

bool run_conv(const char* op, const ConvProblem& problem, const ConvOperands& operands) {
  Context& c = context(operands.y.device().index);
  c.use();
  Plans& plans = plans_of(c.device());
  const auto plan = plans.cache.get(problem, [&] { return make_plan(op, problem, c, operands); });
  if (plan->graph.plans() == 0) {
    check(problem.fused(), op, "cuDNN {} has no plan for {} on cuda:{}: {}", cudnn_version(), problem.str(), c.device(),
          plan->graph.why());
    return false;
  }
  if (c.recording()) plans.recorded.emplace(plan.get(), plan);
  launch_plan(op, plan->graph, plan->chosen, c, operands);
  return true;
}

}  // namespace engine::cuda
