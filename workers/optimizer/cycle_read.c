/* What a cycle has to know before it begins: one flush of queries behind the task type's lock. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/optimizer/cycle_private.h"
#include "workers/optimizer/statistics.h"

/* Held by the session: it ends with the connection, and moru_patch_prompt checks again what it protects. */
static const struct pg_statement LOCK = {
    "lock_task_type",
    "SELECT pg_try_advisory_lock(hashtextextended('moru optimize ' || $1, 0))",
};

static const struct pg_statement ACTIVE = {
    "active_for_cycle",
    "SELECT id, version, content FROM moru_active_prompt($1)",
};

/* The last cycle of the active prompt without a change, and what all of today's cost. */
static const struct pg_statement HISTORY = {
    "history_of_cycles",
    "SELECT coalesce((extract(epoch FROM last.next_try_at) * 1000)::bigint, 0), coalesce(last.fruitless, 0), "
    "(SELECT coalesce(sum(tokens), 0) FROM optimizations WHERE created_at >= date_trunc('day', now() AT TIME "
    "ZONE "
    "'UTC') AT TIME ZONE 'UTC') FROM (SELECT 1) AS one LEFT JOIN LATERAL (SELECT next_try_at, fruitless FROM "
    "optimizations WHERE task_type = $1 AND prompt_id = (SELECT id FROM moru_active_prompt($1)) AND status "
    "IN "
    "('no_improvement', 'failed', 'waiting', 'rejected') ORDER BY id DESC LIMIT 1) AS last ON true",
};

static const struct pg_statement REJECTED = {
    "rejected_prompts",
    "SELECT prompt_hash FROM rejected_prompts WHERE task_type = $1 ORDER BY created_at DESC LIMIT 1000",
};

/* Inputs that passed, newest first, each once. */
static const struct pg_statement PASSED = {
    "passed_inputs",
    "SELECT request_id, user_input FROM (SELECT DISTINCT ON (user_input) request_id, user_input, created_at "
    "FROM (SELECT "
    "request_id, user_input, created_at FROM execution_logs WHERE task_type = $1 AND evaluation_passed AND "
    "created_at > "
    "now() - interval '7 days' ORDER BY created_at DESC LIMIT 500) AS recent ORDER BY user_input, created_at "
    "DESC) AS "
    "inputs ORDER BY created_at DESC LIMIT $2::int",
};

/* The version with the best mean among those that passed as often as not; else the newest one below that was
 * never judged. */
static const struct pg_statement LAST_GOOD = {
    "last_good_prompt",
    "SELECT p.content FROM prompts p LEFT JOIN LATERAL (SELECT count(*) AS evaluations, avg(score) AS mean, "
    "avg(passed::int) AS rate FROM (SELECT score, passed FROM results WHERE prompt_id = "
    "p.id AND "
    "purpose = 'serve' AND passed IS NOT NULL ORDER BY created_at DESC LIMIT 200) AS judged) AS seen ON true "
    "WHERE p.task_type = $1 AND p.id IS DISTINCT FROM (SELECT id FROM moru_active_prompt($1)) AND p.content "
    "<> '' AND "
    "p.content <> coalesce((SELECT content FROM moru_active_prompt($1)), '') AND "
    "encode(sha256(convert_to(p.content, 'UTF8')), 'hex') NOT IN (SELECT prompt_hash FROM rejected_prompts "
    "WHERE "
    "task_type = $1) AND (seen.evaluations = 0 OR seen.rate >= 0.5) "
    "ORDER BY seen.evaluations > 0 DESC, round(seen.mean::numeric, 2) DESC NULLS LAST, p.version DESC, p.id "
    "DESC LIMIT 1",
};

/* Failures of the active prompt: rows of execution_logs that results ties to it, and rows made by hand that
 * are younger than it. Newest first, each request once. */
#define LOGGED                                                                                               \
    "FROM (SELECT * FROM execution_logs WHERE task_type = $1 AND created_at > now() - make_interval(mins "   \
    "=> "                                                                                                    \
    "$2::int) AND evaluation_passed IS NOT NULL ORDER BY created_at DESC LIMIT 20000) AS log LEFT JOIN "     \
    "LATERAL (SELECT prompt_id, purpose FROM results WHERE results.request_id = log.request_id ORDER BY "    \
    "run "                                                                                                   \
    "DESC LIMIT 1) AS recorded ON true, moru_active_prompt($1) AS active WHERE CASE WHEN recorded.purpose "  \
    "IS "                                                                                                    \
    "NULL THEN log.created_at >= active.created_at AND coalesce(log.prompt_version, active.version) = "      \
    "active.version ELSE recorded.prompt_id = active.id END"

static const struct pg_statement FAILURES = {
    "failures_of_prompt",
    "SELECT * FROM (SELECT DISTINCT ON (log.request_id) log.request_id, log.user_input, log.worker_output, "
    "log.evaluation_score, log.evaluation_detail, log.created_at " LOGGED
    " AND NOT log.evaluation_passed ORDER BY log.request_id, log.created_at DESC) AS failure ORDER BY "
    "created_at DESC LIMIT 50",
};

