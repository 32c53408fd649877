/* The outbox: claims changes, publishes them, and marks them as published; one that dies in between is told
 * twice. */
#include "workers/optimizer/changes.h"

#include <stdlib.h>

#include "schemas/prompt_change.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"

enum { PERIOD_MS = 500, KEEP_EVERY = 7200 };

/* A claim that is older was left by a process that died. */
static const struct pg_statement CLAIM = {
    "claim_prompt_changes",
    "WITH mine AS (SELECT id FROM prompt_changes WHERE published_at IS NULL AND (claimed_at IS NULL OR "
    "claimed_at < now() - "
    "interval '10 seconds') ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED), claimed AS (UPDATE prompt_changes "
    "SET claimed_at "
    "= now() FROM mine WHERE prompt_changes.id = mine.id RETURNING prompt_changes.*) SELECT id, task_type, "
    "prompt_id, "
    "version, action, is_active, content, change_reason, created_by, changed_by, to_char(changed_at AT TIME "
    "ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM claimed ORDER BY id",
};

static const struct pg_statement PUBLISHED = {
    "published_prompt_changes",
    "UPDATE prompt_changes SET published_at = now() WHERE id = ANY($1::bigint[])",
};

static const struct pg_statement FORGET = {
    "forget_prompt_changes",
    "DELETE FROM prompt_changes WHERE published_at < now() - interval '90 days'",
};

struct changes {
    struct optimizer *optimizer;
    uv_timer_t timer;
    bool busy;  /* a claim is under way, or its changes are being published */
    bool again; /* somebody asked to look meanwhile */
    int unacknowledged;
    struct arena *arena; /* of the changes being published */
    struct buffer ids;
    int looks;
    void (*drained)(void *context);
    void *context;
};

static void look(struct changes *changes);

static void end_look(struct changes *changes, bool found) {
    changes->busy = false;
    if (changes->again || found) {
        changes->again = false;
        look(changes);
        return;
    }
    void (*drained)(void *context) = changes->drained;
    changes->drained = NULL;
    if (drained)
        drained(changes->context);
}

static void on_published(void *context, const struct pg_result *result) {
    struct changes *changes = context;
    if (pg_status(result) != PG_OK)
        log_warn("prompt_changes_not_marked", log_string("reason", pg_message(result)));
    end_look(changes, pg_status(result) == PG_OK);
}

static void on_sent(void *context, const char *reason) {
    struct changes *changes = context;
    if (reason)
        log_error("prompt_change_refused", log_string("reason", reason));
    if (--changes->unacknowledged)
        return;
    pg_array_end(&changes->ids);
    pg_query(run_pg(changes->optimizer->run), &PUBLISHED, 1,
        (const char *const[]){buffer_text(&changes->ids)}, on_published, changes);
    arena_destroy(&changes->arena);
}

static void publish(struct changes *changes, const struct pg_result *rows, int row) {
    struct buffer body = buffer_in(changes->arena);
    struct prompt_change change = {.change_id = strtoll(pg_value(rows, row, 0), NULL, 10),
        .task_type = pg_value(rows, row, 1),
        .prompt_id = strtoll(pg_value(rows, row, 2), NULL, 10),
        .version = strtoll(pg_value(rows, row, 3), NULL, 10),
        .is_active = *pg_value(rows, row, 5) == 't',
        .content = pg_value(rows, row, 6),
        .change_reason = pg_value(rows, row, 7),
        .created_by = pg_value(rows, row, 8),
        .changed_by = pg_value(rows, row, 9),
        .changed_at = pg_value(rows, row, 10)};
    pg_array_add(&changes->ids, pg_value(rows, row, 0));
    /* The table has a CHECK of the same names. */
    if (!prompt_change_action_parse(pg_value(rows, row, 4), &change.action))
        abort();
    prompt_change_encode(&body, &change);
    run_emit(changes->optimizer->run,
        &(struct run_record){.topic = TOPIC_PROMPTS.kafka_names[0],
            .key = change.task_type,
            .value = body.data,
            .length = body.length,
            .type = "moru.prompt-change.v1"},
        on_sent, changes);
}

static void on_claimed(void *context, const struct pg_result *rows) {
    struct changes *changes = context;
    if (pg_status(rows) == PG_FAILED)
        log_error("prompt_changes_not_read", log_string("reason", pg_message(rows)));
    int count = pg_status(rows) == PG_OK ? pg_rows(rows) : 0;
    if (!count) {
        end_look(changes, false);
        return;
    }
    changes->arena = arena_create(0);
    changes->ids = buffer_in(changes->arena);
    changes->unacknowledged = count;
    pg_array_begin(&changes->ids);
    for (int row = 0; row < count; row++)
        publish(changes, rows, row);
}

static void on_forgotten(void *context, const struct pg_result *result) {
    (void)context;
    if (pg_status(result) == PG_FAILED)
        log_error("prompt_changes_not_forgotten", log_string("reason", pg_message(result)));
}

static void look(struct changes *changes) {
    struct pg *pg = run_pg(changes->optimizer->run);
    changes->busy = true;
    if (changes->looks++ % KEEP_EVERY == 0)
        pg_query(pg, &FORGET, 0, NULL, on_forgotten, NULL);
    pg_query(pg, &CLAIM, 0, NULL, on_claimed, changes);
}

void changes_look(struct changes *changes) {
    if (!pg_ready(run_pg(changes->optimizer->run)))
        return;
    if (changes->busy)
        changes->again = true;
    else
        look(changes);
}

static void on_timer(uv_timer_t *timer) {
    struct changes *changes = timer->data;
    if (!changes->busy)
        changes_look(changes);
}

struct changes *changes_open(struct optimizer *optimizer) {
    struct changes *changes = calloc(1, sizeof *changes);
    if (!changes)
        abort();
    changes->optimizer = optimizer;
    uv_timer_init(run_loop(optimizer->run), &changes->timer);
    changes->timer.data = changes;
    uv_timer_start(&changes->timer, on_timer, PERIOD_MS, PERIOD_MS);
    return changes;
}

void changes_drain(struct changes *changes, void (*done)(void *context), void *context) {
    changes->drained = done;
    changes->context = context;
    if (changes->busy)
        changes->again = true;
    else
        look(changes);
}

void changes_close(struct changes **changes) {
    uv_timer_stop(&(*changes)->timer);
    /* Its query may still be under way: Postgres is closed after this, and all of it ends with the process.
     */
    (*changes)->drained = NULL;
    (*changes)->again = false;
    *changes = NULL;
}
