/* Watches what is on probation: its scores come from results, so that a restart, a rebalance and --once see
 * the same. */
#include "workers/optimizer/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/optimizer/changes.h"
#include "workers/optimizer/cycle.h"
#include "workers/optimizer/optimizer_metrics.h"
#include "workers/optimizer/statistics.h"
#include "workers/optimizer/triggers.h"

enum { SCORES_MAX = 1000 };

static const struct pg_statement OPEN = {
    "open_probations",
    "SELECT prompt_id, task_type, replaced_count, replaced_sum, replaced_squares, rehearsed_count, "
    "rehearsed_sum, "
    "rehearsed_squares, coalesce((SELECT string_agg(score::text, ' ' ORDER BY created_at) FROM (SELECT "
    "score, created_at "
    "FROM results WHERE prompt_id = probations.prompt_id AND purpose = 'serve' AND score IS NOT NULL ORDER "
    "BY created_at "
    "LIMIT $1::int) AS first), ''), prompt_id IS DISTINCT FROM (SELECT id FROM "
    "moru_active_prompt(task_type)) "
    "FROM probations WHERE outcome IS NULL",
};

static const struct pg_statement PUT_BACK = {
    "put_back",
    "SELECT new_id, new_version FROM moru_put_back($1::int, $2, $3::jsonb, 'optimizer')",
};

static const struct pg_statement END = {
    "end_probation",
    "UPDATE probations SET outcome = $2, ended_at = now() WHERE prompt_id = $1::int AND outcome IS NULL",
};

struct watch {
    struct optimizer *optimizer;
    int waiting; /* answers of Postgres and ends of cycles */
    int put_back;
    bool failed;
    void (*done)(void *context, int put_back);
    void *context;
};

/* One probation while it is ended. */
struct ending {
    struct watch *watch;
    char task_type[64 * 4 + 1];
    int64_t prompt_id;
    bool begin_cycle;
};

struct watch *watch_open(struct optimizer *optimizer) {
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        abort();
    watch->optimizer = optimizer;
    return watch;
}

void watch_close(struct watch **watch) {
    /* Its queries may still be under way: Postgres is closed after this, and all of it ends with the process.
     */
    (*watch)->done = NULL;
    *watch = NULL;
}

static void answered(struct watch *watch) {
    if (--watch->waiting)
        return;
    void (*done)(void *context, int put_back) = watch->done;
    watch->done = NULL;
    if (done)
        done(watch->context, watch->failed ? -1 : watch->put_back);
}

static void on_cycle_of_once(void *context, const struct cycle_result *result) {
    struct watch *watch = context;
    watch->failed = watch->failed || result->outcome == CYCLE_FAILED;
    answered(watch);
}

static void on_cycle(void *context, const struct cycle_result *result) {
    (void)context;
    (void)result;
}

/* --once goes on when the cycle has ended; else the next review does not wait for it, since another task type
 * may have a prompt to be put back. */
static void begin_cycle(const struct ending *ending) {
    struct watch *watch = ending->watch;
    watch->waiting += watch->done != NULL;
    cycle_start(watch->optimizer->cycles,
        &(struct cycle_trigger){.task_type = ending->task_type,
            .triggered_by = watch->optimizer->once ? "cronjob" : "stream",
            .prompt_id = ending->prompt_id,
            .ignore_backoff = true},
        watch->done ? on_cycle_of_once : on_cycle, watch);
}

static void on_ended(void *context, const struct pg_result *result) {
    struct ending *ending = context;
    struct watch *watch = ending->watch;
    if (pg_status(result) != PG_OK) {
        watch->failed = true;
        log_warn("probation_not_ended", log_string("task_type", ending->task_type),
            log_string("reason", pg_message(result)));
    } else if (ending->begin_cycle && pg_affected(result)) {
        begin_cycle(ending);
    }
    free(ending);
    answered(watch);
}

static void on_put_back(void *context, const struct pg_result *result) {
    struct ending *ending = context;
    struct watch *watch = ending->watch;
    if (pg_status(result) != PG_OK) {
        watch->failed = true;
        log_warn("prompt_not_rolled_back", log_string("task_type", ending->task_type),
            log_string("reason", pg_message(result)));
    } else if (pg_rows(result)) {
        int64_t version = strtoll(pg_value(result, 0, 1), NULL, 10);
        watch->put_back++;
        metric_count(metric_prompt_rollbacks, 1, ending->task_type);
        metric_set(metric_prompt_version, (double)version, ending->task_type);
        log_warn("prompt_rolled_back", log_string("task_type", ending->task_type),
            log_integer("prompt_id", ending->prompt_id), log_integer("prompt_version", version));
        changes_look(watch->optimizer->changes);
        triggers_resume(watch->optimizer->triggers, strtoll(pg_value(result, 0, 0), NULL, 10));
    }
    free(ending);
    answered(watch);
}

