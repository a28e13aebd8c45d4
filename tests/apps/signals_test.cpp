#include "apps/common/signals.h"

#include <doctest/doctest.h>

#include <csignal>
#include <initializer_list>

using namespace apps;

TEST_CASE("signals: the first one is remembered until asked anew") {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    catch_stop_signals();
    CHECK(stop_signal() == 0);
    std::raise(signal);
    std::raise(SIGTERM);
    CHECK(stop_signal() == signal);
  }
  CHECK(exit_code_of(SIGINT) == 130);
  CHECK(exit_code_of(SIGTERM) == 143);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) std::signal(signal, SIG_DFL);
}
