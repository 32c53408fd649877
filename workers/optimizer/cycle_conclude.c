/* The end of a cycle: the best fit candidate goes into service, waits for a person, or there is none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/optimizer/changes.h"
#include "workers/optimizer/cycle_private.h"
#include "workers/optimizer/optimizer_metrics.h"
#include "workers/optimizer/statistics.h"

/* What a cycle found, whatever becomes of it; moru_patch_prompt reads it in the same transaction. */
static const struct pg_statement FOUND = {
    "optimization_found",
    "UPDATE optimizations SET analysis = $2::jsonb, figures = $3::jsonb, candidate_content = $4, "
    "improvement_pct = "
    "$5::float8, tokens = $6::bigint WHERE id = $1::bigint",
};

static const struct pg_statement PATCH = {
    "patch_prompt",
    "SELECT new_id, new_version FROM moru_patch_prompt($1::bigint, $2, $3, 'optimizer', NULL, NULL)",
};

static const struct pg_statement WAIT = {
    "wait_for_approval",
    "UPDATE optimizations SET status = 'waiting', next_try_at = now() + $2::bigint * interval '1 "
    "millisecond' "
    "WHERE id = $1::bigint AND status = 'running'",
};

static const struct pg_statement NO_IMPROVEMENT = {
    "no_improvement",
    "UPDATE optimizations SET status = $2, reason = $3, fruitless = fruitless + 1, finished_at = now(), "
    "next_try_at = "
    "now() + $4::bigint * interval '1 millisecond' WHERE id = $1::bigint AND status = 'running'",
};

static void write_number(struct buffer *text, const char *name, double value) {
    buffer_format(text, ",\"%s\":", name);
    json_write_double(text, value);
}

static void write_scores(struct buffer *text, const char *name, const struct scores *scores) {
    buffer_format(text, "\"%s\":{\"count\":%lld", name, (long long)scores->count);
    write_number(text, "sum", scores->sum);
    write_number(text, "squares", scores->squares);
    buffer_string(text, "},");
}

static struct scores all_scores(const struct rehearsed *rehearsed) {
    return (struct scores){.count = rehearsed->failed.count + rehearsed->passed.count,
        .sum = rehearsed->failed.sum + rehearsed->passed.sum,
        .squares = rehearsed->failed.squares + rehearsed->passed.squares};
}

static void write_candidate(
    struct buffer *text, const struct cycle *cycle, const struct candidate *candidate) {
    enum verdict_on_candidate verdict =
        candidate->refused ? CANDIDATE_FIT : judge_candidate(&candidate->rehearsed, &cycle->active);
    const char *refused = candidate->refused         ? candidate->refused
                          : verdict != CANDIDATE_FIT ? verdict_text(verdict)
                                                     : NULL;
    buffer_format(text, "{\"angle\":\"%s\"", angle_name(candidate->angle));
    write_number(text, "failed_mean", scores_mean(&candidate->rehearsed.failed));
    write_number(text, "passed_mean", scores_mean(&candidate->rehearsed.passed));
    buffer_string(text, ",\"refused\":");
    json_write_string(text, refused);
    buffer_byte(text, '}');
}

static const char *write_figures(struct cycle *cycle) {
    struct buffer text = buffer_in(cycle->arena);
    struct scores winner =
        cycle->winner < 0 ? (struct scores){0} : all_scores(&cycle->candidates[cycle->winner].rehearsed);
    buffer_byte(&text, '{');
    write_scores(&text, "replaced", &cycle->scores);
    write_scores(&text, "rehearsed", &winner);
    buffer_format(&text, "\"failed_inputs\":%d,\"passed_inputs\":%d,\"active\":{\"unanswered\":%d",
        cycle->rehearsed_count, cycle->passed_count, cycle->active.unanswered);
    write_number(&text, "failed_mean", scores_mean(&cycle->active.failed));
    write_number(&text, "passed_mean", scores_mean(&cycle->active.passed));
    buffer_string(&text, "},\"candidates\":[");
    for (int i = 0; i < cycle->candidate_count; i++) {
        if (i)
            buffer_byte(&text, ',');
        write_candidate(&text, cycle, &cycle->candidates[i]);
    }
    buffer_string(&text, "]}");
    return buffer_text(&text);
}

