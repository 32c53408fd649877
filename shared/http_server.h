/* HTTP in: libmicrohttpd on the event loop, routes from a table, errors as RFC 9457 problem+json. Only
 * http_daemon.h includes microhttpd.h. */
#ifndef SHARED_HTTP_SERVER_H
#define SHARED_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/settings.h"

struct arena;
struct http_request;
struct http_server;
struct json_errors;

/* LISTEN_ADDRESS (127.0.0.1), LISTEN_PORT (default by the process; 0: any free one, logged),
 * HTTP_BODY_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_IDLE_TIMEOUT_MS. */
extern struct setting http_server_settings[];

/* How a route takes a body in pieces while it comes, instead of whole. */
struct http_upload {
    const char *content_type; /* without parameters, any other is refused with 415: "application/x-ndjson" */
    /* A Content-Length above it is refused with 413. A body without one may go on past it, but its sender is
     * cut off after 64 MiB more. */
    int64_t bytes_max;
    /* The head has come. Returns what piece and end are given; or answers at once, and then neither follows.
     */
    void *(*begin)(struct http_request *request, void *context);
    /* The next bytes, never none; borrowed. */
    void (*piece)(void *upload, const char *bytes, size_t length);
    /* The last byte has come: answers now or later, as handle does. Does not follow when the client leaves
     * before: http_on_leave tells that. */
    void (*end)(void *upload);
};

struct http_route {
    const char *method; /* "GET" or "POST"; HEAD is served by the GET route; NULL ends the table */
    const char *path;   /* "/api/v1/request/{id}"; a parameter is one whole segment */
    /* Called once the body is there; it has been checked to be within the limit and, for POST, of content
     * type application/json, or empty without a type. Answers now or later with one http_respond,
     * http_problem or http_respond_parts. */
    void (*handle)(struct http_request *request, void *context);
    const struct http_upload *upload; /* takes the body in the place of handle; NULL: handle takes it */
};

/* Binds and serves; routes and context are borrowed for the server's life. Unknown paths get 404, other
 * methods 405 with Allow. NULL when the address cannot be bound (said in the log). */
struct http_server *http_server_open(uv_loop_t *loop, const struct http_route *routes, void *context);

/* The port it listens on. */
int http_server_port(const struct http_server *server);

/* Closes the listener; requests under way go on, and each answer ends its connection. */
void http_server_stop_accepting(struct http_server *server);

/* Requests that have arrived whole, or are taken in pieces, and whose answers are not yet sent. */
size_t http_server_pending(const struct http_server *server);

/* Ends all connections and nulls *server; requests still waiting are dropped after their leave callback. Not
 * to be called inside a handler; the loop must run once more to free it. */
void http_server_close(struct http_server **server);

/* What a request brought; all of it lives in its arena until it is answered. */
struct arena *http_arena(struct http_request *request);
const char *http_body(struct http_request *request, size_t *length);
const char *http_method(struct http_request *request);
/* The path as it was asked for, without the query. */
const char *http_path(struct http_request *request);
/* The path of the route that serves it: "/api/v1/request/{id}"; lives as long as the routes. */
const char *http_route(struct http_request *request);
/* Percent-decoded; NULL when there is none, an escape is broken, or it holds a NUL or is not UTF-8. */
const char *http_parameter(struct http_request *request, const char *name);
const char *http_query(struct http_request *request, const char *name);
/* Case-insensitive; NULL when there is none. */
const char *http_header(struct http_request *request, const char *name);

/* Calls left once if the client goes away before the answer (its last part, or the last piece of its body);
 * the request may not be touched from then on. NULL takes it back. To be called inside the route's handler,
 * or begin. A client that sends no more may still wait for its answer, so only a reset connection counts as
 * left. */
void http_on_leave(struct http_request *request, void (*left)(void *context), void *context);

/* A header of the answer to come; copied. */
void http_add_header(struct http_request *request, const char *name, const char *value);

/* Answers; body is copied. The request may not be touched afterwards. */
void http_respond(
    struct http_request *request, int status, const char *content_type, const char *body, size_t length);

/* Closes the connection without an answer, for a server that plays a broken one; not inside the handler. The
 * request may not be touched afterwards. */
void http_drop(struct http_request *request);

/* Answers with a body that is made while it is sent. more is called whenever all parts so far have been
 * taken, the first time too, and is to be followed, now or later, by one http_send_part or http_end_parts.
 * Until that end the request lives, and http_on_leave holds. */
void http_respond_parts(struct http_request *request, int status, const char *content_type,
    void (*more)(void *context), void *context);
/* bytes are copied; not none. */
void http_send_part(struct http_request *request, const char *bytes, size_t length);
/* The request may not be touched afterwards. broken: the body is not whole, and the connection is cut so that
 * the client sees it. */
void http_end_parts(struct http_request *request, bool broken);

/* Lets no more of a body that is taken in pieces come before http_resume; what has been read of it already,
 * some 7 KiB, is still given to piece. Of no effect once the body is there. */
void http_pause(struct http_request *request);
void http_resume(struct http_request *request);

/* A problem: title follows from status, type is "about:blank"; detail is one sentence that says what to do
 * next; request_id and errors may be NULL. */
void http_problem(struct http_request *request, int status, const char *detail, const char *request_id,
    const struct json_errors *errors);

/* The same with status 429, to be sent again after midnight (UTC), when a daily budget begins anew. */
void http_problem_until_midnight(struct http_request *request, const char *detail, const char *request_id);

/* Called just before each answer is sent, for metrics. method is "other" when it is no usual one, route is
 * the path pattern, or "" where no route serves the request, and seconds have passed since it had arrived
 * whole. */
void http_server_on_answer(struct http_server *server,
    void (*answered)(void *context, const char *method, const char *route, int status, double seconds),
    void *context);

/* Sets LISTEN_PORT's default, before settings_load; port is borrowed for the life of the process. */
void http_server_default_port(const char *port);

/* HTTP_BODY_BYTES_MAX: the limit of a body that is taken whole. */
int64_t http_body_bytes_max(void);

/* Raises the soft limit of open files to the hard one; returns what it is then. */
int64_t http_raise_open_files(void);

#endif
