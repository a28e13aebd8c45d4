#include "engine/cuda/recording.h"

#include "engine/cuda/memory.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {
namespace {

using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

class GraphRecording : public Recording {
 public:
  GraphRecording(Context& context, GraphExec exec, std::shared_ptr<void> memory)
      : context_(context), memory_(std::move(memory)), exec_(std::move(exec)) {}
  ~GraphRecording() override {
    cudaStreamSynchronize(context_.stream());  // its memory must not be given to others while it still runs
  }
  void replay() override {
    context_.use();
    ENGINE_CUDA(cudaGraphLaunch(exec_.get(), context_.stream()));
    context_.launched("step graph");
  }

 private:
  Context& context_;
  std::shared_ptr<void> memory_;
  GraphExec exec_;
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
  Capture capture(c);
  step();
  const Graph graph = capture.end();
  cudaGraphExec_t exec = nullptr;
  ENGINE_CUDA(cudaGraphInstantiate(&exec, graph.get(), 0));
  return std::make_unique<GraphRecording>(c, GraphExec(exec), pool.memory());
}

}  // namespace engine::cuda
