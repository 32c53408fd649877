/* What an output shows, by looking at it and at the input alone. */
#ifndef TESTS_SIM_SHOWN_H
#define TESTS_SIM_SHOWN_H

#include "tests/sim/kinds.h"

/* The abilities that show in output. */
ability_set shown_abilities(
    struct arena *arena, const struct task *task, const char *input, const char *output);

/* What is wrong with it as a whole: in verse, in another language, off topic, a secret in it, ... */
harm_set shown_harms(struct arena *arena, const struct task *task, const char *output);

#endif
