/* Cycles of healing over HTTP: asked for, listed, and decided about by a person. */
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/prompts.h"
#include "gateway/query.h"
#include "schemas/optimization_accepted.h"
#include "schemas/optimization_list.h"
#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"

#define COLUMNS                                                                                              \
    "id, task_type, status, triggered_by, requested_by, reason, prompt_id, prompt_version, prompt_content, " \
    "candidate_content, new_prompt_id, new_prompt_version, analysis, figures, improvement_pct, tokens, "     \
    "fruitless, decided_by, " UTC_TEXT("threshold_at") ", " UTC_TEXT("next_try_at") ", " UTC_TEXT(           \
        "created_at") ", " UTC_TEXT("started_at") ", " UTC_TEXT("finished_at")

enum {
    COLUMN_ID,
    COLUMN_TASK_TYPE,
    COLUMN_STATUS,
    COLUMN_TRIGGERED_BY,
    COLUMN_REQUESTED_BY,
    COLUMN_REASON,
    COLUMN_PROMPT_ID,
    COLUMN_PROMPT_VERSION,
    COLUMN_PROMPT_CONTENT,
    COLUMN_CANDIDATE_CONTENT,
    COLUMN_NEW_PROMPT_ID,
    COLUMN_NEW_PROMPT_VERSION,
    COLUMN_ANALYSIS,
    COLUMN_FIGURES,
    COLUMN_IMPROVEMENT_PCT,
    COLUMN_TOKENS,
    COLUMN_FRUITLESS,
    COLUMN_DECIDED_BY,
    COLUMN_THRESHOLD_AT,
    COLUMN_NEXT_TRY_AT,
    COLUMN_CREATED_AT,
    COLUMN_STARTED_AT,
    COLUMN_FINISHED_AT,
    COLUMN_EXTRA, /* the total, or whether this transaction decided */
};

static const struct pg_statement REQUEST = {
    "optimization_request",
    "INSERT INTO optimizations (task_type, status, triggered_by, requested_by) "
    "SELECT $1, 'requested', 'manual', $2 FROM moru_active_prompt($1) RETURNING id",
};

static const struct pg_statement ONE = {
    "optimization_one",
    "SELECT " COLUMNS " FROM optimizations WHERE id = $1::bigint",
};

#define FILTER "($1::text IS NULL OR task_type = $1) AND ($2::text IS NULL OR status = $2)"

/* Always at least one row, so that the total is told also where the page is empty. */
static const struct pg_statement PAGE = {
    "optimizations_page",
    "SELECT " COLUMNS ", (SELECT count(*) FROM optimizations WHERE " FILTER ") "
    "FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM optimizations WHERE " FILTER
    " AND ($5::bigint IS NULL OR id < $5) ORDER BY id DESC LIMIT $3::bigint OFFSET $4::bigint) AS page "
    "ON true ORDER BY id DESC",
};

/* A decision notes in the transaction whether it was made; the step after it reads that, and the row as it is
 * then. */
#define DECIDED "moru.optimization_decided"

static const struct pg_statement APPROVE = {
    "optimization_approve",
    "SELECT set_config('" DECIDED "', (SELECT count(*)::text FROM (SELECT * FROM optimizations "
    "WHERE id = $1::bigint AND status = 'waiting') AS waiting, LATERAL moru_patch_prompt(waiting.id, "
    "waiting.candidate_content, format('healed by optimization %s, approved by %s', waiting.id, $2::text), "
    "$2::text, NULL, NULL) AS patched), true)",
};

static const struct pg_statement REJECT = {
    "optimization_reject",
    "WITH rejected AS (UPDATE optimizations SET status = 'rejected', decided_by = $2::text, "
    "finished_at = clock_timestamp() WHERE id = $1::bigint AND status = 'waiting' "
    "RETURNING id, task_type, candidate_content), "
    "noted AS (INSERT INTO rejected_prompts (task_type, prompt_hash, optimization_id, reason) "
    "SELECT task_type, encode(sha256(convert_to(candidate_content, 'UTF8')), 'hex'), id, "
    "'rejected by ' || $2::text FROM rejected WHERE candidate_content IS NOT NULL ON CONFLICT DO NOTHING) "
    "SELECT set_config('" DECIDED "', (SELECT count(*)::text FROM rejected), true)",
};

static const struct pg_statement AFTER_DECISION = {
    "optimization_after_decision",
    "SELECT " COLUMNS ", current_setting('" DECIDED "') <> '0' FROM optimizations WHERE id = $1::bigint",
};

