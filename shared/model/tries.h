/* What makes one call of a model out of tries: a budget, back-off, fallbacks, breakers and limits. Answers
 * are taken as the providers read them; what they should hold is asked for above. */
#ifndef SHARED_MODEL_TRIES_H
#define SHARED_MODEL_TRIES_H

#include <stdbool.h>

#include "shared/model/gate.h"
#include "shared/model/model.h"
#include "shared/model/targets.h"

struct tries;

/* LLM_TRIES_MAX, LLM_BUDGET_MS, LLM_RETRY_AFTER_MAX_MS, LLM_AWAY_WAIT_MS, LLM_CONCURRENCY_MIN and _MAX,
 * LLM_REQUESTS_PER_MINUTE, LLM_TOKENS_PER_MINUTE. */
struct tries_configuration {
    int64_t tries_max, budget_ms, retry_after_max_ms, away_wait_ms;
    int64_t concurrency_min, concurrency_max, requests_per_minute, tokens_per_minute;
};
extern struct tries_configuration tries_configuration;

enum {
    TRIES_LATER_MS = 5000, /* a longer wait for the next try is spent on the topic deferred */
    TRIES_AWAY_MIN = 16,   /* so many patient calls must wait for a model that is away before no more come */
    TRIES_AWAY_LATER_MS = 30000, /* where the main model serves, more than those come again so much later */
};

/* Reads the targets from the settings, opens the provider of each, and says in the log which they are. Wrong
 * settings end the process with one line on standard error and exit code 2. */
struct tries *tries_open(uv_loop_t *loop);

/* The one that serves who names none. */
const struct model_target *tries_first(const struct tries *tries);

/* See model_costs. */
bool tries_cost(const struct tries *tries);

/* See model_role. */
const char *tries_role(struct tries *tries, const char *setting, const char *entry);

/* Names of all models that a request may name, ", " between them. */
const char *tries_names(const struct tries *tries);
bool tries_knows(const struct tries *tries, const char *name);

/* Starts a call: the request is copied; done is called once, from the loop, never from inside. The answer's
 * status is MODEL_RETRY only where the request is to come again in retry_after_ms with its count of tries,
 * and MODEL_REJECT for all else that is not MODEL_OK. */
void tries_call(struct tries *tries, const struct model_request *request, model_done done, void *context);

void tries_observe(
    struct tries *tries, void (*ended)(void *context, const struct model_try *attempt), void *context);
void tries_set_gate(struct tries *tries, const struct model_gate *gate);

/* NULL, or why work that nobody waits for should not be begun: what serves it is away. */
const char *tries_away(const struct tries *tries);
/* back is called when that may have become NULL. */
void tries_on_back(struct tries *tries, void (*back)(void *context), void *context);

/* Tries under way are given up, and told to observers as MODEL_ERROR_CANCELLED; no done is called. */
void tries_close(struct tries **tries);

#endif
