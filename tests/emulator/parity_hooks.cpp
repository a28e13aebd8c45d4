#include "tests/emulator/execution.h"
#include "tests/parity/parity.h"

void engine::test::recover() { emulator::take_fault(); }
int engine::test::training_steps() { return 5; }
