/* HTTP out: libcurl's multi interface on the event loop. Only shared/http_multi and shared/http_transfer
 * include curl.h. */
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
    int64_t connect_timeout_ms;    /* from the call's start to the connection, TLS included */
    int64_t first_byte_timeout_ms; /* from the call's start to the answer's first byte; 0: none */
    int64_t timeout_ms;            /* of the whole call */
    size_t answer_bytes_max;       /* of the body; a longer one is an error, also of a stream */
    /* NULL, or called with http_client_post's context as the body of a 2xx answer comes; the body of done's
     * answer is then "". Bodies of other answers are gathered as ever. Returns whether to go on: false ends
     * the call with HTTP_CALL_STOPPED. bytes are borrowed for the call; the client must not be used from
     * inside. */
    bool (*data)(void *context, const char *bytes, size_t length);
};

/* How a call ended. */
enum http_call_end {
    HTTP_CALL_ANSWERED,           /* a whole answer came: status says what it says */
    HTTP_CALL_UNREACHABLE,        /* no address, no connection, or no TLS that can be trusted */
    HTTP_CALL_CONNECT_TIMEOUT,    /* no connection within connect_timeout_ms */
    HTTP_CALL_FIRST_BYTE_TIMEOUT, /* nothing of an answer within first_byte_timeout_ms */
    HTTP_CALL_WHOLE_TIMEOUT,      /* no whole answer within timeout_ms */
    HTTP_CALL_CUT,                /* the connection broke before the answer was whole */
    HTTP_CALL_TOO_LONG,           /* the body is longer than answer_bytes_max */
    HTTP_CALL_STOPPED,            /* data returned false */
    HTTP_CALL_OTHER,              /* no URL, not HTTP, … */
};

struct http_call_answer {
    enum http_call_end end;
    int status;        /* 0: no whole answer came, error says why */
    const char *error; /* NULL when status is not 0; never holds a header or the body */
    bool timed_out;    /* end is one of the three timeouts */
    const char *body;  /* NUL-terminated, borrowed for the call */
    size_t length;
    int64_t retry_after_ms; /* from Retry-After-Ms, or Retry-After in seconds or as a date; -1: none */
    double seconds;
    struct http_call *call; /* for http_call_header */
};

typedef void (*http_call_done)(void *context, const struct http_call_answer *answer);

struct http_client *http_client_open(uv_loop_t *loop);

/* Trusts the certificates in this PEM file instead of the system's; before the first call. "" or NULL: the
 * system's. */
void http_client_trust(struct http_client *client, const char *ca_file);

/* Starts a POST; done is called once, from the loop, never from inside http_client_post. Host names are
 * resolved once for all calls, off the loop thread. Many thousands may be in flight. */
struct http_call *http_client_post(
    struct http_client *client, const struct http_call_request *request, http_call_done done, void *context);

/* The value of an answer's header (of the last one, if it came often), whatever the case of its name; NULL:
 * it has none, or no answer came. Only within done; the value is borrowed for it, and may be anything that
 * a server can send but NUL, CR and LF. */
const char *http_call_header(const struct http_call_answer *answer, const char *name);

/* Gives a call up; done is not called. Nulls *call; *call may be NULL. */
void http_client_cancel(struct http_call **call);

/* Calls under way are given up; nulls *client. */
void http_client_close(struct http_client **client);

#endif
