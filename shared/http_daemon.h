/* What the files that speak to libmicrohttpd share. */
#ifndef SHARED_HTTP_DAEMON_H
#define SHARED_HTTP_DAEMON_H

#include <microhttpd.h>
#include <uv.h>

#include "shared/http_private.h"
#include "shared/http_watch.h"

/* Lives as long as the connection, which may bring many requests. */
struct connection {
    struct http_watched watched; /* at the start */
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct http_request *request; /* NULL between requests */
    bool lingers;                 /* answered before its body was read */
};

struct http_server {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    const struct http_route *routes;
    void *context;
    int port;
    struct http_watch *watch;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_prepare_t prepare;
    int open_handles; /* the three above, until libuv has closed them */
    struct http_lingers *lingers;
    LIST_HEAD(, http_request) unsuspended, suspended;
    size_t connections, connections_most; /* open now, and the most since memory was given back */
    size_t pending;
    bool run_due; /* something was resumed: MHD_run in this turn */
    bool stopped; /* accepting */
    bool closing;
    void (*answered)(void *context, const char *method, const char *route, int status, double seconds);
    void *answered_context;
};

/* http_access.c: libmicrohttpd's calls for a request. */

/* Its line has come: the first that is known of it; target is borrowed. Returns the request, as state. */
void *http_on_target(void *context, const char *target, struct MHD_Connection *mhd);
/* Its head, the pieces of its body and its end have come, or it was resumed. */
enum MHD_Result http_on_access(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *length, void **state);
/* It is answered, or its connection is gone. */
void http_on_completed(
    void *context, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code);

/* http_waiting.c: requests that libmicrohttpd has nothing to do for. */

/* Its connection is suspended when libmicrohttpd has called whom it had to. */
void http_set_idle(struct http_request *request);
/* There is something to do again: resumes it. Of no effect on one that is not idle. */
void http_set_busy(struct http_request *request);
/* Suspends those that are idle and are not suspended so far; not inside a handler. */
void http_suspend_waiting(struct http_server *server);
/* Has its connection closed without an answer, after its leave callback. */
void http_drop_now(struct http_request *request);

/* http_answer.c: hands the answer to libmicrohttpd. */
enum MHD_Result http_queue_response(struct http_request *request);

#endif
