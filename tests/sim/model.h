/* The whole model: a conversation goes in, the text of its answer comes out. */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/prompt_author.h"
#include "tests/sim/roles.h"

struct arena;
struct sim_model;

struct sim_options {
    uint64_t seed;
    double noise; /* points of a judgement */
    bool off_topic_analyst;
    enum prompt_author author;
    int64_t harm_after; /* calls under one prompt */
};

struct sim_model *sim_model_open(const struct sim_options *options);
void sim_model_close(struct sim_model **model);

/* The part that a system prompt (or "") asks for. */
enum role sim_model_role(struct sim_model *model, struct arena *arena, const char *system);

/* system may be "". The answer is in arena; *role says which part it took. */
const char *sim_model_answer(
    struct sim_model *model, struct arena *arena, const char *system, const char *user, enum role *role);

#endif
