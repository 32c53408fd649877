/* Tells whoever waits what was recorded: the row that won, also to those whose own row lost. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/stored_result.h"
#include "workers/recorder/recorder.h"

/* Items whose row was not the first one, while their stored rows are asked for. */
struct losers {
    struct item *items;
};

static bool is_row_of(const struct item *item, const struct pg_result *result, int row) {
    return strcasecmp(pg_value(result, row, 0), item->values[REQUEST_ID]) == 0 &&
           strcmp(pg_value(result, row, 1), item->values[RUN]) == 0;
}

static int find_row(const struct item *item, const struct pg_result *result, int from) {
    for (int row = from; row < pg_rows(result); row++)
        if (is_row_of(item, result, row))
            return row;
    return -1;
}

static void end_item(struct item *item, bool known) {
    struct job *job = item->job;
    if (known)
        job_emit_result(job, &item->result);
    if (item->has_result)
        log_info("recorded", log_job(job), log_string("task_type", item->values[TASK_TYPE]),
            log_string("status", item->values[STATUS]));
    if (item->reject)
        job_reject(job, item->reason);
    else
        job_done(job);
}

static void on_stored(void *context, const struct pg_result *result) {
    struct losers *losers = context;
    for (struct item *item = losers->items, *next; item; item = next) {
        next = item->next;
        int row = pg_status(result) == PG_OK ? find_row(item, result, 0) : -1;
        if (row >= 0)
            stored_result_read(item->job->arena, result, row, &item->result);
        /* Without its row nobody is told: whoever waits asks Postgres. */
        end_item(item, row >= 0);
    }
    free(losers);
}

static void ask_stored(struct recorder *recorder, struct item *items) {
    struct losers *losers = malloc(sizeof *losers);
    if (!losers)
        abort();
    losers->items = items;
    struct arena *arena = arena_create(0);
    struct buffer ids = buffer_in(arena), runs = buffer_in(arena);
    pg_array_begin(&ids);
    pg_array_begin(&runs);
    for (const struct item *item = items; item; item = item->next) {
        pg_array_add(&ids, item->values[REQUEST_ID]);
        pg_array_add(&runs, item->values[RUN]);
    }
    pg_array_end(&ids);
    pg_array_end(&runs);
    pg_query(run_pg(recorder->run), &STORED_RESULTS, 2,
        (const char *const[]){buffer_text(&ids), buffer_text(&runs)}, on_stored, losers);
    arena_destroy(&arena);
}

void recorder_reply(struct recorder *recorder, struct item *items, const struct pg_result *recorded) {
    struct item *losers = NULL, **end = &losers;
    int from = 0;
    for (struct item *item = items, *next; item; item = next) {
        next = item->next;
        item->next = NULL;
        /* Rows come in the order of the items; a second item of the same request finds none of its own. */
        int row = item->has_result && !item->unrecordable ? find_row(item, recorded, from) : -1;
        if (row >= 0) {
            from = row + 1;
            item->result.created_at = arena_string(item->job->arena, pg_value(recorded, row, 2));
        }
        if (row < 0 && item->has_result && !item->unrecordable) {
            *end = item;
            end = &item->next;
        } else {
            end_item(item, row >= 0);
        }
    }
    if (losers)
        ask_stored(recorder, losers);
}
