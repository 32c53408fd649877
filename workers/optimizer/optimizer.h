/* What the optimizer's files share: its settings, its state, and the failures that a cycle starts from. */
#ifndef WORKERS_OPTIMIZER_OPTIMIZER_H
#define WORKERS_OPTIMIZER_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "shared/metrics.h"
#include "shared/settings.h"
#include "workers/run.h"

struct arena;
struct cycle;
struct model;
struct usage;
struct windows;
struct pg_result;

struct optimizer_settings {
    const char *mode; /* stream, once, off */
    int64_t failure_threshold, lookback_minutes;
    double failure_share;
    int64_t candidates;
    const char *approval; /* auto, manual */
    int64_t probation;    /* evaluations */
    int64_t rehearsal_inputs, rehearsals_at_once, rehearsal_timeout_ms;
    int64_t backoff_ms, backoff_max_ms;
    int64_t tokens_per_day;
    int64_t once_timeout_ms;
    const char *model; /* "": the first one */
};
extern struct optimizer_settings optimizer_settings;
extern struct setting optimizer_setting_rows[];
extern struct metric optimizer_metrics[];

/* Scores as they can be added up. */
struct scores {
    int64_t count;
    double sum, squares;
};

/* One failed evaluation of a prompt. */
struct failure {
    const char *request_id, *user_input;
    const char *refined_input; /* NULL: not known */
    const char *output;        /* may be "" */
    double score;
    const char *detail; /* JSON text of an object: rule_details, llm_details; "{}" when not known */
};

/* Lives as long as the process. */
struct optimizer {
    struct run *run;
    struct model *model;
    const char *prompt_model; /* the name of the model that analyses and proposes; NULL: the first one */
    struct usage *usage;
    struct windows *windows;
    struct rehearsals *rehearsals; /* rehearse.h */
    struct cycles *cycles;         /* those under way: cycle.h */
    struct watch *watch;           /* watch.h */
    struct triggers *triggers;     /* triggers.h */
    struct changes *changes;       /* changes.h */
    struct once *once;             /* once.h; NULL in other modes */
    uv_timer_t look;               /* at windows, requests and probations */
};

extern const struct worker optimizer_worker, optimizer_once_worker;

/* Unix time in ms. */
int64_t optimizer_now_ms(void);

#endif
