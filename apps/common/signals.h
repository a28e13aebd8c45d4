// Polite stops: SIGINT, SIGTERM and SIGUSR1 (Slurm's warning) set a flag that the training loop reads between two
// steps.
#pragma once

namespace apps {

void catch_stop_signals();

// The first signal caught since catch_stop_signals, 0 for none.
int stop_signal();

// What a shell expects of a program that a signal stopped: 130 for SIGINT, 143 for SIGTERM.
inline int exit_code_of(int signal) { return 128 + signal; }

}  // namespace apps
