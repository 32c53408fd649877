/* Cycles under way, one a task type, and the steps that each goes through. */
#include "workers/optimizer/cycle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/optimizer/cycle_private.h"
#include "workers/optimizer/optimizer_metrics.h"
#include "workers/optimizer/rehearse.h"
#include "workers/optimizer/statistics.h"

enum { BYTES_A_TOKEN = 4 };

struct cycles {
    struct optimizer *optimizer;
    struct cycle *first;
    int count;
    bool closed;
};

static const struct pg_statement UNLOCK = {
    "unlock_task_type",
    "SELECT pg_advisory_unlock(hashtextextended('moru optimize ' || $1, 0))",
};

int64_t optimizer_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *cycle_outcome_name(enum cycle_outcome outcome) {
    static const char *const NAMES[] = {[CYCLE_PATCHED] = "patched",
        [CYCLE_WAITING] = "waiting",
        [CYCLE_NO_IMPROVEMENT] = "no_improvement",
        [CYCLE_SUPERSEDED] = "superseded",
        [CYCLE_BUSY] = "busy",
        [CYCLE_BACKING_OFF] = "backing_off",
        [CYCLE_OVER_BUDGET] = "over_budget",
        [CYCLE_FAILED] = "failed"};
    return NAMES[outcome];
}

const char *cycle_integer(struct cycle *cycle, int64_t value) {
    return arena_format(cycle->arena, "%lld", (long long)value);
}

struct rehearsals *cycle_rehearsals(const struct cycle *cycle) {
    return cycle->owner->optimizer->rehearsals;
}

void cycle_fail(struct cycle *cycle, enum cycle_outcome outcome, const char *reason) {
    if (cycle->failure != CYCLE_PATCHED)
        return;
    cycle->failure = outcome;
    cycle->reason = arena_string(cycle->arena, reason);
}

void cycle_answered(struct cycle *cycle) {
    if (--cycle->waiting)
        return;
    if (cycle->failure != CYCLE_PATCHED)
        cycle_end(cycle, cycle->failure, cycle->reason);
    else
        cycle->then(cycle);
}

struct asked_rows {
    struct cycle *cycle;
    void (*take)(struct cycle *cycle, const struct pg_result *rows);
};

static void on_rows(void *context, const struct pg_result *rows) {
    struct asked_rows asked = *(struct asked_rows *)context;
    struct cycle *cycle = asked.cycle;
    if (cycle->owner->closed)
        return;
    if (pg_status(rows) == PG_OK && cycle->failure == CYCLE_PATCHED)
        asked.take(cycle, rows);
    else if (pg_status(rows) != PG_OK)
        cycle_fail(cycle, CYCLE_FAILED,
            arena_format(cycle->arena, "Postgres did not do its part: %s",
                pg_status(rows) == PG_LOST ? "the connection was lost" : pg_message(rows)));
    cycle_answered(cycle);
}

void cycle_query(struct cycle *cycle, const struct pg_statement *statement, int count,
    const char *const *values, void (*take)(struct cycle *cycle, const struct pg_result *rows)) {
    struct asked_rows *asked = arena_alloc(cycle->arena, sizeof *asked);
    *asked = (struct asked_rows){cycle, take};
    cycle->waiting++;
    pg_query(run_pg(cycle->owner->optimizer->run), statement, count, values, on_rows, asked);
}

struct asked_model {
    struct cycle *cycle;
    struct model_request request;
    int number;
    void (*take)(struct cycle *cycle, int number, const struct model_answer *answer);
};

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void count_tokens(struct asked_model *asked, const struct model_answer *answer) {
    int64_t told = answer->prompt_tokens + answer->completion_tokens;
    size_t bytes = strlen(asked->request.system) + strlen(asked->request.user) + answer->length;
    asked->cycle->tokens += told ? told : (int64_t)bytes / BYTES_A_TOKEN;
}

static void on_answer(void *context, const struct model_answer *answer) {
    struct asked_model *asked = context;
    struct cycle *cycle = asked->cycle;
    count_tokens(asked, answer);
    asked->take(cycle, asked->number, answer);
    cycle_answered(cycle);
}

