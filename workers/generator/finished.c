/* Gathers the requests that are asked for while a query is under way, and asks for them together in the
 * next. */
#include "workers/generator/finished.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/stored_result.h"

struct asked {
    struct arena *arena;
    const char *request_id;
    int64_t run;
    finished_done done;
    void *context;
    int row; /* of the answer; -1: none */
};

struct batch {
    struct asked *asked;
    size_t count, capacity;
};

struct finished {
    struct pg *pg;
    struct batch waiting, sent;
    bool under_way;
};

struct finished *finished_open(struct pg *pg) {
    struct finished *finished = calloc(1, sizeof *finished);
    if (!finished)
        abort();
    finished->pg = pg;
    return finished;
}

static void tell(const struct asked *asked, const struct pg_result *rows) {
    struct result *result = NULL;
    enum finished_found found = FINISHED_NOT;
    if (pg_status(rows) != PG_OK) {
        found = pg_status(rows) == PG_LOST ? FINISHED_AWAY : FINISHED_FAILED;
    } else if (asked->row >= 0) {
        found = FINISHED_BEFORE;
        result = arena_alloc(asked->arena, sizeof *result);
        stored_result_read(asked->arena, rows, asked->row, result);
    }
    asked->done(asked->context, found, result);
}

static void send_query(struct finished *finished);

static void on_rows(void *context, const struct pg_result *rows) {
    struct finished *finished = context;
    struct batch *told = &finished->sent;
    if (pg_status(rows) == PG_FAILED)
        log_error("results_not_read", log_string("reason", pg_message(rows)));
    for (int row = 0; pg_status(rows) == PG_OK && row < pg_rows(rows); row++)
        told->asked[stored_result_place(rows, row)].row = row;
    /* Who asks again at once waits for the next query: this one is under way until all are told. */
    for (size_t i = 0; i < told->count; i++)
        tell(&told->asked[i], rows);
    told->count = 0;
    finished->under_way = false;
    send_query(finished);
}

static void send_query(struct finished *finished) {
    if (finished->under_way || !finished->waiting.count)
        return;
    struct batch spare = finished->sent;
    finished->sent = finished->waiting;
    finished->waiting = spare;
    finished->under_way = true;
    struct arena *arena = arena_create(128 + finished->sent.count * 48);
    struct buffer ids = buffer_in(arena), runs = buffer_in(arena);
    pg_array_begin(&ids);
    pg_array_begin(&runs);
    for (size_t i = 0; i < finished->sent.count; i++) {
        char run[24];
        snprintf(run, sizeof run, "%" PRId64, finished->sent.asked[i].run);
        pg_array_add(&ids, finished->sent.asked[i].request_id);
        pg_array_add(&runs, run);
    }
    pg_array_end(&ids);
    pg_array_end(&runs);
    pg_query(finished->pg, &STORED_RESULTS, 2, (const char *const[]){buffer_text(&ids), buffer_text(&runs)},
        on_rows, finished);
    arena_destroy(&arena);
}

void finished_ask(struct finished *finished, struct arena *arena, const char *request_id, int64_t run,
    finished_done done, void *context) {
    struct batch *batch = &finished->waiting;
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 64;
        batch->asked = realloc(batch->asked, batch->capacity * sizeof *batch->asked);
        if (!batch->asked)
            abort();
    }
    batch->asked[batch->count++] = (struct asked){arena, request_id, run, done, context, -1};
    send_query(finished);
}
