/* The daily partitions of results: made ahead, so that no row falls into the default one, and dropped when
 * they are old. */
#include "shared/arena.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/recorder/recorder.h"

enum { DAYS_AHEAD = 7, PERIOD_MS = 3600000 };

static int64_t retention_days;

struct setting recorder_settings[] = {
    {.name = "RESULTS_RETENTION_DAYS",
        .type = SETTING_INTEGER,
        .value = &retention_days,
        .otherwise = "90",
        .min = 1,
        .max = 36500,
        .help = "Days that results are kept in moru's own table"},
    {0},
};

static const struct pg_statement MAINTAIN = {
    "maintain_partitions",
    "SELECT moru_maintain_partitions($1::int, $2::int)",
};

static void on_maintained(void *context, const struct pg_result *result) {
    (void)context;
    if (pg_status(result) == PG_FAILED)
        log_error("partitions_not_maintained", log_string("reason", pg_message(result)));
}

static void on_timer(uv_timer_t *timer) {
    struct recorder *recorder = timer->data;
    struct arena *arena = arena_create(0);
    const char *values[] = {
        arena_format(arena, "%d", DAYS_AHEAD), arena_format(arena, "%lld", (long long)retention_days)};
    if (pg_ready(run_pg(recorder->run)))
        pg_query(run_pg(recorder->run), &MAINTAIN, 2, values, on_maintained, recorder);
    arena_destroy(&arena);
}

void recorder_maintain(struct recorder *recorder) {
    uv_timer_init(run_loop(recorder->run), &recorder->maintenance);
    recorder->maintenance.data = recorder;
    uv_timer_start(&recorder->maintenance, on_timer, PERIOD_MS, PERIOD_MS);
}