static const struct pg_statement SCORES = {
    "scores_of_prompt",
    "SELECT count(*), coalesce(sum(score), 0), coalesce(sum(score * score), 0) FROM (SELECT DISTINCT ON "
    "(log.request_id) "
    "log.evaluation_score AS score " LOGGED
    " AND log.evaluation_score IS NOT NULL ORDER BY log.request_id, log.created_at DESC) AS judged",
};

/* The lock is ours, so what still says running was left by a process that died. A requested row is taken only
 * once. */
static const struct pg_statement BEGIN_CYCLE = {
    "begin_cycle",
    "WITH abandoned AS (UPDATE optimizations SET status = 'abandoned', finished_at = now(), reason = 'its "
    "optimizer died' "
    "WHERE task_type = $1 AND status = 'running'), taken AS (UPDATE optimizations SET status = 'running', "
    "prompt_id = "
    "$4::int, prompt_version = $5::int, prompt_content = $6, started_at = now() WHERE id = $3::bigint AND "
    "status = "
    "'requested' RETURNING id), made AS (INSERT INTO optimizations (task_type, status, triggered_by, "
    "prompt_id, "
    "prompt_version, prompt_content, fruitless, threshold_at, started_at) SELECT $1, 'running', $2, $4::int, "
    "$5::int, $6, "
    "$7::int, to_timestamp($8::bigint / 1000.0), now() WHERE $3::bigint IS NULL RETURNING id) "
    "SELECT id FROM taken UNION ALL SELECT id FROM made",
};

/* A request that cannot become a cycle ends here. */
static const struct pg_statement REFUSE = {
    "refuse_requested",
    "UPDATE optimizations SET status = $2, reason = $3, finished_at = now() WHERE id = $1::bigint AND status "
    "= 'requested'",
};

static void take_lock(struct cycle *cycle, const struct pg_result *rows) {
    cycle->locked = *pg_value(rows, 0, 0) == 't';
    if (!cycle->locked)
        cycle_fail(cycle, CYCLE_BUSY, "another optimizer is at work on this task type");
}

static void take_active(struct cycle *cycle, const struct pg_result *rows) {
    cycle->has_active = pg_rows(rows) > 0;
    if (!cycle->has_active)
        return;
    cycle->prompt_id = strtoll(pg_value(rows, 0, 0), NULL, 10);
    cycle->prompt_version = strtoll(pg_value(rows, 0, 1), NULL, 10);
    cycle->prompt = arena_string(cycle->arena, pg_value(rows, 0, 2));
}

static void take_history(struct cycle *cycle, const struct pg_result *rows) {
    cycle->next_try_ms = strtoll(pg_value(rows, 0, 0), NULL, 10);
    cycle->fruitless = strtoll(pg_value(rows, 0, 1), NULL, 10);
    cycle->tokens_today = strtoll(pg_value(rows, 0, 2), NULL, 10);
}

static void take_rejected(struct cycle *cycle, const struct pg_result *rows) {
    for (int row = 0; row < pg_rows(rows) && cycle->rejected_count < REJECTED_MAX; row++)
        cycle->rejected[cycle->rejected_count++] = arena_string(cycle->arena, pg_value(rows, row, 0));
}

static void take_passed(struct cycle *cycle, const struct pg_result *rows) {
    for (int row = 0; row < pg_rows(rows) && cycle->passed_count < REHEARSED_MAX; row++)
        cycle->passed[cycle->passed_count++] =
            (struct sample){arena_string(cycle->arena, pg_value(rows, row, 0)),
                arena_string(cycle->arena, pg_value(rows, row, 1))};
}

static void take_last_good(struct cycle *cycle, const struct pg_result *rows) {
    if (pg_rows(rows))
        cycle->last_good = arena_string(cycle->arena, pg_value(rows, 0, 0));
}

static const char *or_empty(const char *text, const char *otherwise) {
    return text ? text : otherwise;
}

/* Rows come newest first, failures are kept oldest first. */
static void take_failures(struct cycle *cycle, const struct pg_result *rows) {
    for (int row = pg_rows(rows) - 1; row >= 0 && cycle->failure_count < FAILURES_MAX; row--) {
        struct failure *failure = &cycle->failures[cycle->failure_count++];
        const char *score = pg_value(rows, row, 3);
        failure->request_id = arena_string(cycle->arena, pg_value(rows, row, 0));
        failure->user_input = arena_string(cycle->arena, pg_value(rows, row, 1));
        failure->output = arena_string(cycle->arena, or_empty(pg_value(rows, row, 2), ""));
        failure->score = score ? strtod(score, NULL) : 0;
        failure->detail = arena_string(cycle->arena, or_empty(pg_value(rows, row, 4), "{}"));
    }
}

static void take_scores(struct cycle *cycle, const struct pg_result *rows) {
    cycle->scores = (struct scores){.count = strtoll(pg_value(rows, 0, 0), NULL, 10),
        .sum = strtod(pg_value(rows, 0, 1), NULL),
        .squares = strtod(pg_value(rows, 0, 2), NULL)};
}