/* On the failed inputs, in per cent of what the active prompt reached. */
static double improvement(const struct cycle *cycle) {
    double before = scores_mean(&cycle->active.failed);
    double after = scores_mean(&cycle->candidates[cycle->winner].rehearsed.failed);
    return before > 0 ? (after - before) / before * 100 : 100;
}

static const char *double_text(struct cycle *cycle, double value) {
    struct buffer text = buffer_in(cycle->arena);
    json_write_double(&text, value);
    return buffer_text(&text);
}

static void take_nothing(struct cycle *cycle, const struct pg_result *rows) {
    (void)cycle;
    (void)rows;
}

static void log_completed(struct cycle *cycle, enum cycle_outcome outcome) {
    const struct candidate *winner = cycle->winner >= 0 ? &cycle->candidates[cycle->winner] : NULL;
    log_info("optimization_completed", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_string("result", cycle_outcome_name(outcome)),
        log_double("before_score", scores_mean(&cycle->active.failed)),
        log_double("after_score", winner ? scores_mean(&winner->rehearsed.failed) : NAN),
        log_double("duration_ms", (double)(uv_hrtime() - cycle->started_ns) / 1e6),
        log_integer("tokens", cycle->tokens));
}

static void observe_scores(const struct cycle *cycle) {
    const struct rehearsed *rehearsed = &cycle->candidates[cycle->winner].rehearsed;
    metric_observe(
        metric_rehearsal_score, scores_mean(&rehearsed->failed), cycle->trigger.task_type, "failed");
    if (rehearsed->passed.count)
        metric_observe(
            metric_rehearsal_score, scores_mean(&rehearsed->passed), cycle->trigger.task_type, "passed");
}

static void take_patched(struct cycle *cycle, const struct pg_result *rows) {
    const char *task_type = cycle->trigger.task_type;
    if (!pg_rows(rows)) {
        cycle_fail(cycle, CYCLE_SUPERSEDED, "somebody changed the active prompt meanwhile");
        log_info("optimization_superseded", log_string("task_type", task_type),
            log_integer("optimization_id", cycle->optimization_id));
        return;
    }
    cycle->new_prompt_id = strtoll(pg_value(rows, 0, 0), NULL, 10);
    cycle->new_version = strtoll(pg_value(rows, 0, 1), NULL, 10);
    log_info("prompt_patched", log_string("task_type", task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_integer("old_version", cycle->prompt_version), log_integer("prompt_version", cycle->new_version),
        log_integer("prompt_id", cycle->new_prompt_id));
    observe_scores(cycle);
    if (cycle->trigger.threshold_at_ms)
        metric_observe(metric_time_to_heal,
            (double)(optimizer_now_ms() - cycle->trigger.threshold_at_ms) / 1000, task_type);
}

static void on_patched(struct cycle *cycle) {
    log_completed(cycle, CYCLE_PATCHED);
    cycle_end(cycle, CYCLE_PATCHED, "");
}

static void on_waiting(struct cycle *cycle) {
    log_info("optimization_waiting", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id));
    log_completed(cycle, CYCLE_WAITING);
    cycle_end(cycle, CYCLE_WAITING, "the winner waits for a person's approval");
}

static const char *change_reason(struct cycle *cycle) {
    const struct candidate *winner = &cycle->candidates[cycle->winner];
    return arena_format(cycle->arena, "optimization %lld: %s; %.3f instead of %.3f on %d failed inputs. %s",
        (long long)cycle->optimization_id, angle_name(winner->angle), scores_mean(&winner->rehearsed.failed),
        scores_mean(&cycle->active.failed), cycle->rehearsed_count,
        cycle->analysis.patterns.count ? cycle->analysis.patterns.items[0] : "");
}

