/* Prompts over HTTP: which ones serve, a new version, and which version is to serve. */
#include "gateway/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/query.h"
#include "schemas/author.h"
#include "schemas/prompt_body.h"
#include "schemas/prompt_list.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"

enum { TASK_TYPE_MAX = 64 };

static const char AUTHOR[] = "api";

/* Always at least one row, so that the total is told also where the page is empty. */
static const struct pg_statement SERVING = {
    "prompts_serving",
    "SELECT " PROMPT_COLUMNS ", (SELECT count(DISTINCT task_type) FROM prompts WHERE is_active) "
    "FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM (SELECT DISTINCT ON (task_type) * FROM prompts "
    "WHERE is_active ORDER BY task_type, version DESC, id DESC) AS serving "
    "WHERE $3::text IS NULL OR task_type > $3 ORDER BY task_type LIMIT $1::bigint OFFSET $2::bigint) AS "
    "prompt "
    "ON true ORDER BY prompt.task_type",
};

static const struct pg_statement ADD = {
    "prompt_add",
    "SELECT " PROMPT_COLUMNS " FROM moru_add_prompt($1, $2, $3::boolean, $4, $5) AS prompt",
};

static const struct pg_statement ACTIVATE = {
    "prompt_activate",
    "SELECT " PROMPT_COLUMNS " FROM (SELECT id FROM prompts WHERE task_type = $1 AND version = $2::integer "
    "ORDER BY id DESC LIMIT 1) AS wanted, LATERAL moru_activate_prompt(wanted.id, $3) AS prompt",
};

static const struct pg_statement LOCK = {"prompts_lock", "SELECT moru_lock_prompts($1)"};

#define BEGAN_TO_SERVE "(action = 'activated' OR (action = 'created' AND is_active))"

/* Always one row: whether the type has versions, the id of the active one, and what was activated. */
static const struct pg_statement ROLL_BACK = {
    "prompt_roll_back",
    "WITH active AS MATERIALIZED (SELECT id, version FROM moru_active_prompt($1)), "
    "began AS (SELECT id, prompt_id FROM prompt_changes WHERE task_type = $1 AND " BEGAN_TO_SERVE "), "
    "target AS (SELECT coalesce("
    "(SELECT began.prompt_id FROM active, began WHERE began.prompt_id <> active.id "
    "AND began.id < (SELECT max(began.id) FROM began WHERE began.prompt_id = active.id) "
    "AND EXISTS (SELECT FROM prompts WHERE id = began.prompt_id AND task_type = $1) "
    "ORDER BY began.id DESC LIMIT 1), "
    "(SELECT p.id FROM active, prompts AS p WHERE p.task_type = $1 AND p.version < active.version "
    "ORDER BY p.version DESC, p.id DESC LIMIT 1)) AS id) "
    "SELECT EXISTS (SELECT FROM prompts WHERE task_type = $1), (SELECT id FROM active), " PROMPT_COLUMNS
    " FROM target LEFT JOIN LATERAL moru_activate_prompt(target.id, $2) AS prompt ON true",
};

struct prompt prompt_from_row(const struct pg_result *rows, int row, int first) {
    return (struct prompt){
        .id = strtoll(pg_value(rows, row, first), NULL, 10),
        .task_type = pg_value(rows, row, first + 1),
        .version = strtoll(pg_value(rows, row, first + 2), NULL, 10),
        .content = pg_value(rows, row, first + 3),
        .is_active = *pg_value(rows, row, first + 4) == 't',
        .change_reason = pg_value(rows, row, first + 5),
        .created_by = pg_value(rows, row, first + 6),
        .created_at = pg_value(rows, row, first + 7),
    };
}

static bool is_control(const char *character) {
    unsigned char first = (unsigned char)character[0], second = (unsigned char)character[1];
    return first < 0x20 || first == 0x7F || (first == 0xC2 && second < 0xA0);
}

const char *prompts_task_type(struct http_request *http) {
    const char *task_type = http_parameter(http, "task_type");
    bool valid = task_type && json_code_points(task_type) <= TASK_TYPE_MAX;
    for (const char *at = task_type; valid && *at; at++)
        valid = !is_control(at);
    if (valid)
        return task_type;
    http_problem(
        http, 400, "A task type has 1 to 64 characters, none of them a control character.", NULL, NULL);
    return NULL;
}

const char *prompts_author(struct http_request *http) {
    struct author body;
    struct json_errors errors = {0};
    size_t length;
    const char *bytes = http_body(http, &length);
    if (!length)
        return AUTHOR;
    if (author_decode(http_arena(http), bytes, length, &body, &errors))
        return body.created_by ? body.created_by : AUTHOR;
    http_problem(http, 400, "The body may hold created_by, or be left out: see errors.", NULL, &errors);
    return NULL;
}

