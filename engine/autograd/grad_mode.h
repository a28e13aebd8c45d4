// Whether ops are recorded for backward.
#pragma once

namespace engine {

bool grad_enabled();  // of this thread; on at the start

// Switches recording off (or on) while it lives.
class GradMode {
 public:
  explicit GradMode(bool on);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;
  bool previous() const { return previous_; }  // the mode it replaced

 private:
  bool previous_;
};

struct NoGradGuard : GradMode {
  NoGradGuard() : GradMode(false) {}
};

}  // namespace engine
