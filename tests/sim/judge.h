/* The judge: scores what a task needs against what an output shows. */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include <stdint.h>

struct arena;

/* The JSON object of its judgement. noise: points, at most so many up or down, fixed by seed and texts. */
const char *judge_answer(
    struct arena *arena, const char *input, const char *output, double noise, uint64_t seed);

#endif
