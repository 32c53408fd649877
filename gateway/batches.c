/* Batches as Postgres has them: how far one is, and its results, line by line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "schemas/batch.h"
#include "schemas/batch_result.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/log.h"
#include "shared/pg.h"

/* The ids of a batch's lines have its time: that names the partition, and the part of its index. */
#define LINES_OF_BATCH "FROM results WHERE batch_id = $1::uuid AND request_id BETWEEN $2::uuid AND $3::uuid"
#define UTC(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

enum { BATCH_PARAMETERS = 3 };

static const struct pg_statement COUNTS = {
    "batch_counts",
    "SELECT lines, accepted, rejected, " UTC("created_at") ", " UTC(
        "finished_at") ", succeeded, failed FROM "
                       "(SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded, "
                       "count(*) FILTER (WHERE status = 'failed') AS failed FROM (SELECT DISTINCT ON (line) "
                       "status " LINES_OF_BATCH
                       " ORDER BY line, run DESC) AS latest) AS counted LEFT JOIN batches ON id = $1::uuid",
};
enum { LINES, ACCEPTED, REJECTED, CREATED_AT, FINISHED_AT, SUCCEEDED, FAILED };

/* A page ends after 500 lines or a megabyte, whichever comes first; $4 is the line before it. */
static struct pg_statement page_statement = {"batch_results", NULL};
static const char PAGE_SQL[] =
    "SELECT %s, line FROM (SELECT *, sum(bytes) OVER (ORDER BY line) - bytes AS bytes_before FROM "
    "(SELECT DISTINCT ON (line) *, octet_length(coalesce(user_input, '')) + "
    "octet_length(coalesce(refined_input, "
    "'')) + octet_length(coalesce(output, '')) + coalesce(pg_column_size(detail), 0) AS bytes " LINES_OF_BATCH
    " AND line > $4::int ORDER BY line, run DESC LIMIT 500) AS page) AS measured "
    "WHERE bytes_before < 1048576 ORDER BY line";

/* A call for a batch, while Postgres is asked. */
struct call {
    struct gateway *gateway;
    struct http_request *http; /* NULL once the client has left */
    bool asking;
    char values[BATCH_PARAMETERS][UUID_TEXT_BYTES]; /* of LINES_OF_BATCH */
    int64_t line;                                   /* the last one that was read */
    struct arena *page;                             /* of the lines that are to be sent next; NULL: none */
    struct buffer text;
    bool responding;
};

static void call_free(struct call *call) {
    arena_destroy(&call->page);
    free(call);
}

static void on_left(void *context) {
    struct call *call = context;
    call->http = NULL;
    if (!call->asking)
        call_free(call);
}

/* NULL when it was answered with 404. */
static struct call *call_create(struct gateway *gateway, struct http_request *http) {
    const char *id = http_parameter(http, "id");
    if (!id || !request_id_issued(id)) {
        http_problem(http, 404, "No gateway issued this batch id. Check it for a copying error.", NULL, NULL);
        return NULL;
    }
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    call->gateway = gateway;
    call->http = http;
    snprintf(call->values[0], UUID_TEXT_BYTES, "%s", id);
    snprintf(call->values[1], UUID_TEXT_BYTES, "%.13s-0000-0000-000000000000", id);
    snprintf(call->values[2], UUID_TEXT_BYTES, "%.13s-ffff-ffff-ffffffffffff", id);
    http_on_leave(http, on_left, call);
    return call;
}

static void ask(struct call *call, const struct pg_statement *statement, pg_done done) {
    char line[24];
    snprintf(line, sizeof line, "%lld", (long long)call->line);
    const char *values[] = {call->values[0], call->values[1], call->values[2], line};
    call->asking = true;
    pg_query(call->gateway->pg, statement, statement == &COUNTS ? BATCH_PARAMETERS : BATCH_PARAMETERS + 1,
        values, done, call);
}

static void answer_away(struct call *call) {
    http_add_header(call->http, "Retry-After", "1");
    http_problem(call->http, 503, "Postgres is away, and results are read from it. Ask again in a moment.",
        NULL, NULL);
}

