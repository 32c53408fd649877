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
struct connection; /* http_daemon.h */
struct http_route;
struct http_server;

enum request_state {
    REQUEST_RECEIVING, /* body, or what is thrown away of it */
    REQUEST_HANDLING,  /* inside the route's handler, or begin or end of its upload */
    REQUEST_WAITING,   /* for http_respond */
    REQUEST_ANSWERED,
    REQUEST_SENDING_PARTS,
    REQUEST_DROPPED, /* its connection is to be closed without an answer */
};

struct header_line {
    struct header_line *next;
    const char *name, *value;
};

/* The body of an answer that is made while it is sent. */
struct answer_parts {
    void (*more)(void *context);
    void *context;
    char *bytes; /* the part at hand, malloc's */
    size_t length, taken, capacity;
    bool asked; /* more was called and nothing has followed */
    bool ended, broken;
};

struct http_request {
    LIST_ENTRY(http_request) link; /* while idle, in the server's unsuspended or suspended */
    bool idle; /* libmicrohttpd has nothing to do for it: it waits, is paused, or has no part to send */
    struct connection *connection;
    struct http_server *server;
    struct arena *arena;                        /* of the request itself, too */
    const char *target, *method, *path, *query; /* method is NULL until the head has come */
    const struct http_route *route;             /* NULL: there is none */
    enum request_state state;
    int refusal;    /* status to refuse with; 0: none */
    bool whole;     /* its last byte has come */
    bool pending;   /* counted in server->pending */
    bool suspended; /* libmicrohttpd has been told to leave the connection alone */
    struct buffer body;
    size_t discarded;
    void *upload;      /* what begin returned */
    uint64_t received; /* bytes of a body that is taken in pieces */
    struct header_line *headers;
    struct MHD_Response *response;
    struct answer_parts parts;
    int status;
    void (*left)(void *context);
    void *left_context;
    uint64_t whole_at; /* nanoseconds */
};

/* http_settings.c */
extern struct http_settings {
    const char *address;
    int64_t port, body_bytes_max, connections_max, idle_timeout_ms;
    /* PEM texts; NULL: no TLS. No setting sets them: of our servers only the tests' simulator speaks it. */
    const char *tls_certificate, *tls_key;
} http_settings;

/* http_answer.c: "Not Found" for 404. */
const char *http_title(int status);

/* http_request.c: of what type, and how long at most, a body for the request's route is. */
const char *http_body_type(const struct http_request *request);
int64_t http_body_limit(const struct http_request *request);

/* http_request.c: the method as a metric's label; "other" for what is not usual, since clients may invent
 * methods without end. */
const char *http_method_label(const struct http_request *request);

/* http_waiting.c: there is a part to send, or the last one was sent. */
void http_parts_ready(struct http_request *request);

/* http_parts.c: takes up to room bytes of the part at hand, and asks for the next one when it is used up; 0:
 * there is none yet, or the parts have ended. */
size_t http_parts_take(struct http_request *request, char *out, size_t room);

/* http_problem.c: answers with the 404, 405, 413 or 415 that a request's head calls for. */
void http_refuse(struct http_request *request, int status, const struct http_route *routes);

#endif
