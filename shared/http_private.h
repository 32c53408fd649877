/* What the files of the HTTP server share. */
#ifndef SHARED_HTTP_PRIVATE_H
#define SHARED_HTTP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shared/buffer.h"

struct MHD_Response; /* libmicrohttpd's */
struct arena;
struct connection; /* http_server.c's */
struct http_route;
struct http_server;

enum request_state {
    REQUEST_RECEIVING, /* body, or what is thrown away of it */
    REQUEST_HANDLING,  /* inside the route's handler */
    REQUEST_WAITING,   /* for http_respond */
    REQUEST_ANSWERED,
    REQUEST_DROPPED, /* its connection is to be closed without an answer */
};

struct header_line {
    struct header_line *next;
    const char *name, *value;
};

struct http_request {
    LIST_ENTRY(http_request) link; /* in the server's unsuspended or suspended while REQUEST_WAITING */
    struct connection *connection;
    struct http_server *server;
    struct arena *arena;                        /* of the request itself, too */
    const char *target, *method, *path, *query; /* method is NULL until the head has come */
    const struct http_route *route;             /* NULL: there is none */
    enum request_state state;
    int refusal;    /* status to refuse with; 0: none */
    bool whole;     /* counted in server->pending */
    bool suspended; /* libmicrohttpd has been told to leave the connection alone */
    struct buffer body;
    size_t discarded;
    struct header_line *headers;
    struct MHD_Response *response;
    int status;
    void (*left)(void *context);
    void *left_context;
    uint64_t whole_at; /* nanoseconds */
};

/* http_settings.c */
extern struct http_settings {
    const char *address;
    int64_t port, body_bytes_max, connections_max, idle_timeout_ms;
} http_settings;

/* http_server.c: "Not Found" for 404. */
const char *http_title(int status);

/* http_request.c: the method as a metric's label; "other" for what is not usual, since clients may invent
 * methods without end. */
const char *http_method_label(const struct http_request *request);

/* http_problem.c: answers with the 404, 405, 413 or 415 that a request's head calls for. */
void http_refuse(struct http_request *request, int status, const struct http_route *routes);

#endif
