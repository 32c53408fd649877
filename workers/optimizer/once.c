/* --once: probations, then what is asked for, then every task type with enough failures, one after the other;
 * prints what became of each. */
#include "workers/optimizer/once.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/optimizer/changes.h"
#include "workers/optimizer/cycle.h"
#include "workers/optimizer/watch.h"

/* Requested ones first, then task types whose active prompt has enough failures. A row made by hand, which
 * results does not know, counts when it is younger than the prompt. */
static const struct pg_statement NEEDING = {
    "task_types_needing_optimization",
    "SELECT task_type, id, 0 AS failures FROM optimizations WHERE status = 'requested' UNION ALL "
    "SELECT task_type, NULL, failures FROM (SELECT log.task_type, count(DISTINCT log.request_id) FILTER "
    "(WHERE NOT evaluation_passed) AS failures, count(DISTINCT log.request_id) AS evaluations "
    "FROM execution_logs log LEFT JOIN LATERAL (SELECT prompt_id, purpose FROM results WHERE "
    "results.request_id = "
    "log.request_id ORDER BY run DESC LIMIT 1) AS recorded ON true, LATERAL "
    "moru_active_prompt(log.task_type) AS active "
    "WHERE log.created_at > now() - make_interval(mins => $1::int) AND log.evaluation_passed IS NOT NULL AND "
    "CASE WHEN recorded.purpose IS NULL THEN log.created_at >= active.created_at AND "
    "coalesce(log.prompt_version, "
    "active.version) = active.version ELSE recorded.prompt_id = active.id END GROUP BY log.task_type) AS "
    "seen "
    "WHERE failures >= $2::bigint AND failures >= $3::float8 * evaluations ORDER BY id NULLS LAST, task_type",
};

/* What a cycle found; no rows when it ended before its analysis. */
static const struct pg_statement FOUND = {
    "found_by_cycle",
    "SELECT pattern FROM optimizations, jsonb_array_elements_text(analysis -> 'failure_patterns') AS pattern "
    "WHERE id = $1::bigint LIMIT 5",
};

struct need {
    const char *task_type;
    int64_t optimization_id; /* 0: nobody asked for it */
    long long failures;
};

struct once {
    struct optimizer *optimizer;
    struct arena *arena;
    uv_timer_t timer;
    struct need *needs;
    int count, next;
    int put_back;
    bool broken;
};

static void end(struct once *once) {
    fflush(stdout);
    uv_timer_stop(&once->timer);
    run_end(once->optimizer->run, once->broken ? 1 : 0);
}

static void on_drained(void *context) {
    end(context);
}

static void on_timeout(uv_timer_t *timer) {
    struct once *once = timer->data;
    printf("moru-optimizer: gave up after %lld ms; see the log\n",
        (long long)optimizer_settings.once_timeout_ms);
    fflush(stdout);
    run_fail(once->optimizer->run, "--once took longer than OPTIMIZER_ONCE_TIMEOUT_MS");
}

/* Models and callers wrote these texts: nothing in them is to steer a terminal, C1 controls included. */
static void print_text(const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        bool c1 = at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0;
        at += c1;
        putchar(c1 || *at < ' ' || *at == 0x7F ? ' ' : *at);
    }
}

static void print_result(const struct need *need, const struct cycle_result *result) {
    print_text(need->task_type);
    printf(": version %lld", (long long)result->old_version);
    if (need->failures)
        printf(", %lld failures", need->failures);
    printf("\n");
    if (!isnan(result->before_score))
        printf("  in rehearsal on the failed inputs: %.3f before", result->before_score);
    if (!isnan(result->after_score))
        printf(", %.3f after", result->after_score);
    if (!isnan(result->before_score))
        printf("\n");
    if (result->outcome == CYCLE_PATCHED) {
        printf("  repaired: version %lld is active\n", (long long)result->new_version);
    } else {
        printf("  %s: ", cycle_outcome_name(result->outcome));
        print_text(result->reason);
        printf("\n");
    }
}

static void next_cycle(struct once *once);

