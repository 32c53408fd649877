/* What is done every hour: the daily partitions of results and model_calls are made ahead, so that no row
 * falls into the default one, and dropped when they are old; idempotency keys that have expired are deleted.
 */
#include <stdio.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/recorder/recorder.h"

enum { DAYS_AHEAD = 7, PERIOD_MS = 3600000 };

static int64_t retention_days, calls_retention_days;

struct setting recorder_settings[] = {
    {.name = "RESULTS_RETENTION_DAYS",
        .type = SETTING_INTEGER,
        .value = &retention_days,
        .otherwise = "90",
        .min = 1,
        .max = 36500,
        .help = "Days that results are kept in moru's own table"},
    {.name = "USAGE_RETENTION_DAYS",
        .type = SETTING_INTEGER,
        .value = &calls_retention_days,
        .otherwise = "90",
        .min = 1,
        .max = 36500,
        .help = "Days that the usage of model calls is kept"},
    {0},
};

static const struct pg_statement MAINTAIN = {
    "maintain_partitions",
    "SELECT moru_maintain_partitions($1::int, $2::int)",
};

static const struct pg_statement MAINTAIN_CALLS = {
    "maintain_model_calls",
    "SELECT moru_maintain_model_calls($1::int, $2::int)",
};

static void on_maintained(void *context, const struct pg_result *result) {
    (void)context;
    if (pg_status(result) == PG_FAILED)
        log_error("partitions_not_maintained", log_string("reason", pg_message(result)));
}

/* A part at a time, so that the results that wait for this connection do not wait for all of it. */
static const struct pg_statement DELETE_KEYS = {
    "delete_expired_keys",
    "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys "
    "WHERE expires_at < now() LIMIT $1::int FOR UPDATE SKIP LOCKED))",
};
enum { KEYS_AT_ONCE = 1000 };

static void delete_keys(struct recorder *recorder);

static void on_keys_deleted(void *context, const struct pg_result *result) {
    if (pg_status(result) == PG_FAILED)
        log_error("keys_not_deleted", log_string("reason", pg_message(result)));
    else if (pg_status(result) == PG_OK && pg_affected(result) == KEYS_AT_ONCE)
        delete_keys(context);
}

static void delete_keys(struct recorder *recorder) {
    char count[16];
    snprintf(count, sizeof count, "%d", KEYS_AT_ONCE);
    pg_query(run_pg(recorder->run), &DELETE_KEYS, 1, (const char *const[]){count}, on_keys_deleted, recorder);
}

static void on_timer(uv_timer_t *timer) {
    struct recorder *recorder = timer->data;
    struct arena *arena = arena_create(0);
    const char *days = arena_format(arena, "%d", DAYS_AHEAD);
    const char *results[] = {days, arena_format(arena, "%lld", (long long)retention_days)};
    const char *calls[] = {days, arena_format(arena, "%lld", (long long)calls_retention_days)};
    if (pg_ready(run_pg(recorder->run))) {
        pg_query(run_pg(recorder->run), &MAINTAIN, 2, results, on_maintained, recorder);
        pg_query(run_pg(recorder->run), &MAINTAIN_CALLS, 2, calls, on_maintained, recorder);
        delete_keys(recorder);
    }
    arena_destroy(&arena);
}

void recorder_began(struct run *run) {
    delete_keys(run_state(run));
}

void recorder_maintain(struct recorder *recorder) {
    uv_timer_init(run_loop(recorder->run), &recorder->maintenance);
    recorder->maintenance.data = recorder;
    uv_timer_start(&recorder->maintenance, on_timer, PERIOD_MS, PERIOD_MS);
}
