#include "apps/common/signals.h"

#include <csignal>
#include <initializer_list>

namespace apps {
namespace {

volatile std::sig_atomic_t caught = 0;

void remember(int signal) {
  if (caught == 0) caught = signal;
}

}  // namespace

void catch_stop_signals() {
  caught = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

int stop_signal() { return caught; }

}  // namespace apps
