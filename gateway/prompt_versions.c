/* The versions of a task type over HTTP: who made them and why, how they did, and what changed between two.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/prompts.h"
#include "gateway/query.h"
#include "gateway/word_diff.h"
#include "schemas/prompt_diff.h"
#include "schemas/prompt_versions.h"
#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/pg.h"

/* A row of execution_logs was made with the prompt that its row in results names. One without such a row, as
 * people write them, belongs to the youngest prompt of its version that it is not older than. At least one
 * row of versions, so that the total is told also where the page is empty. More rows of execution_logs than
 * these would take longer than a query may. */
static const struct pg_statement VERSIONS = {
    "prompt_versions",
    "WITH wanted AS MATERIALIZED (SELECT * FROM prompts WHERE task_type = $1), "
    "judged AS (SELECT CASE WHEN made.known THEN made.prompt_id ELSE (SELECT id FROM wanted "
    "WHERE version = log.prompt_version AND created_at <= log.created_at "
    "ORDER BY created_at DESC, id DESC LIMIT 1) END AS prompt_id, "
    "log.evaluation_score AS score, log.evaluation_passed AS passed "
    "FROM (SELECT request_id, prompt_version, evaluation_score, evaluation_passed, "
    "created_at FROM execution_logs WHERE task_type = $1 "
    "AND (evaluation_score IS NOT NULL OR evaluation_passed IS NOT NULL) "
    "ORDER BY created_at DESC LIMIT 100000) AS log LEFT JOIN LATERAL (SELECT true AS known, prompt_id FROM "
    "results "
    "WHERE request_id = log.request_id ORDER BY run DESC LIMIT 1) AS made ON true), "
    "sums AS (SELECT prompt_id, count(*) AS evaluations, avg(score) AS mean_score, "
    "avg(passed::integer)::double precision AS pass_rate FROM judged GROUP BY prompt_id) "
    "SELECT " PROMPT_COLUMNS ", prompt.id = (SELECT id FROM moru_active_prompt($1)), "
    "coalesce(sums.evaluations, 0), sums.mean_score, sums.pass_rate, (SELECT count(*) FROM wanted) "
    "FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM wanted WHERE $4::bigint IS NULL OR id < $4 "
    "ORDER BY id DESC LIMIT $2::bigint OFFSET $3::bigint) AS prompt ON true "
    "LEFT JOIN sums ON sums.prompt_id = prompt.id ORDER BY prompt.id DESC",
};

/* Postgres takes the rows for so many that it would compile the statement, for longer than it then runs. */
static const struct pg_statement UNCOMPILED = {
    "prompt_versions_uncompiled", "SELECT set_config('jit', 'off', true)"};

enum {
    COLUMN_SERVES = PROMPT_COLUMN_COUNT,
    COLUMN_EVALUATIONS,
    COLUMN_MEAN_SCORE,
    COLUMN_PASS_RATE,
    COLUMN_TOTAL,
};

static const struct pg_statement TWO = {
    "prompt_two_versions",
    "SELECT (SELECT content FROM prompts WHERE task_type = $1 AND version = $2::integer ORDER BY id DESC "
    "LIMIT 1), "
    "(SELECT content FROM prompts WHERE task_type = $1 AND version = $3::integer ORDER BY id DESC LIMIT 1)",
};

static struct prompt_version version_from_row(const struct pg_result *rows, int row) {
    const char *serves = pg_value(rows, row, COLUMN_SERVES);
    const char *mean_score = pg_value(rows, row, COLUMN_MEAN_SCORE);
    const char *pass_rate = pg_value(rows, row, COLUMN_PASS_RATE);
    return (struct prompt_version){
        .prompt = prompt_from_row(rows, row, 0),
        .serves = serves && *serves == 't',
        .evaluations = strtoll(pg_value(rows, row, COLUMN_EVALUATIONS), NULL, 10),
        .has_mean_score = mean_score != NULL,
        .mean_score = mean_score ? strtod(mean_score, NULL) : 0,
        .has_pass_rate = pass_rate != NULL,
        .pass_rate = pass_rate ? strtod(pass_rate, NULL) : 0,
    };
}

static const char *last_id(const struct pg_result *rows) {
    return pg_value(rows, pg_rows(rows) - 1, 0);
}

struct versions_query {
    const char *task_type;
    struct page page;
};

static void answer_versions(struct http_request *http, void *state, const struct pg_result *rows) {
    const struct versions_query *query = state;
    struct prompt_version *items = arena_alloc(http_arena(http), sizeof *items * (size_t)pg_rows(rows));
    size_t count = 0;
    for (int row = 0; row < pg_rows(rows); row++)
        if (pg_value(rows, row, 0))
            items[count++] = version_from_row(rows, row);
    struct prompt_versions versions = {
        .task_type = query->task_type,
        .items = items,
        .items_count = count,
        .total = strtoll(pg_value(rows, 0, COLUMN_TOTAL), NULL, 10),
        .limit = query->page.limit,
        .offset = query->page.offset,
        .next_cursor = (int64_t)count == query->page.limit ? last_id(rows) : NULL,
    };
    if (versions.total)
        query_respond(http, 200, &PROMPT_VERSIONS_MESSAGE, &versions);
    else
        http_problem(http, 404, "This task type has no version. POST here to make one.", NULL, NULL);
}

void prompts_versions(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct json_errors errors = {0};
    struct versions_query *query = arena_alloc(http_arena(http), sizeof *query);
    query->task_type = prompts_task_type(http);
    if (!query->task_type)
        return;
    query->page = query_page_by_number(http, PAGE_LIMIT_MAX, &errors);
    if (query_refused(http, &errors))
        return;
    const char *values[] = {
        query->task_type, query->page.limit_text, query->page.offset_text, query->page.cursor};
    struct pg_step steps[] = {{&UNCOMPILED, 0, NULL}, {&VERSIONS, 4, values}};
    query_ask(gateway->management, http, steps, 2, answer_versions, query);
}

static void answer_diff(struct http_request *http, void *state, const struct pg_result *rows) {
    struct prompt_diff *diff = state;
    struct arena *arena = http_arena(http);
    const char *before = pg_value(rows, 0, 0), *after = pg_value(rows, 0, 1);
    if (!before || !after) {
        http_problem(http, 404,
            arena_format(
                arena, "This task type has no version %lld.", (long long)(before ? diff->to : diff->from)),
            NULL, NULL);
        return;
    }
    diff->words = word_diff(arena, before, after, &diff->words_count);
    query_respond(http, 200, &PROMPT_DIFF_MESSAGE, diff);
}

/* The number of a version that has to be given; what is wrong is added to errors. */
static int64_t version_query(struct http_request *http, const char *name, struct json_errors *errors) {
    if (!http_query(http, name))
        json_error_add(errors, http_arena(http), arena_format(http_arena(http), "?%s", name), "is missing");
    return query_integer(http, name, 0, INT32_MIN, INT32_MAX, errors);
}

void prompts_diff(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct arena *arena = http_arena(http);
    struct json_errors errors = {0};
    struct prompt_diff *diff = arena_alloc(arena, sizeof *diff);
    const char *task_type = prompts_task_type(http);
    if (!task_type)
        return;
    diff->from = version_query(http, "from", &errors);
    diff->to = version_query(http, "to", &errors);
    if (query_refused(http, &errors))
        return;
    const char *values[] = {task_type, arena_format(arena, "%lld", (long long)diff->from),
        arena_format(arena, "%lld", (long long)diff->to)};
    query_ask(gateway->management, http, &(struct pg_step){&TWO, 3, values}, 1, answer_diff, diff);
}
