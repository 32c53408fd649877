/* An epoll set beside libmicrohttpd's, itself polled by libuv. Nobody watches a suspended connection, and a
 * stream's end that came together with a request is missed by libmicrohttpd 0.9.75. */
#include "shared/http_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/log.h"

enum { EVENTS_MAX = 64, HALF_CLOSED_MS = 1000, LOOK_MS = 500 };

struct http_watch {
    struct http_watch_options options;
    uv_poll_t poll;
    uv_timer_t timer; /* runs while something is half-closed */
    int handles;      /* of libuv, still to be closed */
    int epoll;
    LIST_HEAD(, http_watched) half_closed;
};

static void tell_gone(struct http_watch *watch, struct http_watched *watched) {
    if (!watched->told) {
        watched->told = true;
        watch->options.gone(watch->options.context, watched);
    }
}

/* A client that sends no more may have left or may wait for its answer: nobody can tell before something is
 * sent to it. So a quick answer is still sent; after a while, like most servers, we take it to have left. */
static void on_timer(uv_timer_t *timer) {
    struct http_watch *watch = timer->data;
    struct http_watched *watched = LIST_FIRST(&watch->half_closed), *next;
    if (!watched)
        uv_timer_stop(timer);
    for (; watched; watched = next) {
        next = LIST_NEXT(watched, link);
        if (watched->busy && uv_now(watch->options.loop) - watched->half_closed_ms >= HALF_CLOSED_MS)
            tell_gone(watch, watched);
    }
}

static void on_event(struct http_watch *watch, struct http_watched *watched, uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) {
        tell_gone(watch, watched);
    } else if (!watched->half_closed) {
        watched->half_closed = true;
        watched->half_closed_ms = uv_now(watch->options.loop);
        LIST_INSERT_HEAD(&watch->half_closed, watched, link);
        if (!uv_is_active((uv_handle_t *)&watch->timer))
            uv_timer_start(&watch->timer, on_timer, LOOK_MS, LOOK_MS);
        watch->options.half_closed(watch->options.context);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct http_watch *watch = poll->data;
    struct epoll_event found[EVENTS_MAX];
    (void)events;
    int count = status == 0 ? epoll_wait(watch->epoll, found, EVENTS_MAX, 0) : 0;
    for (int i = 0; i < count; i++)
        on_event(watch, found[i].data.ptr, found[i].events);
}

struct http_watch *http_watch_open(const struct http_watch_options *options) {
    struct http_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        abort();
    watch->options = *options;
    LIST_INIT(&watch->half_closed);
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (watch->epoll < 0 || uv_poll_init(options->loop, &watch->poll, watch->epoll) != 0) {
        if (watch->epoll >= 0)
            close(watch->epoll);
        free(watch);
        return NULL;
    }
    uv_timer_init(options->loop, &watch->timer);
    watch->poll.data = watch->timer.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    return watch;
}

void http_watch_add(struct http_watch *watch, struct http_watched *watched, int fd) {
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = watched};
    watched->fd = fd;
    if (epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        log_warn("http_unwatched", log_string("reason", strerror(errno)));
}

void http_watch_remove(struct http_watch *watch, struct http_watched *watched) {
    if (watched->half_closed)
        LIST_REMOVE(watched, link);
    /* Fails where adding has failed. */
    (void)epoll_ctl(watch->epoll, EPOLL_CTL_DEL, watched->fd, NULL);
}

/* Shutting down the other direction, too, gives libmicrohttpd an event that it does see. */
void http_watch_end_idle(struct http_watch *watch) {
    struct http_watched *watched = LIST_FIRST(&watch->half_closed), *next;
    for (; watched; watched = next) {
        next = LIST_NEXT(watched, link);
        if (watched->busy)
            continue;
        LIST_REMOVE(watched, link);
        watched->half_closed = false;
        (void)shutdown(watched->fd, SHUT_WR);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct http_watch *watch = handle->data;
    if (--watch->handles == 0)
        free(watch);
}

void http_watch_close(struct http_watch **watch) {
    (*watch)->handles = 2;
    uv_close((uv_handle_t *)&(*watch)->timer, on_closed);
    uv_close((uv_handle_t *)&(*watch)->poll, on_closed);
    close((*watch)->epoll);
    *watch = NULL;
}
