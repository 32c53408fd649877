/* The daily budget that all replicas share: a gate before each try of a call, which lets it be made only
 * within what this process has leased from Postgres. docs/usage.md says how it works. */
#ifndef SHARED_MODEL_BUDGET_H
#define SHARED_MODEL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct budget;
struct model;
struct model_target;
struct model_try;
struct pg;
struct price;

/* Stands in the reason of every refusal, and so in the results of requests that were refused. */
#define BUDGET_SPENT_TEXT "The daily budget for model calls"

struct budget_options {
    double limit_usd;   /* of a day (UTC), above 0 */
    const char *holder; /* names this process, for people who read budget_leases; borrowed */
    /* NULL: the model has no price, and its calls are let through. The function itself NULL: there is no
     * price file, which is one line on standard error and exit code 2. */
    const struct price *(*price_of)(void *context, const struct model_target *target);
    /* Whether requests that came from now on would fail for a try that is refused here. Where they would, the
     * lease says while it refuses, and gateways refuse them first. NULL: never. */
    bool (*fails_requests)(void *context);
    void *context;
};

/* Becomes the gate of model. pg NULL: it opens a connection of its own, by pg_settings. */
struct budget *budget_open(
    uv_loop_t *loop, struct pg *pg, struct model *model, const struct budget_options *options);

/* A try that was let through has ended and did cost nanousd, by what the provider reported. One that was cut
 * or given up counts as the most that it could cost, since the provider may charge what nobody was told. */
void budget_spent(struct budget *budget, const struct model_try *attempt, int64_t nanousd);

/* In 10^-9 US dollars. */
struct budget_figures {
    int64_t left; /* by nobody leased, as Postgres told last */
    int64_t free, reserved, spent;
    int64_t newly_refused; /* tries since the last call */
};
struct budget_figures budget_figures(struct budget *budget);

/* Nothing more will be spent: what is left of the lease goes back. budget_closing is true until Postgres has
 * it. */
void budget_give_back(struct budget *budget);
bool budget_closing(const struct budget *budget);

/* Nulls *budget. What was not given back counts as spent. */
void budget_close(struct budget **budget);

#endif
