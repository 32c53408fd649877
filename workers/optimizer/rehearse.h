/* Rehearsals: a prompt is tried on an input through the same generator and evaluator that serve, and its
 * score comes back. */
#ifndef WORKERS_OPTIMIZER_REHEARSE_H
#define WORKERS_OPTIMIZER_REHEARSE_H

#include "workers/optimizer/optimizer.h"

struct rehearsal {
    const char *task_type, *user_input, *prompt;
    const char *origin_id;   /* the request whose input it is; NULL: none */
    int64_t optimization_id; /* 1 … */
    int candidate;           /* 0: the active prompt */
};

/* valid: there is a score. Else reason says why not (failed, not judged, too late). Borrowed for the call. */
typedef void (*rehearsal_done)(void *context, bool valid, double score, bool passed, const char *reason);

struct rehearsals *rehearsals_open(struct optimizer *optimizer);
/* done of those under way is not called; nulls *rehearsals. */
void rehearsals_close(struct rehearsals **rehearsals);

/* Publishes a request of purpose rehearse in the high lane (all of rehearsal is copied); done is called once,
 * never from inside the call, at the latest after OPTIMIZER_REHEARSAL_TIMEOUT_MS. Answers come on the topic
 * replies; those a second late are asked for in Postgres. */
void rehearse(
    struct rehearsals *rehearsals, const struct rehearsal *rehearsal, rehearsal_done done, void *context);

/* The worker's replied. */
void rehearsals_replied(struct rehearsals *rehearsals, const char *key, const char *value, size_t length);

#endif
