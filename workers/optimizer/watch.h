/* Probation: a version that the optimizer put into service is watched over its first evaluations, and put
 * back if it does worse than the one it replaced. */
#ifndef WORKERS_OPTIMIZER_WATCH_H
#define WORKERS_OPTIMIZER_WATCH_H

#include "schemas/verdict.h"
#include "workers/optimizer/optimizer.h"

struct watch *watch_open(struct optimizer *optimizer);
void watch_close(struct watch **watch);

/* Reads from Postgres what is on probation: at the start, and after a patch by anybody (asked for every
 * second). */
void watch_refresh(struct watch *watch);

/* Takes in a verdict as windows_add does; ends the probation of its prompt when the evidence or the number
 * suffices. */
void watch_add(struct watch *watch, int partition, const struct verdict *verdict);

/* Judges every open probation of all task types by the rows of table results, once, for --once. done is
 * called once. */
void watch_review(struct watch *watch, void (*done)(void *context, int rolled_back), void *context);

#endif