/* A cycle holds its task type, so that it rather fails, and comes again, than waits for a model for long. */
void cycle_ask(struct cycle *cycle, const struct model_request *request, int number,
    void (*take)(struct cycle *cycle, int number, const struct model_answer *answer)) {
    struct optimizer *optimizer = cycle->owner->optimizer;
    struct asked_model *asked = arena_alloc(cycle->arena, sizeof *asked);
    *asked = (struct asked_model){.cycle = cycle, .request = *request, .number = number, .take = take};
    asked->request.model = optimizer->prompt_model;
    asked->request.somebody_waits = true;
    asked->request.task_type = cycle->trigger.task_type;
    asked->request.trace = &cycle->trace;
    cycle->waiting++;
    model_call(optimizer->model, &asked->request, on_answer, asked);
}

/* A cycle that broke down is told, and not begun again at once. */
static const struct pg_statement FAILED = {
    "optimization_failed",
    "UPDATE optimizations SET status = 'failed', reason = $2, tokens = $3::bigint, finished_at = now(), "
    "next_try_at = "
    "now() + $4::bigint * interval '1 millisecond' WHERE id = $1::bigint AND status = 'running'",
};

static void on_saved(void *context, const struct pg_result *result) {
    (void)context;
    if (pg_status(result) != PG_OK)
        log_warn("optimization_not_saved", log_string("reason", pg_message(result)));
}

static void save_failure(struct cycle *cycle, const char *reason) {
    int64_t wait = optimizer_settings.backoff_ms;
    const char *values[] = {cycle_integer(cycle, cycle->optimization_id), reason,
        cycle_integer(cycle, cycle->tokens), cycle_integer(cycle, wait)};
    cycle->next_try_ms = optimizer_now_ms() + wait;
    pg_query(run_pg(cycle->owner->optimizer->run), &FAILED, 4, values, on_saved, NULL);
}

static void unlink_cycle(struct cycle *cycle) {
    struct cycle **link = &cycle->owner->first;
    while (*link != cycle)
        link = &(*link)->next;
    *link = cycle->next;
    cycle->owner->count--;
    metric_set(metric_optimizations_running, cycle->owner->count);
}

static void on_unlocked(void *context, const struct pg_result *result) {
    (void)context;
    /* A connection that was lost has lost its locks, too. */
    if (pg_status(result) == PG_FAILED)
        log_error("task_type_not_unlocked", log_string("reason", pg_message(result)));
}

static void count_outcome(const struct cycle *cycle, enum cycle_outcome outcome) {
    const char *task_type = cycle->trigger.task_type;
    metric_count(metric_optimization_runs, 1, task_type, cycle_outcome_name(outcome));
    metric_observe(metric_optimization_duration, (double)(uv_hrtime() - cycle->started_ns) / 1e9, task_type);
    if (outcome == CYCLE_PATCHED)
        metric_set(metric_prompt_version, (double)cycle->new_version, task_type);
}

static struct cycle_result result_of(
    const struct cycle *cycle, enum cycle_outcome outcome, const char *reason) {
    const struct candidate *winner = cycle->winner >= 0 ? &cycle->candidates[cycle->winner] : NULL;
    int64_t now = optimizer_now_ms();
    return (struct cycle_result){
        .task_type = cycle->trigger.task_type,
        .outcome = outcome,
        .reason = reason,
        .optimization_id = cycle->optimization_id,
        .old_version = cycle->prompt_version,
        .new_prompt_id = cycle->new_prompt_id,
        .new_version = cycle->new_version,
        .before_score = scores_mean(&cycle->active.failed),
        .after_score = winner ? scores_mean(&winner->rehearsed.failed) : NAN,
        .retry_after_ms = cycle->next_try_ms > now ? cycle->next_try_ms - now : 0,
    };
}