static int64_t integer(const struct pg_result *rows, int row, int column) {
    const char *value = pg_value(rows, row, column);
    return value ? strtoll(value, NULL, 10) : 0;
}

/* The API says object or null, whatever JSON stands there. */
static const char *object(const struct pg_result *rows, int row, int column) {
    const char *value = pg_value(rows, row, column);
    return value && *value == '{' ? value : NULL;
}

static bool is_set(const struct pg_result *rows, int row, int column) {
    return pg_value(rows, row, column) != NULL;
}

static struct optimization from_row(const struct pg_result *rows, int row) {
    const char *improvement = pg_value(rows, row, COLUMN_IMPROVEMENT_PCT);
    struct optimization optimization = {
        .id = integer(rows, row, COLUMN_ID),
        .task_type = pg_value(rows, row, COLUMN_TASK_TYPE),
        .triggered_by = pg_value(rows, row, COLUMN_TRIGGERED_BY),
        .requested_by = pg_value(rows, row, COLUMN_REQUESTED_BY),
        .reason = pg_value(rows, row, COLUMN_REASON),
        .has_prompt_id = is_set(rows, row, COLUMN_PROMPT_ID),
        .prompt_id = integer(rows, row, COLUMN_PROMPT_ID),
        .has_prompt_version = is_set(rows, row, COLUMN_PROMPT_VERSION),
        .prompt_version = integer(rows, row, COLUMN_PROMPT_VERSION),
        .prompt_content = pg_value(rows, row, COLUMN_PROMPT_CONTENT),
        .candidate_content = pg_value(rows, row, COLUMN_CANDIDATE_CONTENT),
        .has_new_prompt_id = is_set(rows, row, COLUMN_NEW_PROMPT_ID),
        .new_prompt_id = integer(rows, row, COLUMN_NEW_PROMPT_ID),
        .has_new_prompt_version = is_set(rows, row, COLUMN_NEW_PROMPT_VERSION),
        .new_prompt_version = integer(rows, row, COLUMN_NEW_PROMPT_VERSION),
        .analysis = object(rows, row, COLUMN_ANALYSIS),
        .figures = object(rows, row, COLUMN_FIGURES),
        .has_improvement_pct = improvement != NULL,
        .improvement_pct = improvement ? strtod(improvement, NULL) : 0,
        .tokens = integer(rows, row, COLUMN_TOKENS),
        .fruitless = integer(rows, row, COLUMN_FRUITLESS),
        .decided_by = pg_value(rows, row, COLUMN_DECIDED_BY),
        .threshold_at = pg_value(rows, row, COLUMN_THRESHOLD_AT),
        .next_try_at = pg_value(rows, row, COLUMN_NEXT_TRY_AT),
        .created_at = pg_value(rows, row, COLUMN_CREATED_AT),
        .started_at = pg_value(rows, row, COLUMN_STARTED_AT),
        .finished_at = pg_value(rows, row, COLUMN_FINISHED_AT),
    };
    /* The table's CHECK has the same names. */
    if (!optimization_status_parse(pg_value(rows, row, COLUMN_STATUS), &optimization.status))
        abort();
    return optimization;
}

static void answer_requested(struct http_request *http, void *state, const struct pg_result *rows) {
    if (!pg_rows(rows)) {
        http_problem(http, 404, "This task type has no active prompt that could be optimized.", NULL, NULL);
        return;
    }
    const char *id = pg_value(rows, 0, 0);
    const char *location = arena_format(http_arena(http), "/api/v1/optimizations/%s", id);
    struct optimization_accepted accepted = {
        .id = strtoll(id, NULL, 10),
        .status = OPTIMIZATION_ACCEPTED_STATUS_REQUESTED,
        .links = {.self = location},
    };
    log_info("optimization_requested", log_string("task_type", state),
        log_integer("optimization_id", accepted.id));
    http_add_header(http, "Location", location);
    query_respond(http, 202, &OPTIMIZATION_ACCEPTED_MESSAGE, &accepted);
}

void optimizations_request(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    char *task_type = arena_string(http_arena(http), prompts_task_type(http));
    const char *author = task_type ? prompts_author(http) : NULL;
    if (!author)
        return;
    const char *values[] = {task_type, author};
    query_ask(
        gateway->management, http, &(struct pg_step){&REQUEST, 2, values}, 1, answer_requested, task_type);
}