/* Where there are enough of them, what the analyst sees and what is rehearsed are different failures. */
static void divide_failures(struct cycle *cycle) {
    int most = (int)optimizer_settings.rehearsal_inputs, count = cycle->failure_count;
    cycle->analysed_count = count < 6 ? count : count / 2;
    if (cycle->analysed_count > ANALYSED_MAX)
        cycle->analysed_count = ANALYSED_MAX;
    cycle->rehearsed_from = count < 6 ? 0 : cycle->analysed_count;
    cycle->rehearsed_count = count - cycle->rehearsed_from;
    if (cycle->rehearsed_count > most) {
        /* The newest ones. */
        cycle->rehearsed_from += cycle->rehearsed_count - most;
        cycle->rehearsed_count = most;
    }
}

static void take_begun(struct cycle *cycle, const struct pg_result *rows) {
    if (!pg_rows(rows)) {
        cycle_fail(cycle, CYCLE_BUSY, "another optimizer has taken the request");
        return;
    }
    cycle->optimization_id = strtoll(pg_value(rows, 0, 0), NULL, 10);
    log_info("optimization_cycle_started", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_integer("prompt_version", cycle->prompt_version), log_integer("prompt_id", cycle->prompt_id),
        log_integer("failures", cycle->failure_count),
        log_string("triggered_by", cycle->trigger.triggered_by));
}

static void begin(struct cycle *cycle) {
    const struct cycle_trigger *trigger = &cycle->trigger;
    divide_failures(cycle);
    const char *values[] = {trigger->task_type, trigger->triggered_by,
        trigger->optimization_id ? cycle_integer(cycle, trigger->optimization_id) : NULL,
        cycle_integer(cycle, cycle->prompt_id), cycle_integer(cycle, cycle->prompt_version), cycle->prompt,
        cycle_integer(cycle, cycle->fruitless),
        trigger->threshold_at_ms ? cycle_integer(cycle, trigger->threshold_at_ms) : NULL};
    cycle_query(cycle, &BEGIN_CYCLE, 8, values, take_begun);
}

static void take_nothing(struct cycle *cycle, const struct pg_result *rows) {
    (void)cycle;
    (void)rows;
}

/* The cycle does not begin; who asked for it by a row is told there. */
static void refuse(struct cycle *cycle, enum cycle_outcome outcome, const char *status, const char *reason) {
    if (!cycle->trigger.optimization_id) {
        cycle_end(cycle, outcome, reason);
        return;
    }
    const char *values[] = {cycle_integer(cycle, cycle->trigger.optimization_id), status, reason};
    cycle->failure = outcome;
    cycle->reason = reason;
    cycle_query(cycle, &REFUSE, 3, values, take_nothing);
}

static void on_known(struct cycle *cycle) {
    const struct cycle_trigger *trigger = &cycle->trigger;
    if (!cycle->has_active)
        refuse(cycle, CYCLE_SUPERSEDED, "superseded", "the task type has no active prompt");
    else if (trigger->prompt_id && trigger->prompt_id != cycle->prompt_id)
        refuse(cycle, CYCLE_SUPERSEDED, "superseded", "these are not failures of the active prompt");
    else if (cycle->next_try_ms > optimizer_now_ms() && !trigger->ignore_backoff)
        refuse(cycle, CYCLE_BACKING_OFF, "no_improvement",
            "the last cycle found nothing better; its back-off is not over");
    else if (cycle->tokens_today >= optimizer_settings.tokens_per_day)
        refuse(cycle, CYCLE_OVER_BUDGET, "failed", "the day's model tokens for healing are used up");
    else if (!cycle->failure_count)
        refuse(
            cycle, CYCLE_NO_IMPROVEMENT, "no_improvement", "the active prompt has no failures to learn from");
    else {
        cycle->then = cycle->after;
        begin(cycle);
    }
}

void cycle_read(struct cycle *cycle, void (*then)(struct cycle *cycle)) {
    const char *values[] = {
        cycle->trigger.task_type, cycle_integer(cycle, optimizer_settings.lookback_minutes)};
    const char *passed[] = {
        cycle->trigger.task_type, cycle_integer(cycle, optimizer_settings.rehearsal_inputs)};
    cycle->after = then;
    cycle->then = on_known;
    cycle_query(cycle, &LOCK, 1, values, take_lock);
    cycle_query(cycle, &ACTIVE, 1, values, take_active);
    cycle_query(cycle, &HISTORY, 1, values, take_history);
    cycle_query(cycle, &REJECTED, 1, values, take_rejected);
    cycle_query(cycle, &PASSED, 2, passed, take_passed);
    cycle_query(cycle, &LAST_GOOD, 1, values, take_last_good);
    if (!cycle->failure_count)
        cycle_query(cycle, &FAILURES, 2, values, take_failures);
    if (!cycle->scores.count)
        cycle_query(cycle, &SCORES, 2, values, take_scores);
}
