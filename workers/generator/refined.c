/* Rows come and go in batches: the texts of array parameters are written as the rows are told. */
#include "workers/generator/refined.h"

#include <stdbool.h>
#include <stdlib.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"

enum {
    BATCH_BYTES_MAX = 1 << 20, /* past it a batch does not wait for the one before */
    TICK_MS = 1000,
    PRUNE_TICKS = 600,
};

static const struct pg_statement KEEP = {
    "keep_refined_inputs",
    "INSERT INTO refined_inputs (request_id, run, refined_input) "
    "SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[]) ON CONFLICT DO NOTHING",
};
/* LATERAL for the same reason as in STORED_RESULTS: the index, whatever the planner thinks. */
static const struct pg_statement FORGET = {
    "forget_refined_inputs",
    "DELETE FROM refined_inputs WHERE ctid = ANY (ARRAY("
    "SELECT kept.ctid FROM unnest($1::uuid[], $2::int[]) AS ended(request_id, run) "
    "CROSS JOIN LATERAL (SELECT ctid FROM refined_inputs r WHERE r.request_id = ended.request_id "
    "AND r.run = ended.run OFFSET 0) AS kept))",
};
static const struct pg_statement PRUNE = {
    "prune_refined_inputs",
    "DELETE FROM refined_inputs WHERE created_at < now() - interval '1 hour'",
};

/* Rows as the texts of arrays; arena NULL: none. */
struct rows {
    struct arena *arena;
    struct buffer ids, runs, texts;
};

struct refined {
    struct pg *pg;
    uv_timer_t timer;
    struct rows keeping;
    bool under_way;            /* a write of some that are kept */
    struct rows ended, ending; /* since the last tick but one, and since the last */
    int ticks;
};

static void add(struct rows *rows, const char *request_id, int64_t run, const char *text) {
    if (!rows->arena) {
        *rows = (struct rows){.arena = arena_create(0)};
        rows->ids = rows->runs = rows->texts = buffer_in(rows->arena);
        pg_array_begin(&rows->ids);
        pg_array_begin(&rows->runs);
        pg_array_begin(&rows->texts);
    }
    pg_array_add(&rows->ids, request_id);
    pg_array_add_integer(&rows->runs, run);
    if (text)
        pg_array_add(&rows->texts, text);
}

/* With texts or, where the statement takes none, without. Takes the rows. */
static void send_rows(struct pg *pg, const struct pg_statement *statement, int count, struct rows *rows,
    pg_done done, void *context) {
    pg_array_end(&rows->ids);
    pg_array_end(&rows->runs);
    pg_array_end(&rows->texts);
    pg_query(pg, statement, count,
        (const char *const[]){buffer_text(&rows->ids), buffer_text(&rows->runs), buffer_text(&rows->texts)},
        done, context);
    arena_destroy(&rows->arena);
}

static void tell_failure(const struct pg_result *result) {
    if (pg_status(result) == PG_FAILED)
        log_error("refined_inputs_not_kept", log_string("reason", pg_message(result)));
}

static void on_kept(void *context, const struct pg_result *result);

static void send_keeping(struct refined *refined) {
    if (!refined->keeping.arena)
        return;
    refined->under_way = true;
    send_rows(refined->pg, &KEEP, 3, &refined->keeping, on_kept, refined);
}

static void on_kept(void *context, const struct pg_result *result) {
    struct refined *refined = context;
    tell_failure(result);
    refined->under_way = false;
    send_keeping(refined);
}

static void on_forgotten(void *context, const struct pg_result *result) {
    (void)context;
    tell_failure(result);
}

static void on_tick(uv_timer_t *timer) {
    struct refined *refined = timer->data;
    if (refined->ended.arena)
        send_rows(refined->pg, &FORGET, 2, &refined->ended, on_forgotten, NULL);
    refined->ended = refined->ending;
    refined->ending = (struct rows){0};
    if (refined->ticks++ % PRUNE_TICKS == 0)
        pg_query(refined->pg, &PRUNE, 0, NULL, on_forgotten, NULL);
}

struct refined *refined_open(uv_loop_t *loop, struct pg *pg) {
    struct refined *refined = calloc(1, sizeof *refined);
    if (!refined)
        abort();
    refined->pg = pg;
    uv_timer_init(loop, &refined->timer);
    refined->timer.data = refined;
    uv_timer_start(&refined->timer, on_tick, TICK_MS, TICK_MS);
    return refined;
}

void refined_keep(struct refined *refined, const char *request_id, int64_t run, const char *refined_input) {
    add(&refined->keeping, request_id, run, refined_input);
    if (!refined->under_way || refined->keeping.texts.length > BATCH_BYTES_MAX)
        send_keeping(refined);
}

void refined_forget(struct refined *refined, const char *request_id, int64_t run) {
    add(&refined->ending, request_id, run, NULL);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void refined_close(struct refined **closing) {
    struct refined *refined = *closing;
    *closing = NULL;
    if (!refined)
        return;
    arena_destroy(&refined->keeping.arena);
    arena_destroy(&refined->ended.arena);
    arena_destroy(&refined->ending.arena);
    uv_close((uv_handle_t *)&refined->timer, on_closed);
}
