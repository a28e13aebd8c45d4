#include "engine/cuda/clock.h"

#include "engine/cuda/runtime.h"

namespace engine::cuda {
namespace {

class EventClock final : public profile::Clock {
 public:
  explicit EventClock(Context& context) : context_(context) {}

  Mark mark() override {
    auto event = std::make_shared<const Event>(make_event(cudaEventDefault));
    ENGINE_CUDA(cudaEventRecord(event->get(), context_.stream()));
    return event;
  }
  double seconds(const Mark& from, const Mark& to) override {
    ENGINE_CUDA(cudaEventSynchronize(event(to)));
    float milliseconds = 0;
    ENGINE_CUDA(cudaEventElapsedTime(&milliseconds, event(from), event(to)));
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  static cudaEvent_t event(const Mark& mark) { return static_cast<const Event*>(mark.get())->get(); }

  Context& context_;
};

}  // namespace

std::shared_ptr<profile::Clock> event_clock(int device) { return std::make_shared<EventClock>(context(device)); }

}  // namespace engine::cuda
