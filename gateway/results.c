/* Results as Postgres has them: one by its id, and lists of what stands in execution_logs. */
#include <stdlib.h>
#include <string.h>

#include "gateway/filters.h"
#include "gateway/gateway.h"
#include "gateway/query.h"
#include "schemas/result_list.h"
#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/pg.h"

#define UTC_TEXT "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

const char RESULT_COLUMNS[] =
    "request_id, status, task_type, user_input, refined_input, output, score, passed, "
    "prompt_version, error, detail, " UTC_TEXT;

/* execution_logs under the names of results: people write and delete rows there. */
#define LOG_COLUMNS                                                                                          \
    "request_id, CASE WHEN error_message IS NULL THEN 'succeeded' ELSE 'failed' END AS status, task_type, "  \
    "user_input, "                                                                                           \
    "refined_input, worker_output AS output, evaluation_score AS score, evaluation_passed AS passed, "       \
    "prompt_version, "                                                                                       \
    "error_message AS error, evaluation_detail AS detail, created_at"

static const struct pg_statement ONE = {
    "one_result",
    "SELECT * FROM (SELECT request_id, status, task_type, user_input, refined_input, output, score, passed, "
    "prompt_version, error, detail, " UTC_TEXT
    " FROM results WHERE request_id = $1::uuid ORDER BY run DESC LIMIT 1) "
    "AS recorded UNION ALL "
    "SELECT * FROM (SELECT request_id, status, task_type, user_input, refined_input, output, score, passed, "
    "prompt_version, error, detail, " UTC_TEXT " FROM (SELECT " LOG_COLUMNS " FROM execution_logs "
    "WHERE request_id = $1::uuid ORDER BY id DESC LIMIT 1) AS log) AS logged LIMIT 1",
};

/* Always at least one row, so that the total is told also where the page is empty. */
static const struct pg_statement PAGE = {
    "page_of_results",
    "SELECT request_id, status, task_type, user_input, refined_input, output, score, passed, prompt_version, "
    "error, detail, " UTC_TEXT ", id, (SELECT count(*) FROM execution_logs WHERE " FILTER_SQL ") "
    "FROM (SELECT 1) AS one LEFT JOIN (SELECT id, " LOG_COLUMNS " FROM execution_logs WHERE " FILTER_SQL
    " AND ($8::bigint IS NULL OR id < $8) ORDER BY id DESC LIMIT $6::bigint OFFSET $7::bigint) AS page ON "
    "true "
    "ORDER BY id DESC",
};

enum { COLUMN_ID = 12, COLUMN_TOTAL = 13 };

void result_from_row(struct arena *arena, const struct pg_result *rows, int row, struct result *result) {
    const char *value[12];
    for (int column = 0; column < 12; column++)
        value[column] = arena_string(arena, pg_value(rows, row, column));
    *result = (struct result){
        .request_id = value[0],
        .status = strcmp(value[1], "succeeded") == 0 ? RESULT_STATUS_SUCCEEDED : RESULT_STATUS_FAILED,
        .task_type = value[2],
        .user_input = value[3],
        .refined_input = value[4],
        .worker_output = value[5],
        .has_evaluation_score = value[6] != NULL,
        .evaluation_score = value[6] ? strtod(value[6], NULL) : 0,
        .has_evaluation_passed = value[7] != NULL,
        .evaluation_passed = value[7] && *value[7] == 't',
        .has_prompt_version = value[8] != NULL,
        .prompt_version = value[8] ? strtoll(value[8], NULL, 10) : 0,
        .error = value[9],
        /* People may put any JSON there; the API says object or null. */
        .detail = value[10] && *value[10] == '{' ? value[10] : NULL,
        .created_at = value[11],
    };
}

static void answer_one(struct http_request *http, void *state, const struct pg_result *rows) {
    struct result result = {.request_id = state, .status = RESULT_STATUS_QUEUED};
    if (pg_rows(rows))
        result_from_row(http_arena(http), rows, 0, &result);
    else if (!request_id_issued(result.request_id)) {
        http_problem(
            http, 404, "No gateway issued this request id. Check it for a copying error.", NULL, NULL);
        return;
    }
    query_respond(http, 200, &RESULT_MESSAGE, &result);
}

void results_one(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    const char *id = http_parameter(http, "id");
    if (!id || !uuid_valid(id)) {
        http_problem(http, 404, "A request id is a UUID, as the answer to the request gave it.", NULL, NULL);
        return;
    }
    char *kept = arena_string(http_arena(http), id);
    query_ask(
        gateway->pg, http, &(struct pg_step){&ONE, 1, (const char *const[]){kept}}, 1, answer_one, kept);
}

static void answer_page(struct http_request *http, void *state, const struct pg_result *rows) {
    const struct filters *filters = state;
    struct arena *arena = http_arena(http);
    struct result *items = arena_alloc(arena, sizeof *items * (size_t)(pg_rows(rows) + 1));
    size_t count = 0;
    const char *last = NULL;
    for (int row = 0; row < pg_rows(rows); row++)
        if (pg_value(rows, row, COLUMN_ID)) {
            result_from_row(arena, rows, row, &items[count++]);
            last = pg_value(rows, row, COLUMN_ID);
        }
    struct result_list list = {
        .items = items,
        .items_count = count,
        .total = strtoll(pg_value(rows, 0, COLUMN_TOTAL), NULL, 10),
        .limit = filters->limit,
        .offset = filters->offset,
        /* A full page may have another one behind it. */
        .next_cursor = (int64_t)count == filters->limit ? last : NULL,
    };
    query_respond(http, 200, &RESULT_LIST_MESSAGE, &list);
}

void results_list(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct json_errors errors = {0};
    struct arena *arena = http_arena(http);
    struct filters *filters = arena_alloc(arena, sizeof *filters);
    filters_read(http, filters, &errors);
    if (query_refused(http, &errors))
        return;
    const char *values[FILTER_VALUES + 3];
    memcpy(values, filters->values, sizeof filters->values);
    values[FILTER_VALUES] = arena_format(arena, "%lld", (long long)filters->limit);
    values[FILTER_VALUES + 1] = arena_format(arena, "%lld", (long long)filters->offset);
    values[FILTER_VALUES + 2] =
        filters->cursor ? arena_format(arena, "%lld", (long long)filters->cursor) : NULL;
    query_ask(
        gateway->pg, http, &(struct pg_step){&PAGE, FILTER_VALUES + 3, values}, 1, answer_page, filters);
}
