/* What an HTTP request asks of Postgres: its parameters, the wait, during which the client may leave, and the
 * answer. */
#include "gateway/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/message.h"
#include "shared/pg.h"

/* It outlasts the HTTP request when the client leaves, so it stands in no arena. */
struct question {
    struct http_request *http; /* NULL once the client has left */
    query_answer answer;
    void *state;
    bool changes; /* more than reading: what became of it is not known when the connection is lost */
};

static void on_left(void *context) {
    struct question *question = context;
    question->http = NULL;
}

/* The server refused it for what it is about, so that asking again would not help. */
static bool is_final(const char *sqlstate) {
    static const char *const CLASSES[] = {"22", "23", "42", "P0"};
    for (size_t i = 0; i < sizeof CLASSES / sizeof *CLASSES; i++)
        if (strncmp(sqlstate, CLASSES[i], 2) == 0)
            return true;
    return false;
}

static void answer_failure(const struct question *question, const struct pg_result *rows) {
    struct http_request *http = question->http;
    bool failed = pg_status(rows) == PG_FAILED;
    if (failed)
        log_error(
            "query_failed", log_string("path", http_path(http)), log_string("reason", pg_message(rows)));
    if (failed && strcmp(pg_sqlstate(rows), "22003") == 0) {
        http_problem(http, 409,
            "A version number has reached its limit, 2147483647: delete that row, or give it another number.",
            NULL, NULL);
    } else if (failed && is_final(pg_sqlstate(rows))) {
        http_problem(http, 500, "Postgres refuses this. The gateway's log says why.", NULL, NULL);
    } else {
        http_add_header(http, "Retry-After", "1");
        http_problem(http, 503,
            question->changes && !failed
                ? "Postgres is away. Look whether the change was made before you ask for it again."
                : "Postgres is away, and this is read from it. Ask again in a moment.",
            NULL, NULL);
    }
}

static void on_rows(void *context, const struct pg_result *rows) {
    struct question *question = context;
    if (question->http && pg_status(rows) == PG_OK)
        question->answer(question->http, question->state, rows);
    else if (question->http)
        answer_failure(question, rows);
    free(question);
}

void query_ask(struct pg *pg, struct http_request *http, const struct pg_step *steps, int count,
    query_answer answer, void *state) {
    struct question *question = calloc(1, sizeof *question);
    if (!question)
        abort();
    *question = (struct question){
        .http = http, .answer = answer, .state = state, .changes = strcmp(http_method(http), "POST") == 0};
    http_on_leave(http, on_left, question);
    if (count == 1)
        pg_query(pg, steps->statement, steps->count, steps->values, on_rows, question);
    else
        pg_transaction(pg, steps, count, on_rows, question);
}

void query_respond(struct http_request *http, int status, const struct message *message, const void *body) {
    struct buffer text = buffer_in(http_arena(http));
    message_encode(message, &text, body);
    http_respond(http, status, "application/json", text.data, text.length);
}

bool query_parse_integer(const char *text, int64_t min, int64_t max, int64_t *value) {
    if (!text)
        return false;
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (errno || end == text || *end || parsed < min || parsed > max)
        return false;
    *value = parsed;
    return true;
}

int64_t query_integer(struct http_request *http, const char *name, int64_t otherwise, int64_t min,
    int64_t max, struct json_errors *errors) {
    const char *text = http_query(http, name);
    int64_t value = otherwise;
    if (text && !query_parse_integer(text, min, max, &value))
        json_error_add(errors, http_arena(http), arena_format(http_arena(http), "?%s", name),
            "must be an integer from %lld to %lld", (long long)min, (long long)max);
    return value;
}

struct page query_page(struct http_request *http, int64_t limit_default, struct json_errors *errors) {
    struct arena *arena = http_arena(http);
    struct page page = {
        .limit = query_integer(http, "limit", limit_default, 1, PAGE_LIMIT_MAX, errors),
        .offset = query_integer(http, "offset", 0, 0, INT64_C(1) << 53, errors),
        .cursor = http_query(http, "cursor"),
    };
    page.limit_text = arena_format(arena, "%lld", (long long)page.limit);
    page.offset_text = arena_format(arena, "%lld", (long long)page.offset);
    return page;
}

struct page query_page_by_number(
    struct http_request *http, int64_t limit_default, struct json_errors *errors) {
    struct page page = query_page(http, limit_default, errors);
    int64_t cursor = query_integer(http, "cursor", 0, 1, INT64_C(1) << 53, errors);
    page.cursor = cursor ? arena_format(http_arena(http), "%lld", (long long)cursor) : NULL;
    return page;
}

bool query_refused(struct http_request *http, const struct json_errors *errors) {
    if (!errors->count)
        return false;
    http_problem(http, 400, "The query is not valid: see errors.", NULL, errors);
    return true;
}
