/* What calls of models used, told on the topic usage: for every worker that calls models (struct worker's
 * usage). */
#ifndef WORKERS_USAGE_H
#define WORKERS_USAGE_H

#include "shared/metrics.h"
#include "shared/settings.h"

struct model;
struct run;
struct usage;

/* LLM_PRICES, LLM_DAILY_BUDGET_USD. */
extern struct setting usage_settings[];
extern struct metric usage_metrics[];

/* Observes model from now on: each try that ends, however it does, is told with its cost, and the daily
 * budget, if one is set, is asked before it. A price file that is wrong ends the process as a wrong setting
 * does.
 *
 * While a message is on its way, and 50 ms after the last, the next gathers: small ones when it is quiet,
 * large ones under load. What Kafka does not take waits within a bound; past it the oldest is dropped,
 * counted and said in the log: usage is no reason to stop serving. SIGTERM waits for it as for jobs. */
struct usage *usage_open(struct run *run, struct model *model);

/* After model_close, whose calls that were given up are told too: sends what is left and gives back what is
 * left of the budget, for a second at most. Nulls *usage. */
void usage_close(struct usage **usage);

#endif
