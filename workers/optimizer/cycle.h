/* One cycle of healing: from failures of the active prompt to a better prompt in service, or to the report
 * that none was found. */
#ifndef WORKERS_OPTIMIZER_CYCLE_H
#define WORKERS_OPTIMIZER_CYCLE_H

#include "workers/optimizer/optimizer.h"

/* What starts a cycle; all of it is borrowed for the call of cycle_start. */
struct cycle_trigger {
    const char *task_type;
    const char *triggered_by; /* stream, cronjob, manual */
    int64_t optimization_id;  /* of the row that asked for it (status requested); 0: a row is made */
    int64_t prompt_id;        /* whose failures these are; 0: of whichever prompt is active */
    const struct failure
        *failures; /* oldest first; none: they are read from table results and execution_logs */
    int failure_count;
    struct scores scores; /* of all evaluations of that prompt in the window; count 0: they are read, too */
    int64_t threshold_at_ms; /* evaluated_at of the failure that crossed the threshold; 0: none did */
    bool ignore_backoff;     /* a person asked for it, or a probation went wrong */
};

enum cycle_outcome {
    CYCLE_PATCHED,
    CYCLE_WAITING,        /* for a person's approval */
    CYCLE_NO_IMPROVEMENT, /* reported; the next try is not before its back-off */
    CYCLE_SUPERSEDED,     /* the active prompt is not, or no longer, the one with these failures */
    CYCLE_BUSY,           /* another optimizer is at work on this task type */
    CYCLE_BACKING_OFF,    /* not yet again */
    CYCLE_OVER_BUDGET,    /* the day's model tokens are used up */
    CYCLE_FAILED,         /* model, Kafka or Postgres did not do their part */
};

struct cycle_result {
    const char *task_type;
    enum cycle_outcome outcome;
    const char *reason;      /* for people; "" when patched */
    int64_t optimization_id; /* 0: no row was made */
    int64_t old_version, new_prompt_id, new_version;
    double before_score, after_score; /* means over the rehearsed failed inputs; NAN: not rehearsed */
    int64_t retry_after_ms; /* CYCLE_BACKING_OFF, CYCLE_NO_IMPROVEMENT: when it may be tried again */
};

/* result is borrowed for the call. */
typedef void (*cycle_done)(void *context, const struct cycle_result *result);

struct cycles *cycles_open(struct optimizer *optimizer);
/* Cycles under way are given up without a call of done; nulls *cycles. */
void cycles_close(struct cycles **cycles);

/* Starts one; done is called once, never from inside the call. Where one is under way in this process for the
 * task type, done is told CYCLE_BUSY. */
void cycle_start(struct cycles *cycles, const struct cycle_trigger *trigger, cycle_done done, void *context);

bool cycle_under_way(const struct cycles *cycles, const char *task_type);
int cycles_count(const struct cycles *cycles);

const char *cycle_outcome_name(enum cycle_outcome outcome);

#endif
