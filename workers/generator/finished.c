/* Gathers the requests that are asked for while a query is under way, and asks for them together in the
 * next. */
#include "workers/generator/finished.h"

#include <stdbool.h>
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
    enum finished_found found;
    struct result *result;     /* NULL unless found */
    const char *refined_input; /* NULL: none */
};

/* OFFSET 0 as in STORED_RESULTS. */
static const struct pg_statement REFINED_INPUTS = {
    "refined_inputs",
    "SELECT kept.refined_input, asked.place "
    "FROM unnest($1::uuid[], $2::int[]) WITH ORDINALITY AS asked(request_id, run, place) "
    "CROSS JOIN LATERAL (SELECT * FROM refined_inputs r WHERE r.request_id = asked.request_id "
    "AND r.run = asked.run OFFSET 0) AS kept",
};

struct batch {
    struct asked *asked;
    size_t count, capacity;
};

struct finished {
    struct pg *pg;
    struct batch waiting, sent;
    bool under_way;
    bool refined; /* REFINED_INPUTS is asked, too */
};

struct finished *finished_open(struct pg *pg, bool refined) {
    struct finished *finished = calloc(1, sizeof *finished);
    if (!finished)
        abort();
    finished->pg = pg;
    finished->refined = refined;
    return finished;
}

static void send_query(struct finished *finished);

static void tell(struct finished *finished) {
    struct batch *told = &finished->sent;
    /* Who asks again at once waits for the next query: this one is under way until all are told. */
    for (size_t i = 0; i < told->count; i++) {
        const struct asked *asked = &told->asked[i];
        asked->done(asked->context, asked->found, asked->result, asked->refined_input);
    }
    told->count = 0;
    finished->under_way = false;
    send_query(finished);
}

static void take_result(struct asked *asked, const struct pg_result *rows, int row) {
    asked->found = FINISHED_BEFORE;
    asked->result = arena_alloc(asked->arena, sizeof *asked->result);
    stored_result_read(asked->arena, rows, row, asked->result);
}

static void on_rows(void *context, const struct pg_result *rows) {
    struct finished *finished = context;
    struct batch *sent = &finished->sent;
    enum pg_status status = pg_status(rows);
    if (status == PG_FAILED)
        log_error("results_not_read", log_string("reason", pg_message(rows)));
    for (size_t i = 0; i < sent->count; i++)
        sent->asked[i].found = status == PG_OK     ? FINISHED_NOT
                               : status == PG_LOST ? FINISHED_AWAY
                                                   : FINISHED_FAILED;
    for (int row = 0; status == PG_OK && row < pg_rows(rows); row++)
        take_result(&sent->asked[stored_result_place(rows, row)], rows, row);
    if (!finished->refined)
        tell(finished);
}

/* Without them requests are refined again: no reason to stop. */
static void on_refined_rows(void *context, const struct pg_result *rows) {
    struct finished *finished = context;
    if (pg_status(rows) == PG_FAILED)
        log_error("refined_inputs_not_read", log_string("reason", pg_message(rows)));
    for (int row = 0; pg_status(rows) == PG_OK && row < pg_rows(rows); row++) {
        struct asked *asked = &finished->sent.asked[strtoll(pg_value(rows, row, 1), NULL, 10) - 1];
        if (asked->found == FINISHED_NOT)
            asked->refined_input = arena_string(asked->arena, pg_value(rows, row, 0));
    }
    tell(finished);
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
        pg_array_add(&ids, finished->sent.asked[i].request_id);
        pg_array_add_integer(&runs, finished->sent.asked[i].run);
    }
    pg_array_end(&ids);
    pg_array_end(&runs);
    const char *values[] = {buffer_text(&ids), buffer_text(&runs)};
    pg_query(finished->pg, &STORED_RESULTS, 2, values, on_rows, finished);
    if (finished->refined)
        pg_query(finished->pg, &REFINED_INPUTS, 2, values, on_refined_rows, finished);
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
    batch->asked[batch->count++] = (struct asked){
        .arena = arena, .request_id = request_id, .run = run, .done = done, .context = context};
    send_query(finished);
}
