#include "engine/cuda/recording.h"

#include "engine/core/random.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/step_scalars.h"

namespace engine::cuda {
namespace {

using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

// What a step draws from the default generator: nothing is drawn while it is recorded, but at every replay.
struct Draws {
  Generator::State begin;
  uint64_t words;
};

class GraphRecording : public Recording {
 public:
  GraphRecording(Context& context, GraphExec exec, std::shared_ptr<void> memory, const Draws& draws)
      : context_(context), memory_(std::move(memory)), exec_(std::move(exec)), draws_(draws) {}
  ~GraphRecording() override {
    cudaStreamSynchronize(context_.stream());  // its memory must not be given to others while it still runs
  }
  void replay() override {
    if (draws_.words) draw();
    context_.use();
    ENGINE_CUDA(cudaGraphLaunch(exec_.get(), context_.stream()));
    context_.launched("step graph");
  }

 private:
  void draw() {
    const Generator::State now = default_generator().take(draws_.words);
    check(now.seed == draws_.begin.seed && now.stream == draws_.begin.stream, "step graph",
          "the default generator was seeded anew (with {}) after a step that draws from it was recorded: call reset()",
          now.seed);
    write_drawn(context_, now.position - draws_.begin.position);
  }

  Context& context_;
  std::shared_ptr<void> memory_;
  GraphExec exec_;
  Draws draws_;
};

// Recording, from begin() on, until it ends: also when the step throws.
class Capture {
 public:
  explicit Capture(Context& context) : context_(context) {
    // Relaxed: the step may ask for memory while it is recorded.
    ENGINE_CUDA(cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeRelaxed));
    context.set_recording(true);
  }
  ~Capture() {
    if (!context_.recording()) return;
    cudaGraph_t abandoned = nullptr;
    cudaStreamEndCapture(context_.stream(), &abandoned);
    if (abandoned) cudaGraphDestroy(abandoned);
    cudaGetLastError();
    context_.set_recording(false);
  }
  Graph end() {
    context_.set_recording(false);
    cudaGraph_t graph = nullptr;
    ENGINE_CUDA(cudaStreamEndCapture(context_.stream(), &graph));
    return Graph(graph);
  }

 private:
  Context& context_;
};

}  // namespace

std::unique_ptr<Recording> record(int device, const std::function<void()>& step) {
  Context& c = context(device);
  c.synchronize();
  const PrivatePool pool(device);
  begin_noting(c);
  Capture capture(c);
  const Generator::State before = default_generator().state();
  step();
  const Graph graph = capture.end();
  const Draws draws{before, default_generator().state().position - before.position};
  default_generator().set_state(before);
  cudaGraphExec_t exec = nullptr;
  ENGINE_CUDA(cudaGraphInstantiate(&exec, graph.get(), 0));
  auto recording = std::make_unique<GraphRecording>(c, GraphExec(exec), pool.memory(), draws);
  write_noted(c);
  return recording;
}

}  // namespace engine::cuda
