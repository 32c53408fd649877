/* Connections watched for what libmicrohttpd does not see: that a client has gone, or sends no more. */
#ifndef SHARED_HTTP_WATCH_H
#define SHARED_HTTP_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

struct http_watch;

/* One connection; part of a struct of the caller's, which keeps it at its place. */
struct http_watched {
    LIST_ENTRY(http_watched) link; /* of the half-closed ones */
    int fd;                        /* borrowed */
    bool half_closed;              /* the client sends no more */
    uint64_t half_closed_ms;       /* loop time since then */
    bool told;                     /* gone was called */
    bool busy;                     /* set by the caller while a request is under way */
};

struct http_watch_options {
    uv_loop_t *loop;
    /* The client has reset the connection, cannot be reached any more, or has sent its end a second ago and
     * still has no answer: then it is taken to have left. Called once. */
    void (*gone)(void *context, struct http_watched *watched);
    /* http_watch_end_idle has something to do. */
    void (*half_closed)(void *context);
    void *context;
};

/* NULL when the system gives no epoll descriptor. */
struct http_watch *http_watch_open(const struct http_watch_options *options);

/* Before fd is closed, also when it has duplicates: http_watch_remove. */
void http_watch_add(struct http_watch *watch, struct http_watched *watched, int fd);
void http_watch_remove(struct http_watch *watch, struct http_watched *watched);

/* Ends the half-closed connections that are not busy. Only to be called when all that was sent is read. */
void http_watch_end_idle(struct http_watch *watch);

/* Nulls *watch. Nothing may be watched any more. */
void http_watch_close(struct http_watch **watch);

#endif
