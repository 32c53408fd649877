/* Triggers: a prompt that crossed the threshold starts a cycle, unless its last one says not yet. */
#include "workers/optimizer/triggers.h"

#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/pg.h"
#include "workers/optimizer/changes.h"
#include "workers/optimizer/cycle.h"

enum { PAUSES_MAX = 1024, FAILURES_MAX = 50, BUSY_MS = 1000 };

/* A prompt whose failures start no cycle for a while. */
struct pause {
    int64_t prompt_id, until_ms; /* Unix time */
};

struct triggers {
    struct optimizer *optimizer;
    struct pause pauses[PAUSES_MAX];
    int next; /* the oldest place is overwritten: at worst Postgres is asked once more */
    bool asking, closed;
};

/* A cycle of ours under way. */
struct started {
    struct triggers *triggers;
    int64_t prompt_id; /* 0: a row asked for it */
};

static const struct pg_statement REQUESTED = {
    "requested_optimizations",
    "SELECT id, task_type FROM optimizations WHERE status = 'requested' ORDER BY id LIMIT 20",
};

struct triggers *triggers_open(struct optimizer *optimizer) {
    struct triggers *triggers = calloc(1, sizeof *triggers);
    if (!triggers)
        abort();
    triggers->optimizer = optimizer;
    return triggers;
}

void triggers_close(struct triggers **triggers) {
    /* Its query may still be under way: Postgres is closed after this, and all of it ends with the process.
     */
    (*triggers)->closed = true;
    *triggers = NULL;
}

static bool is_paused(const struct triggers *triggers, int64_t prompt_id, int64_t now_ms) {
    for (int i = 0; i < PAUSES_MAX; i++)
        if (triggers->pauses[i].prompt_id == prompt_id && triggers->pauses[i].until_ms > now_ms)
            return true;
    return false;
}

static void pause_prompt(struct triggers *triggers, int64_t prompt_id, int64_t ms) {
    triggers->pauses[triggers->next] = (struct pause){prompt_id, optimizer_now_ms() + ms};
    triggers->next = (triggers->next + 1) % PAUSES_MAX;
}

void triggers_resume(struct triggers *triggers, int64_t prompt_id) {
    for (int i = 0; i < PAUSES_MAX; i++)
        if (triggers->pauses[i].prompt_id == prompt_id)
            triggers->pauses[i].until_ms = 0;
}

static int64_t pause_after(const struct cycle_result *result) {
    switch (result->outcome) {
    case CYCLE_BUSY:
        return BUSY_MS;
    case CYCLE_OVER_BUDGET:
    case CYCLE_WAITING:
        return optimizer_settings.backoff_ms;
    default:
        return result->retry_after_ms > 0 ? result->retry_after_ms : BUSY_MS;
    }
}

static void on_state(void *context, const struct window_state *state) {
    triggers_consider(context, state);
}

static void on_cycle(void *context, const struct cycle_result *result) {
    struct started started = *(struct started *)context;
    if (started.triggers->closed)
        return;
    struct optimizer *optimizer = started.triggers->optimizer;
    free(context);
    bool gone = result->outcome == CYCLE_PATCHED || result->outcome == CYCLE_SUPERSEDED;
    /* It serves no more. Should a person put it back, its failures from then on count. */
    if (started.prompt_id && gone)
        windows_drop_prompt(optimizer->windows, started.prompt_id);
    else if (started.prompt_id)
        pause_prompt(started.triggers, started.prompt_id, pause_after(result));
    /* Another prompt of the task type may have crossed meanwhile. */
    windows_each(optimizer->windows, optimizer_now_ms(), on_state, started.triggers);
    if (result->outcome == CYCLE_PATCHED)
        changes_look(started.triggers->optimizer->changes);
    if (result->outcome == CYCLE_OVER_BUDGET)
        log_warn("optimization_over_budget", log_string("task_type", result->task_type));
}

static struct started *started_of(struct triggers *triggers, int64_t prompt_id) {
    struct started *started = malloc(sizeof *started);
    if (!started)
        abort();
    *started = (struct started){triggers, prompt_id};
    return started;
}

void triggers_consider(struct triggers *triggers, const struct window_state *state) {
    struct optimizer *optimizer = triggers->optimizer;
    if (!state->crossed || strcmp(optimizer_settings.mode, "stream") != 0 ||
        !run_replies_ready(optimizer->run) || cycle_under_way(optimizer->cycles, state->task_type) ||
        is_paused(triggers, state->prompt_id, optimizer_now_ms()))
        return;
    struct failure failures[FAILURES_MAX];
    int count = windows_failures(optimizer->windows, state->prompt_id, failures, FAILURES_MAX);
    cycle_start(optimizer->cycles,
        &(struct cycle_trigger){.task_type = state->task_type,
            .triggered_by = "stream",
            .prompt_id = state->prompt_id,
            .failures = failures,
            .failure_count = count,
            .scores = state->scores,
            .threshold_at_ms = state->crossed_at_ms},
        on_cycle, started_of(triggers, state->prompt_id));
}

static void on_requested(void *context, const struct pg_result *rows) {
    struct triggers *triggers = context;
    triggers->asking = false;
    if (triggers->closed)
        return;
    if (pg_status(rows) == PG_FAILED)
        log_error("requested_not_read", log_string("reason", pg_message(rows)));
    for (int row = 0; pg_status(rows) == PG_OK && row < pg_rows(rows); row++) {
        const char *task_type = pg_value(rows, row, 1);
        if (cycle_under_way(triggers->optimizer->cycles, task_type))
            continue;
        cycle_start(triggers->optimizer->cycles,
            &(struct cycle_trigger){.task_type = task_type,
                .triggered_by = "manual",
                .optimization_id = strtoll(pg_value(rows, row, 0), NULL, 10),
                .ignore_backoff = true},
            on_cycle, started_of(triggers, 0));
    }
}

void triggers_look(struct triggers *triggers) {
    struct optimizer *optimizer = triggers->optimizer;
    int64_t now = optimizer_now_ms();
    windows_expire(optimizer->windows, now);
    windows_each(optimizer->windows, now, on_state, triggers);
    if (triggers->asking || !pg_ready(run_pg(optimizer->run)) || !run_replies_ready(optimizer->run))
        return;
    triggers->asking = true;
    pg_query(run_pg(optimizer->run), &REQUESTED, 0, NULL, on_requested, triggers);
}