static void save_found(struct cycle *cycle) {
    struct buffer analysis = buffer_in(cycle->arena);
    bool won = cycle->winner >= 0;
    analysis_write(&analysis, &cycle->analysis);
    const char *values[] = {cycle_integer(cycle, cycle->optimization_id), buffer_text(&analysis),
        cycle->figures, won ? cycle->candidates[cycle->winner].content : NULL,
        won ? double_text(cycle, improvement(cycle)) : NULL, cycle_integer(cycle, cycle->tokens)};
    cycle_query(cycle, &FOUND, 6, values, take_nothing);
}

static void put_into_service(struct cycle *cycle) {
    const char *values[] = {cycle_integer(cycle, cycle->optimization_id),
        cycle->candidates[cycle->winner].content, change_reason(cycle)};
    cycle->then = on_patched;
    cycle_query(cycle, &PATCH, 3, values, take_patched);
}

static void let_wait(struct cycle *cycle) {
    const char *values[] = {cycle_integer(cycle, cycle->optimization_id),
        cycle_integer(cycle, optimizer_settings.backoff_max_ms)};
    cycle->then = on_waiting;
    cycle_query(cycle, &WAIT, 2, values, take_nothing);
}

static void on_no_improvement(struct cycle *cycle) {
    log_info("optimization_no_improvement", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_integer("next_try_in_ms", cycle->next_try_ms - optimizer_now_ms()));
    log_completed(cycle, CYCLE_NO_IMPROVEMENT);
    cycle_end(cycle, CYCLE_NO_IMPROVEMENT, "no candidate did well enough in rehearsal");
}

static void on_not_rehearsed(struct cycle *cycle) {
    cycle_end(cycle, CYCLE_FAILED, "the active prompt itself could not be rehearsed");
}

/* The back-off grows with each cycle that found nothing. */
static int64_t backoff_ms(const struct cycle *cycle) {
    int64_t wait = optimizer_settings.backoff_ms;
    for (int64_t i = 0; i < cycle->fruitless && wait < optimizer_settings.backoff_max_ms; i++)
        wait *= 2;
    return wait < optimizer_settings.backoff_max_ms ? wait : optimizer_settings.backoff_max_ms;
}

static void report_none(
    struct cycle *cycle, const char *status, const char *reason, void (*then)(struct cycle *cycle)) {
    int64_t wait = backoff_ms(cycle);
    const char *values[] = {
        cycle_integer(cycle, cycle->optimization_id), status, reason, cycle_integer(cycle, wait)};
    cycle->next_try_ms = optimizer_now_ms() + wait;
    cycle->then = then;
    cycle_query(cycle, &NO_IMPROVEMENT, 4, values, take_nothing);
}

void cycle_conclude(struct cycle *cycle) {
    struct rehearsed rehearsed[CANDIDATES_MAX + 2];
    int index[CANDIDATES_MAX + 2], count = 0;
    for (int i = 0; i < cycle->candidate_count; i++)
        if (!cycle->candidates[i].refused) {
            index[count] = i;
            rehearsed[count++] = cycle->candidates[i].rehearsed;
        }
    int best = choose_candidate(rehearsed, count, &cycle->active);
    cycle->winner = best < 0 ? -1 : index[best];
    /* Without the control there is nothing to compare with. */
    bool unanswered = 2 * cycle->active.failed.count < cycle->rehearsed_count;
    if (unanswered)
        cycle->winner = -1;
    cycle->figures = write_figures(cycle);
    cycle->waiting++; /* all queries of this step go out before the first answer counts */
    save_found(cycle);
    if (unanswered)
        report_none(cycle, "failed", "the active prompt itself could not be rehearsed", on_not_rehearsed);
    else if (cycle->winner < 0)
        report_none(cycle, "no_improvement", "no candidate did well enough in rehearsal", on_no_improvement);
    else if (strcmp(optimizer_settings.approval, "manual") == 0)
        let_wait(cycle);
    else
        put_into_service(cycle);
    cycle_answered(cycle);
}