static void answer_page(struct http_request *http, void *state, const struct pg_result *rows) {
    const struct page *page = state;
    struct optimization *items = arena_alloc(http_arena(http), sizeof *items * (size_t)pg_rows(rows));
    size_t count = 0;
    for (int row = 0; row < pg_rows(rows); row++)
        if (is_set(rows, row, COLUMN_ID))
            items[count++] = from_row(rows, row);
    struct optimization_list list = {
        .items = items,
        .items_count = count,
        .total = integer(rows, 0, COLUMN_EXTRA),
        .limit = page->limit,
        .offset = page->offset,
        .next_cursor = (int64_t)count == page->limit ? pg_value(rows, pg_rows(rows) - 1, COLUMN_ID) : NULL,
    };
    query_respond(http, 200, &OPTIMIZATION_LIST_MESSAGE, &list);
}

void optimizations_list(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct json_errors errors = {0};
    struct page *page = arena_alloc(http_arena(http), sizeof *page);
    const char *status = http_query(http, "status");
    enum optimization_status known;
    *page = query_page_by_number(http, PAGE_LIMIT_DEFAULT, &errors);
    if (status && !optimization_status_parse(status, &known))
        json_error_add(&errors, http_arena(http), "?status", "is no status of an optimization");
    if (query_refused(http, &errors))
        return;
    const char *values[] = {
        http_query(http, "task_type"), status, page->limit_text, page->offset_text, page->cursor};
    query_ask(gateway->management, http, &(struct pg_step){&PAGE, 5, values}, 1, answer_page, page);
}

/* The path's id as a statement takes it. NULL when it is none; then 404 was answered. */
static char *id_of(struct http_request *http) {
    int64_t id;
    if (query_parse_integer(http_parameter(http, "id"), 1, INT64_C(1) << 53, &id))
        return arena_format(http_arena(http), "%lld", (long long)id);
    http_problem(
        http, 404, "An optimization's id is a number. GET /api/v1/optimizations lists them.", NULL, NULL);
    return NULL;
}

/* True when there is no row: 404 was answered. */
static bool not_found(struct http_request *http, const struct pg_result *rows) {
    if (pg_rows(rows))
        return false;
    http_problem(
        http, 404, "There is no such optimization. GET /api/v1/optimizations lists them.", NULL, NULL);
    return true;
}

static void answer_one(struct http_request *http, void *state, const struct pg_result *rows) {
    (void)state;
    if (not_found(http, rows))
        return;
    struct optimization optimization = from_row(rows, 0);
    query_respond(http, 200, &OPTIMIZATION_MESSAGE, &optimization);
}

void optimizations_one(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    const char *id = id_of(http);
    if (id)
        query_ask(gateway->management, http, &(struct pg_step){&ONE, 1, &id}, 1, answer_one, NULL);
}

static void answer_decided(struct http_request *http, void *state, const struct pg_result *rows) {
    if (not_found(http, rows))
        return;
    struct optimization optimization = from_row(rows, 0);
    const char *status = optimization_status_name(optimization.status);
    if (*pg_value(rows, 0, COLUMN_EXTRA) == 't') {
        log_info("optimization_decided", log_integer("optimization_id", optimization.id),
            log_string("task_type", optimization.task_type), log_string("status", status),
            log_string("decided_by", state));
        query_respond(http, 200, &OPTIMIZATION_MESSAGE, &optimization);
        return;
    }
    http_problem(http, 409,
        arena_format(http_arena(http), "Only a waiting optimization can be decided about. This one is %s.%s",
            status,
            optimization.status == OPTIMIZATION_STATUS_SUPERSEDED
                ? " Somebody changed the active prompt after it was analysed."
                : ""),
        NULL, NULL);
}

static void decide(struct http_request *http, struct gateway *gateway, const struct pg_statement *decision) {
    const char *id = id_of(http);
    char *author = id ? arena_string(http_arena(http), prompts_author(http)) : NULL;
    if (!author)
        return;
    struct pg_step steps[] = {{decision, 2, (const char *const[]){id, author}}, {&AFTER_DECISION, 1, &id}};
    query_ask(gateway->management, http, steps, 2, answer_decided, author);
}

void optimizations_approve(struct http_request *http, void *context) {
    decide(http, context, &APPROVE);
}

void optimizations_reject(struct http_request *http, void *context) {
    decide(http, context, &REJECT);
}
