/* What an HTTP request asks of Postgres: its parameters, the wait, during which the client may leave, and the
 * answer. */
#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include <stdbool.h>
#include <stdint.h>

struct http_request;
struct json_errors;
struct message;
struct pg;
struct pg_result;
struct pg_step;

/* rows are PG_OK and borrowed for the call, which has to answer http. */
typedef void (*query_answer)(struct http_request *http, void *state, const struct pg_result *rows);

/* Sends count (at least 1) steps as one transaction and calls answer from the loop, unless the client has
 * left by then or Postgres gave nothing: then a problem is answered here. steps are borrowed for the call,
 * state until the answer: it may live in http's arena, and may be NULL. Once a request, in its handler. */
void query_ask(struct pg *pg, struct http_request *http, const struct pg_step *steps, int count,
    query_answer answer, void *state);

/* Answers with body, a struct of message, as JSON. */
void query_respond(struct http_request *http, int status, const struct message *message, const void *body);

/* True when text (may be NULL) is an integer from min to max, which *value then is. */
bool query_parse_integer(const char *text, int64_t min, int64_t max, int64_t *value);

/* The query parameter as an integer; otherwise when there is none, or when it is wrong: then an error is
 * added to errors. */
int64_t query_integer(struct http_request *http, const char *name, int64_t otherwise, int64_t min,
    int64_t max, struct json_errors *errors);

/* Where a list is to begin and how long it may be, as numbers and as texts for a statement. */
struct page {
    int64_t limit, offset;
    const char *limit_text, *offset_text; /* in the request's arena */
    const char *cursor;                   /* NULL at the start of the list */
};

enum { PAGE_LIMIT_DEFAULT = 20, PAGE_LIMIT_MAX = 100 };

/* Reads limit (otherwise limit_default), offset and a cursor of any text; what is wrong is added to
 * errors. */
struct page query_page(struct http_request *http, int64_t limit_default, struct json_errors *errors);
/* The same where a cursor is a number. */
struct page query_page_by_number(
    struct http_request *http, int64_t limit_default, struct json_errors *errors);

/* True when errors has any: they were answered with 400. */
bool query_refused(struct http_request *http, const struct json_errors *errors);

#endif
