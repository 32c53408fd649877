/* HTTP out: libcurl's multi interface on the event loop. The only file that includes curl.h is
 * http_client.c. */
#ifndef SHARED_HTTP_CLIENT_H
#define SHARED_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_client;
struct http_call;

struct http_call_request {
    const char *url;
    const char *const
        *headers;     /* "Name: value", NULL-terminated; may hold a secret, so they are never logged */
    const char *body; /* POST body; borrowed until done */
    size_t length;
    int64_t connect_timeout_ms;
    int64_t timeout_ms;      /* of the whole call */
    size_t answer_bytes_max; /* a longer answer is an error */
};

struct http_call_answer {
    int status;        /* 0: no answer came, error says why */
    const char *error; /* NULL when status is not 0; never holds a header or the body */
    bool timed_out;
    const char *body; /* NUL-terminated, borrowed for the call */
    size_t length;
    int64_t retry_after_ms; /* from Retry-After in seconds or as a date; -1: none */
    double seconds;
};

typedef void (*http_call_done)(void *context, const struct http_call_answer *answer);

struct http_client *http_client_open(uv_loop_t *loop);

/* Starts a POST; done is called once, from the loop, never from inside http_client_post. Host names are
 * resolved once for all calls, off the loop thread. */
struct http_call *http_client_post(
    struct http_client *client, const struct http_call_request *request, http_call_done done, void *context);

/* Gives a call up; done is not called. Nulls *call; *call may be NULL. */
void http_client_cancel(struct http_call **call);

/* Calls under way are given up; nulls *client. */
void http_client_close(struct http_client **client);

#endif
