#include "apps/common/progress.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <memory>

#include "engine/io/atomic_file.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace apps;

namespace {

// What the steps 1 to 5 of 5 print.
std::string printed(ProgressOptions options) {
  const TemporaryFolder folder;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen((folder / "out").c_str(), "w"), std::fclose);
  options.label = "epoch 1/2";
  options.steps = 5;
  options.out = file.get();
  {
    Progress progress(options);
    for (int64_t step = 1; step <= 5; ++step)
      progress.update({.steps = step, .images = step * 8, .loss = 1.5, .accuracy = 0.25});
    progress.finish();
    progress.update({.steps = 1});
  }
  return engine::read_text(folder / "out");
}

}  // namespace

TEST_CASE("progress: the bar's text") {
  const ProgressOptions options{.label = "epoch 3/30", .steps = 40};
  const ProgressValues values{.steps = 10, .images = 1280, .loss = 2.3104, .accuracy = 0.331};
  const std::string line = bar_line(options, values, 12, 100);
  CHECK(line ==
        "epoch 3/30  25%|#######" + std::string(22, ' ') + "| 10/40 [00:12<00:36, 107 img/s, loss 2.310, acc 33.1]");
  CHECK(line.size() == 99);
  CHECK(bar_line(options, values, 12, 30).size() == 29);
  CHECK(contains(bar_line(options, {.steps = 40}, 12, 200), "100%|" + std::string(40, '#') + "|"));
  CHECK(plain_line(options, values, 12) == "epoch 3/30  10/40 [00:12<00:36, 107 img/s, loss 2.310, acc 33.1]");
}

TEST_CASE("progress: the time left of a resumed epoch counts from its first step") {
  const ProgressOptions options{.label = "epoch", .steps = 40, .first_step = 30};
  CHECK(contains(plain_line(options, {.steps = 35, .images = 640}, 10), "35/40 [00:10<00:10, 64 img/s"));
  CHECK(contains(plain_line(options, {.steps = 30}, 0), "30/40 [00:00<?, 0 img/s"));
}

TEST_CASE("progress: clock") {
  CHECK(clock_time(0) == "00:00");
  CHECK(clock_time(59.6) == "01:00");
  CHECK(clock_time(3725) == "1:02:05");
}

TEST_CASE("progress: plain lines every few steps and at the end where there is no terminal") {
  const std::string text = printed({.every = 2, .terminal = false});
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  CHECK(contains(text, "epoch 1/2  2/5 ["));
  CHECK(contains(text, "epoch 1/2  4/5 ["));
  CHECK(contains(text, "epoch 1/2  5/5 ["));
  CHECK_FALSE(contains(text, "\r"));
  CHECK_FALSE(contains(text, "\x1b"));
}

TEST_CASE("progress: a terminal gets one line that redraws itself, coloured unless NO_COLOR is set") {
  ::unsetenv("NO_COLOR");
  const std::string coloured = printed({.terminal = true});
  CHECK(contains(coloured, "\x1b[32m#"));
  ::setenv("NO_COLOR", "1", 1);
  const std::string plain = printed({.terminal = true});
  ::unsetenv("NO_COLOR");
  CHECK_FALSE(contains(plain, "\x1b[32m"));
  for (const std::string& text : {coloured, plain}) {
    CHECK(text.front() == '\r');
    CHECK(text.back() == '\n');
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    CHECK(contains(text, "| 5/5 ["));
  }
}