static void answer_list(struct http_request *http, void *state, const struct pg_result *rows) {
    const struct page *page = state;
    struct prompt *items = arena_alloc(http_arena(http), sizeof *items * (size_t)pg_rows(rows));
    size_t count = 0;
    for (int row = 0; row < pg_rows(rows); row++)
        if (pg_value(rows, row, 0))
            items[count++] = prompt_from_row(rows, row, 0);
    struct prompt_list list = {
        .items = items,
        .items_count = count,
        .total = strtoll(pg_value(rows, 0, PROMPT_COLUMN_COUNT), NULL, 10),
        .limit = page->limit,
        .offset = page->offset,
        .next_cursor = (int64_t)count == page->limit ? items[count - 1].task_type : NULL,
    };
    query_respond(http, 200, &PROMPT_LIST_MESSAGE, &list);
}

void prompts_list(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct json_errors errors = {0};
    struct page *page = arena_alloc(http_arena(http), sizeof *page);
    *page = query_page(http, PAGE_LIMIT_DEFAULT, &errors);
    if (query_refused(http, &errors))
        return;
    const char *values[] = {page->limit_text, page->offset_text, page->cursor};
    query_ask(gateway->management, http, &(struct pg_step){&SERVING, 3, values}, 1, answer_list, page);
}

/* Of the task type's versions. */
static const char *location_of(struct arena *arena, const char *task_type) {
    struct buffer text = buffer_in(arena);
    buffer_string(&text, "/api/v1/prompts/");
    for (const char *at = task_type; *at; at++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", *at))
            buffer_byte(&text, *at);
        else
            buffer_format(&text, "%%%02X", (unsigned)(unsigned char)*at);
    return buffer_text(&text);
}

static void answer_prompt(struct http_request *http, int status, const char *action, const char *author,
    const struct prompt *prompt) {
    log_info("prompt_changed", log_string("action", action), log_string("task_type", prompt->task_type),
        log_integer("prompt_version", prompt->version), log_integer("prompt_id", prompt->id),
        log_bool("is_active", prompt->is_active), log_string("changed_by", author));
    query_respond(http, status, &PROMPT_MESSAGE, prompt);
}

static void answer_added(struct http_request *http, void *state, const struct pg_result *rows) {
    struct prompt prompt = prompt_from_row(rows, 0, 0);
    (void)state;
    http_add_header(http, "Location", location_of(http_arena(http), prompt.task_type));
    answer_prompt(http, 201, "created", prompt.created_by, &prompt);
}

void prompts_add(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct prompt_body body;
    struct json_errors errors = {0};
    size_t length;
    const char *bytes = http_body(http, &length), *task_type = prompts_task_type(http);
    if (!task_type)
        return;
    if (!prompt_body_decode(http_arena(http), bytes, length, &body, &errors)) {
        http_problem(http, 400, "The body is not a prompt: see errors.", NULL, &errors);
        return;
    }
    const char *values[] = {task_type, body.content, !body.has_active || body.active ? "true" : "false",
        body.change_reason, body.created_by ? body.created_by : AUTHOR};
    query_ask(gateway->management, http, &(struct pg_step){&ADD, 5, values}, 1, answer_added, NULL);
}

static void answer_activated(struct http_request *http, void *state, const struct pg_result *rows) {
    if (!pg_rows(rows)) {
        http_problem(
            http, 404, "This task type has no such version. GET the task type for a list.", NULL, NULL);
        return;
    }
    struct prompt prompt = prompt_from_row(rows, 0, 0);
    answer_prompt(http, 200, "activated", state, &prompt);
}

void prompts_activate(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    int64_t version;
    const char *task_type = prompts_task_type(http);
    if (!task_type)
        return;
    if (!query_parse_integer(http_parameter(http, "version"), INT32_MIN, INT32_MAX, &version)) {
        http_problem(http, 404, "A version is a number. GET the task type for a list.", NULL, NULL);
        return;
    }
    char *author = arena_string(http_arena(http), prompts_author(http));
    if (!author)
        return;
    const char *values[] = {task_type, arena_format(http_arena(http), "%lld", (long long)version), author};
    query_ask(
        gateway->management, http, &(struct pg_step){&ACTIVATE, 3, values}, 1, answer_activated, author);
}

static void answer_rolled_back(struct http_request *http, void *state, const struct pg_result *rows) {
    enum { KNOWN, ACTIVE, PROMPT };
    if (*pg_value(rows, 0, KNOWN) == 'f') {
        http_problem(http, 404, "This task type has no version.", NULL, NULL);
    } else if (!pg_value(rows, 0, ACTIVE)) {
        http_problem(http, 409, "No version of this task type is active: activate one.", NULL, NULL);
    } else if (!pg_value(rows, 0, PROMPT)) {
        http_problem(http, 409, "Nothing served before the active version that is still there.", NULL, NULL);
    } else {
        struct prompt prompt = prompt_from_row(rows, 0, PROMPT);
        answer_prompt(http, 200, "activated", state, &prompt);
    }
}

void prompts_roll_back(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    const char *task_type = prompts_task_type(http);
    char *author = task_type ? arena_string(http_arena(http), prompts_author(http)) : NULL;
    if (!author)
        return;
    /* Locked first: what served before is looked up when nobody else changes it any more. */
    struct pg_step steps[] = {{&LOCK, 1, (const char *const[]){task_type}},
        {&ROLL_BACK, 2, (const char *const[]){task_type, author}}};
    query_ask(gateway->management, http, steps, 2, answer_rolled_back, author);
}