static void on_found(void *context, const struct pg_result *rows) {
    struct once *once = context;
    if (pg_status(rows) != PG_OK)
        log_warn("findings_not_read", log_string("reason", pg_message(rows)));
    for (int row = 0; pg_status(rows) == PG_OK && row < pg_rows(rows); row++) {
        printf("  found: ");
        print_text(pg_value(rows, row, 0));
        printf("\n");
    }
    next_cycle(once);
}

static void on_cycle(void *context, const struct cycle_result *result) {
    struct once *once = context;
    print_result(&once->needs[once->next - 1], result);
    once->broken = once->broken || result->outcome == CYCLE_FAILED;
    if (!result->optimization_id) {
        next_cycle(once);
        return;
    }
    const char *id = arena_format(once->arena, "%lld", (long long)result->optimization_id);
    printf("  optimization %s\n", id);
    pg_query(run_pg(once->optimizer->run), &FOUND, 1, &id, on_found, once);
}

static void next_cycle(struct once *once) {
    if (once->next == once->count) {
        changes_drain(once->optimizer->changes, on_drained, once);
        return;
    }
    const struct need *need = &once->needs[once->next++];
    cycle_start(once->optimizer->cycles,
        &(struct cycle_trigger){.task_type = need->task_type,
            .triggered_by = need->optimization_id ? "manual" : "cronjob",
            .optimization_id = need->optimization_id,
            .ignore_backoff = need->optimization_id != 0},
        on_cycle, once);
}

static void log_needs(struct once *once) {
    struct buffer names = buffer_in(once->arena);
    for (int i = 0; i < once->count; i++)
        buffer_format(&names, "%s%s", i ? ", " : "", once->needs[i].task_type);
    if (once->count)
        log_info("task_types_needing_optimization", log_string("task_types", buffer_text(&names)),
            log_integer("count", once->count));
    else
        log_info("no_optimization_needed", log_integer("rolled_back", once->put_back));
    if (once->put_back)
        printf("%d prompt%s did worse than what it replaced and was taken back\n", once->put_back,
            once->put_back == 1 ? "" : "s");
    if (!once->count)
        printf("no task type needs an optimization\n");
}

static void on_needs(void *context, const struct pg_result *rows) {
    struct once *once = context;
    if (pg_status(rows) != PG_OK) {
        log_error("task_types_not_read", log_string("reason", pg_message(rows)));
        once->broken = true;
        end(once);
        return;
    }
    once->count = pg_rows(rows);
    once->needs = arena_alloc(once->arena, sizeof *once->needs * (size_t)(once->count + 1));
    for (int row = 0; row < once->count; row++) {
        const char *id = pg_value(rows, row, 1);
        once->needs[row] = (struct need){.task_type = arena_string(once->arena, pg_value(rows, row, 0)),
            .optimization_id = id ? strtoll(id, NULL, 10) : 0,
            .failures = strtoll(pg_value(rows, row, 2), NULL, 10)};
    }
    log_needs(once);
    next_cycle(once);
}

static void on_reviewed(void *context, int put_back) {
    struct once *once = context;
    once->put_back = put_back > 0 ? put_back : 0;
    once->broken = put_back < 0;
    const char *values[] = {arena_format(once->arena, "%lld", (long long)optimizer_settings.lookback_minutes),
        arena_format(once->arena, "%lld", (long long)optimizer_settings.failure_threshold),
        arena_format(once->arena, "%.17g", optimizer_settings.failure_share)};
    pg_query(run_pg(once->optimizer->run), &NEEDING, 3, values, on_needs, once);
}

struct once *once_open(struct optimizer *optimizer) {
    struct arena *arena = arena_create(0);
    struct once *once = arena_alloc(arena, sizeof *once);
    once->optimizer = optimizer;
    once->arena = arena;
    uv_timer_init(run_loop(optimizer->run), &once->timer);
    once->timer.data = once;
    uv_timer_start(&once->timer, on_timeout, (uint64_t)optimizer_settings.once_timeout_ms, 0);
    return once;
}

void once_begin(struct once *once) {
    watch_review(once->optimizer->watch, on_reviewed, once);
}

void once_close(struct once **once) {
    struct arena *arena = (*once)->arena;
    *once = NULL;
    arena_destroy(&arena);
}
