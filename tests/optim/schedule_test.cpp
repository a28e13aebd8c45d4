#include "engine/optim/schedule.h"

#include <doctest/doctest.h>

#include "engine/core/error.h"

using engine::LrSchedule;

TEST_CASE("schedule: CIFAR100-LT stage 1, warm-up 5, steps 160 and 180 by 0.01") {
  const LrSchedule schedule{
      .lr = 0.1, .kind = LrSchedule::Kind::multi_step, .steps = {160, 180}, .gamma = 0.01, .warmup_epochs = 5};
  const double warmup[] = {.02, .04, .06, .08, .1};
  for (int e = 0; e < 5; ++e) CHECK(schedule.rate(e) == doctest::Approx(warmup[e]));
  CHECK(schedule.rate(5) == doctest::Approx(.1));
  CHECK(schedule.rate(159) == doctest::Approx(.1));
  CHECK(schedule.rate(160) == doctest::Approx(.001));  // the 161st epoch
  CHECK(schedule.rate(179) == doctest::Approx(.001));
  CHECK(schedule.rate(180) == doctest::Approx(1e-5));
  CHECK(schedule.rate(199) == doctest::Approx(1e-5));
}

TEST_CASE("schedule: steps inside the warm-up multiply too") {
  const LrSchedule schedule{
      .lr = 1, .kind = LrSchedule::Kind::multi_step, .steps = {2}, .gamma = 0.1, .warmup_epochs = 4};
  CHECK(schedule.rate(1) == doctest::Approx(.5));
  CHECK(schedule.rate(2) == doctest::Approx(.075));
  CHECK(schedule.rate(3) == doctest::Approx(.1));
}

TEST_CASE("schedule: stage 2, cosine over five epochs") {
  const LrSchedule schedule{.lr = 0.01, .kind = LrSchedule::Kind::cosine, .epochs = 5};
  const double rates[] = {.01, .009045, .006545, .003455, .000955};
  for (int e = 0; e < 5; ++e) CHECK(schedule.rate(e) == doctest::Approx(rates[e]).epsilon(1e-4));
  CHECK(schedule.rate(5) == doctest::Approx(0));
  CHECK(LrSchedule{.lr = 1, .kind = LrSchedule::Kind::cosine, .epochs = 4, .eta_min = .2}.rate(2) ==
        doctest::Approx(.6));
}

TEST_CASE("schedule: constant, and its errors") {
  CHECK(LrSchedule{.lr = 0.3}.rate(77) == 0.3);
  CHECK_THROWS_AS(LrSchedule{}.rate(-1), engine::Error);
  CHECK_THROWS_AS(LrSchedule{.kind = LrSchedule::Kind::cosine}.rate(0), engine::Error);
}