void cycle_end(struct cycle *cycle, enum cycle_outcome outcome, const char *reason) {
    struct arena *arena = cycle->arena;
    struct optimizer *optimizer = cycle->owner->optimizer;
    if (outcome == CYCLE_FAILED && cycle->optimization_id)
        save_failure(cycle, reason);
    if (cycle->locked)
        pg_query(run_pg(optimizer->run), &UNLOCK, 1, (const char *const[]){cycle->trigger.task_type},
            on_unlocked, NULL);
    /* Looks that led to no cycle are none. */
    if (cycle->optimization_id)
        count_outcome(cycle, outcome);
    if (outcome == CYCLE_FAILED)
        log_error("optimization_failed", log_string("task_type", cycle->trigger.task_type),
            log_integer("optimization_id", cycle->optimization_id), log_string("reason", reason));
    unlink_cycle(cycle);
    struct cycle_result result = result_of(cycle, outcome, reason);
    cycle->done(cycle->context, &result);
    arena_destroy(&arena);
}

static void on_proposed(struct cycle *cycle) {
    cycle_rehearse(cycle, cycle_conclude);
}

static void on_analysed(struct cycle *cycle) {
    cycle_propose(cycle, on_proposed);
}

static void on_read(struct cycle *cycle) {
    cycle_analyse(cycle, on_analysed);
}

static void copy_failures(struct cycle *cycle, const struct cycle_trigger *trigger) {
    struct arena *arena = cycle->arena;
    int first = trigger->failure_count > FAILURES_MAX ? trigger->failure_count - FAILURES_MAX : 0;
    for (int i = first; i < trigger->failure_count; i++) {
        const struct failure *failure = &trigger->failures[i];
        cycle->failures[cycle->failure_count++] = (struct failure){
            .request_id = arena_string(arena, failure->request_id),
            .user_input = arena_string(arena, failure->user_input),
            .output = arena_string(arena, failure->output),
            .score = failure->score,
            .detail = arena_string(arena, failure->detail),
        };
    }
    cycle->scores = trigger->scores;
}

static void busy(uv_timer_t *timer) {
    struct cycle *cycle = timer->data;
    uv_close((uv_handle_t *)timer, free_timer);
    cycle_end(cycle, CYCLE_BUSY, "a cycle of this task type is under way here");
}

/* done is never called from inside cycle_start. */
static void end_soon(struct cycle *cycle) {
    uv_timer_t *timer = malloc(sizeof *timer);
    if (!timer)
        abort();
    uv_timer_init(run_loop(cycle->owner->optimizer->run), timer);
    timer->data = cycle;
    uv_timer_start(timer, busy, 0, 0);
}

void cycle_start(struct cycles *cycles, const struct cycle_trigger *trigger, cycle_done done, void *context) {
    bool under_way = cycle_under_way(cycles, trigger->task_type);
    struct arena *arena = arena_create(65536);
    struct cycle *cycle = arena_alloc(arena, sizeof *cycle);
    *cycle = (struct cycle){.next = cycles->first,
        .owner = cycles,
        .arena = arena,
        .trigger = *trigger,
        .done = done,
        .context = context,
        .started_ns = uv_hrtime(),
        .winner = -1,
        .failure = CYCLE_PATCHED};
    cycle->trigger.task_type = arena_string(arena, trigger->task_type);
    cycle->trigger.triggered_by = arena_string(arena, trigger->triggered_by);
    copy_failures(cycle, trigger);
    trace_continue(&cycle->trace, NULL);
    cycles->first = cycle;
    metric_set(metric_optimizations_running, ++cycles->count);
    if (under_way)
        end_soon(cycle);
    else
        cycle_read(cycle, on_read);
}

bool cycle_under_way(const struct cycles *cycles, const char *task_type) {
    for (const struct cycle *cycle = cycles->first; cycle; cycle = cycle->next)
        if (strcmp(cycle->trigger.task_type, task_type) == 0)
            return true;
    return false;
}

int cycles_count(const struct cycles *cycles) {
    return cycles->count;
}

struct cycles *cycles_open(struct optimizer *optimizer) {
    struct cycles *cycles = calloc(1, sizeof *cycles);
    if (!cycles)
        abort();
    cycles->optimizer = optimizer;
    return cycles;
}

/* The process is about to end: queries and calls still point at the cycles under way, and are told that
 * Postgres is closed. All of it ends with the process. */
void cycles_close(struct cycles **cycles) {
    (*cycles)->closed = true;
    *cycles = NULL;
}