/* Counts. */

static bool read_count(const struct pg_result *rows, int column, int64_t *count) {
    const char *value = pg_value(rows, 0, column);
    if (value)
        *count = strtoll(value, NULL, 10);
    return value != NULL;
}

static void answer_counts(struct call *call, const struct pg_result *rows) {
    struct arena *arena = http_arena(call->http);
    const char *self = arena_format(arena, "/api/v1/batches/%s", call->values[0]);
    struct batch batch = {.batch_id = call->values[0],
        .created_at = pg_value(rows, 0, CREATED_AT),
        .finished_at = pg_value(rows, 0, FINISHED_AT),
        .links = {.self = self, .results = arena_format(arena, "%s/results", self)}};
    batch.has_lines = read_count(rows, LINES, &batch.lines);
    batch.has_accepted = batch.has_queued = read_count(rows, ACCEPTED, &batch.accepted);
    batch.has_rejected = read_count(rows, REJECTED, &batch.rejected);
    (void)read_count(rows, SUCCEEDED, &batch.succeeded);
    (void)read_count(rows, FAILED, &batch.failed);
    batch.queued = batch.accepted - batch.succeeded - batch.failed;
    if (batch.queued < 0)
        batch.queued = 0; /* lines whose acknowledgement was lost have results too */
    struct buffer text = buffer_in(arena);
    batch_encode(&text, &batch);
    http_respond(call->http, 200, "application/json", text.data, text.length);
}

static void on_counts(void *context, const struct pg_result *rows) {
    struct call *call = context;
    if (pg_status(rows) == PG_FAILED)
        log_error("batch_not_read", log_string("reason", pg_message(rows)));
    if (call->http && pg_status(rows) == PG_OK)
        answer_counts(call, rows);
    else if (call->http)
        answer_away(call);
    call_free(call);
}

void batches_one(struct http_request *http, void *context) {
    struct call *call = call_create(context, http);
    if (call)
        ask(call, &COUNTS, on_counts);
}

/* Results. */

static void on_page(void *context, const struct pg_result *rows);

/* The client has taken what there was. */
static void more(void *context) {
    struct call *call = context;
    if (!call->page) {
        ask(call, &page_statement, on_page);
        return;
    }
    if (call->text.length)
        http_send_part(call->http, call->text.data, call->text.length);
    else
        http_end_parts(call->http, false);
    if (call->text.length)
        arena_destroy(&call->page);
    else
        call_free(call);
}

static void read_page(struct call *call, const struct pg_result *rows) {
    call->page = arena_create(0);
    call->text = buffer_in(call->page);
    struct arena *scratch = arena_create(0);
    for (int row = 0; row < pg_rows(rows); row++) {
        struct batch_result result = {0};
        arena_reset(scratch);
        result_from_row(scratch, rows, row, &result.result);
        result.line = call->line = strtoll(pg_value(rows, row, RESULT_COLUMN_COUNT), NULL, 10);
        batch_result_encode(&call->text, &result);
        buffer_byte(&call->text, '\n');
    }
    arena_destroy(&scratch);
}

static void on_page(void *context, const struct pg_result *rows) {
    struct call *call = context;
    bool good = pg_status(rows) == PG_OK, answering = call->responding;
    call->asking = false;
    if (pg_status(rows) == PG_FAILED)
        log_error("batch_not_read", log_string("reason", pg_message(rows)));
    if (call->http && good) {
        read_page(call, rows);
        call->responding = true;
        if (answering)
            more(call);
        else
            http_respond_parts(call->http, 200, "application/x-ndjson", more, call);
        return;
    }
    if (call->http && answering)
        http_end_parts(call->http, true);
    else if (call->http)
        answer_away(call);
    call_free(call);
}

void batches_results(struct http_request *http, void *context) {
    struct call *call = call_create(context, http);
    if (!page_statement.sql)
        page_statement.sql = arena_format(arena_create(2048), PAGE_SQL, RESULT_COLUMNS);
    if (call)
        ask(call, &page_statement, on_page);
}