static struct ending *ending_of(struct watch *watch, const char *task_type, int64_t prompt_id) {
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        abort();
    ending->watch = watch;
    ending->prompt_id = prompt_id;
    snprintf(ending->task_type, sizeof ending->task_type, "%s", task_type);
    watch->waiting++;
    return ending;
}

static void put_back(struct watch *watch, struct arena *arena, const char *task_type, const char *id,
    double p, int count, const struct scores *replaced) {
    struct buffer evidence = buffer_in(arena);
    buffer_format(&evidence, "{\"test\":\"Welch, one-sided\",\"p\":");
    json_write_double(&evidence, p);
    buffer_format(&evidence, ",\"evaluations\":%d,\"replaced_mean\":", count);
    json_write_double(&evidence, scores_mean(replaced));
    buffer_byte(&evidence, '}');
    const char *why = arena_format(arena,
        "within its first %d evaluations it did worse than the version it replaced (mean %.3f; Welch's test, "
        "p = %.4f)",
        count, scores_mean(replaced), p);
    const char *values[] = {id, why, buffer_text(&evidence)};
    pg_query(run_pg(watch->optimizer->run), &PUT_BACK, 3, values, on_put_back,
        ending_of(watch, task_type, strtoll(id, NULL, 10)));
}

static void end_probation(struct watch *watch, const char *task_type, const char *id, const char *outcome) {
    struct ending *ending = ending_of(watch, task_type, strtoll(id, NULL, 10));
    ending->begin_cycle = strcmp(outcome, "worse_than_rehearsed") == 0;
    log_info("probation_ended", log_string("task_type", task_type),
        log_integer("prompt_id", ending->prompt_id), log_string("outcome", outcome));
    pg_query(run_pg(watch->optimizer->run), &END, 2, (const char *const[]){id, outcome}, on_ended, ending);
}

static struct scores read_scores(const struct pg_result *rows, int row, int column) {
    return (struct scores){.count = strtoll(pg_value(rows, row, column), NULL, 10),
        .sum = strtod(pg_value(rows, row, column + 1), NULL),
        .squares = strtod(pg_value(rows, row, column + 2), NULL)};
}

static int read_seen(const char *text, double *seen) {
    int count = 0;
    char *end;
    for (; count < SCORES_MAX && *text; text = end + (*end == ' '))
        seen[count++] = strtod(text, &end);
    return count;
}

static void judge(struct watch *watch, struct arena *arena, const struct pg_result *rows, int row) {
    const char *id = pg_value(rows, row, 0), *task_type = pg_value(rows, row, 1);
    struct scores replaced = read_scores(rows, row, 2), rehearsed = read_scores(rows, row, 5);
    double seen[SCORES_MAX], p = 1;
    int count = read_seen(pg_value(rows, row, 8), seen);
    if (*pg_value(rows, row, 9) == 't') {
        end_probation(watch, task_type, id, "superseded");
        return;
    }
    switch (probation_judge(seen, count, (int)optimizer_settings.probation, &replaced, &rehearsed, &p)) {
    case PROBATION_WORSE_THAN_REPLACED:
        put_back(watch, arena, task_type, id, p, count, &replaced);
        break;
    case PROBATION_WORSE_THAN_REHEARSED:
        /* The cycle that this calls for is left to --once, which finds the probation open. */
        if (strcmp(optimizer_settings.mode, "off") != 0)
            end_probation(watch, task_type, id, "worse_than_rehearsed");
        break;
    case PROBATION_PASSED:
        end_probation(watch, task_type, id, "kept");
        break;
    case PROBATION_GOES_ON:
        break;
    }
}

static void on_open(void *context, const struct pg_result *rows) {
    struct watch *watch = context;
    struct arena *arena = arena_create(0);
    if (pg_status(rows) == PG_FAILED)
        log_error("probations_not_read", log_string("reason", pg_message(rows)));
    watch->failed = pg_status(rows) != PG_OK;
    for (int row = 0; !watch->failed && row < pg_rows(rows); row++)
        judge(watch, arena, rows, row);
    arena_destroy(&arena);
    answered(watch);
}

void watch_review(struct watch *watch, void (*done)(void *context, int put_back), void *context) {
    if (watch->waiting)
        return;
    struct arena *arena = arena_create(0);
    const char *values[] = {arena_format(arena, "%lld", (long long)optimizer_settings.probation)};
    watch->waiting = 1;
    watch->put_back = 0;
    watch->done = done;
    watch->context = context;
    pg_query(run_pg(watch->optimizer->run), &OPEN, 1, values, on_open, watch);
    arena_destroy(&arena);
}
