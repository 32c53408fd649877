/* The analyst: says from failures and the prompt that they were made under what is wrong with it. */
#ifndef TESTS_SIM_ANALYST_H
#define TESTS_SIM_ANALYST_H

#include <stdbool.h>

struct arena;

/* The JSON object of its analysis of a message; off_topic: it is about other things. */
const char *analyst_answer(struct arena *arena, const char *message, bool off_topic);

#endif
