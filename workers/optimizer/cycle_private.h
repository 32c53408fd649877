/* What the files of a cycle share. */
#ifndef WORKERS_OPTIMIZER_CYCLE_PRIVATE_H
#define WORKERS_OPTIMIZER_CYCLE_PRIVATE_H

#include "shared/model/model.h"
#include "workers/optimizer/cycle.h"
#include "workers/optimizer/decide.h"
#include "workers/optimizer/propose.h"

struct pg_result;
struct pg_statement;

enum { ANALYSED_MAX = 10, REHEARSED_MAX = 64, FAILURES_MAX = 50, REJECTED_MAX = 1000 };

struct candidate {
    enum angle angle;
    const char *content; /* NULL: its author gave none */
    const char *refused; /* why it was not tried; NULL: it was, or is to be */
    bool failed;         /* the model did not answer its author's question */
    struct rehearsed rehearsed;
};

/* An input and the request that it came with. */
struct sample {
    const char *request_id, *user_input;
};

struct cycle {
    struct cycle *next;
    struct cycles *owner;
    struct arena *arena;
    struct cycle_trigger trigger;
    cycle_done done;
    void *context;
    uint64_t started_ns; /* uv_hrtime */

    /* How the answers that this step waits for go on; a step begins with none. */
    int waiting;
    void (*then)(struct cycle *cycle);
    void (*after)(struct cycle *cycle); /* the step behind this one */
    enum cycle_outcome failure;         /* of this step; CYCLE_PATCHED: none */
    const char *reason;

    bool locked;
    int64_t optimization_id;
    bool has_active;
    int64_t prompt_id, prompt_version;
    const char *prompt;    /* the active prompt */
    const char *last_good; /* NULL: there is none */
    int64_t next_try_ms, fruitless, tokens_today;
    const char *rejected[REJECTED_MAX]; /* hashes */
    int rejected_count;
    struct failure failures[FAILURES_MAX]; /* oldest first */
    int failure_count;
    struct scores scores;
    struct sample passed[REHEARSED_MAX];
    int passed_count;
    int analysed_from,
        analysed_count; /* the failures that the analyst sees; the others, or all, are rehearsed */
    int rehearsed_from, rehearsed_count;

    struct analysed analysis;
    struct candidate candidates[CANDIDATES_MAX + 2];
    int candidate_count;
    int next_trial;  /* of those of each prompt on each input, the next one to begin */
    double *results; /* of each prompt, the active one first, a row of what it scored on each input: the
                        failed ones, then those that passed; NAN: no score */
    struct rehearsed active; /* candidate 0 */
    int winner;
    int64_t tokens;
    struct trace trace;  /* its calls of the model */
    const char *figures; /* JSON */
    int64_t new_prompt_id, new_version;
};

/* cycle.c */
/* Sends a query as part of this step; take is called with its rows when it worked. */
void cycle_query(struct cycle *cycle, const struct pg_statement *statement, int count,
    const char *const *values, void (*take)(struct cycle *cycle, const struct pg_result *rows));
/* Asks the model as part of this step; take is called with the answer, whatever its status. */
void cycle_ask(struct cycle *cycle, const struct model_request *request, int number,
    void (*take)(struct cycle *cycle, int number, const struct model_answer *answer));
/* An answer of this step has come: the last one goes on. */
void cycle_answered(struct cycle *cycle);
/* This step cannot be done; the first reason stands. */
void cycle_fail(struct cycle *cycle, enum cycle_outcome outcome, const char *reason);
/* Ends the cycle: unlocks, tells, frees. */
void cycle_end(struct cycle *cycle, enum cycle_outcome outcome, const char *reason);
struct rehearsals *cycle_rehearsals(const struct cycle *cycle);
const char *cycle_integer(struct cycle *cycle, int64_t value);

/* cycle_read.c: locks the task type and reads all that the cycle needs; goes on with then. */
void cycle_read(struct cycle *cycle, void (*then)(struct cycle *cycle));

/* cycle_candidates.c: analysis and candidates; goes on with then. */
void cycle_analyse(struct cycle *cycle, void (*then)(struct cycle *cycle));
void cycle_propose(struct cycle *cycle, void (*then)(struct cycle *cycle));

/* cycle_rehearse.c: tries candidates and the active prompt; goes on with then. */
void cycle_rehearse(struct cycle *cycle, void (*then)(struct cycle *cycle));

/* cycle_conclude.c: decides, puts the winner into service or reports that there is none, and ends the cycle.
 */
void cycle_conclude(struct cycle *cycle);

#endif
