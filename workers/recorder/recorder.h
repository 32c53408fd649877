/* The recorder as a worker of the run-loop: the one place where a result becomes final. */
#ifndef WORKERS_RECORDER_RECORDER_H
#define WORKERS_RECORDER_RECORDER_H

#include "schemas/result.h"
#include "schemas/usage.h"
#include "shared/pace.h"
#include "workers/run.h"

struct arena;
struct pg_result;
struct pg_step;

/* The columns of results that are written, in the order of RECORD's parameters. */
enum column {
    REQUEST_ID,
    RUN,
    TENANT,
    LANE,
    PURPOSE,
    ORIGIN_ID,
    BATCH_ID,
    LINE,
    TASK_TYPE,
    USER_INPUT,
    REFINED_INPUT,
    OUTPUT,
    PROMPT_ID,
    PROMPT_VERSION,
    PROMPT_HASH,
    MODEL,
    STATUS,
    SCORE,
    PASSED,
    DETAIL,
    ERROR,
    LATENCY_MS,
    ACCEPTED_AT,
    RESULT_COLUMN_COUNT,
    /* Of a rehearsal, for its own table. */
    OPTIMIZATION_ID = RESULT_COLUMN_COUNT,
    CANDIDATE,
    COLUMN_COUNT
};

/* The columns of dead_letters, in the order of DEAD_LETTERS' parameters. */
enum dead_column {
    DEAD_REQUEST_ID,
    DEAD_STAGE,
    DEAD_REASON,
    DEAD_ATTEMPTS,
    DEAD_TOPIC,
    DEAD_PARTITION,
    DEAD_OFFSET,
    DEAD_MESSAGE,
    DEAD_HEADERS,
    DEAD_FAILED_AT,
    DEAD_COLUMN_COUNT
};

/* One message on its way into Postgres; lives in its job's arena. */
struct item {
    struct item *next;
    struct job *job;
    bool has_result, is_dead;  /* it becomes a row of results; of dead_letters */
    const struct usage *usage; /* its calls become rows of model_calls; NULL: it is no message of usage */
    bool unrecordable;         /* Postgres took no row of it: it becomes a row of unrecordable */
    bool reject;               /* once it stands in dead_letters, it is put on the topic too */
    const char *reason;        /* of reject and unrecordable */
    const char *values[COLUMN_COUNT]; /* as text; NULL for SQL NULL */
    const char *dead[DEAD_COLUMN_COUNT];
    struct result result; /* what the reply says */
};

/* A partition's next position, as it stands in Postgres. */
struct tracked {
    struct tracked *next;
    char *topic;
    int partition;
    int64_t position; /* -1: nothing recorded yet */
};

/* Lives as long as the process. */
struct recorder {
    struct run *run;
    struct tracked *tracked;
    struct item *waiting, **waiting_end; /* for the next transaction, in the order they came */
    struct item *sent;                   /* in the transaction under way */
    int sent_count;
    int batch_max; /* halved when a batch is refused, doubled when one is taken */
    bool busy;     /* a transaction, or the query for positions after a lost one, is under way */
    uv_timer_t pause;
    uv_timer_t gap;   /* ends the gap between transactions */
    struct pace pace; /* of transactions: each costs about as much as dozens of its rows */
    uv_timer_t maintenance;
};

extern const struct worker recorder_worker;

/* items.c: a message of evaluations, usage or dead-letters as rows. Never fails: what is no message becomes a
 * dead letter. */
struct item *item_read(struct job *job);

/* recorder.c */
struct tracked *recorder_tracked(struct recorder *recorder, const char *topic, int partition);

/* transaction.c: sends what waits, unless a transaction is under way. */
void recorder_send(struct recorder *recorder);

/* model_calls.c: adds the step that inserts the calls of all items, in arena, if there are any; true when it
 * did. */
bool recorder_add_model_calls(struct arena *arena, const struct item *items, struct pg_step *step);

/* positions.c: asks Postgres where to begin, for run_start. */
void recorder_assigned(struct run *run, const struct run_position *positions, int count);
/* Reads the positions of all tracked partitions again, then calls done with true; false while Postgres is
 * away. */
void recorder_read_positions(struct recorder *recorder, void (*done)(struct recorder *recorder, bool read));

/* partitions.c: makes the daily partitions of results and model_calls some days ahead and drops those past
 * their retention, every hour (moru-setup does it at the start), and deletes idempotency keys that have
 * expired. */
void recorder_maintain(struct recorder *recorder);
/* Deletes expired keys, once Postgres is there. */
void recorder_began(struct run *run);
extern struct setting recorder_settings[];

/* replies.c: ends the items of a committed transaction; recorded holds the rows that won: id, run,
 * created_at. */
void recorder_reply(struct recorder *recorder, struct item *items, const struct pg_result *recorded);

#endif
