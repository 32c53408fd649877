/* Sockets whose answer is sent, read until their clients have seen it. */
#include "shared/http_linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGERS_MAX = 32, LINGER_MS = 5000, LINGER_BYTES_MAX = 256 << 20, READ_BYTES = 65536 };

struct linger_socket {
    LIST_ENTRY(linger_socket) link;
    struct http_lingers *lingers;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd;
    int open_handles; /* poll and timer, until libuv has closed them */
    size_t read;
};

struct http_lingers {
    uv_loop_t *loop;
    LIST_HEAD(, linger_socket) sockets;
    int count;
};

struct http_lingers *http_lingers_open(uv_loop_t *loop) {
    struct http_lingers *lingers = calloc(1, sizeof *lingers);
    if (!lingers)
        abort();
    lingers->loop = loop;
    LIST_INIT(&lingers->sockets);
    return lingers;
}

static void on_closed(uv_handle_t *handle) {
    struct linger_socket *linger = handle->data;
    if (--linger->open_handles == 0)
        free(linger);
}

static void finish(struct linger_socket *linger) {
    LIST_REMOVE(linger, link);
    linger->lingers->count--;
    uv_close((uv_handle_t *)&linger->poll, on_closed);
    uv_close((uv_handle_t *)&linger->timer, on_closed);
    close(linger->fd);
}

static void on_timer(uv_timer_t *timer) {
    finish(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    static char dropped[READ_BYTES];
    struct linger_socket *linger = poll->data;
    (void)events;
    ssize_t got = status == 0 ? recv(linger->fd, dropped, sizeof dropped, MSG_DONTWAIT) : 0;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    linger->read += got > 0 ? (size_t)got : 0;
    if (got <= 0 || linger->read > LINGER_BYTES_MAX)
        finish(linger);
}

void http_linger(struct http_lingers *lingers, int fd) {
    if (lingers->count == LINGERS_MAX)
        return;
    struct linger_socket *linger = calloc(1, sizeof *linger);
    if (!linger)
        abort();
    linger->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (linger->fd < 0 || uv_poll_init(lingers->loop, &linger->poll, linger->fd) != 0) {
        if (linger->fd >= 0)
            close(linger->fd);
        free(linger);
        return;
    }
    uv_timer_init(lingers->loop, &linger->timer);
    linger->lingers = lingers;
    linger->poll.data = linger->timer.data = linger;
    linger->open_handles = 2;
    LIST_INSERT_HEAD(&lingers->sockets, linger, link);
    lingers->count++;
    /* The client sees the answer's end. Failing means it has gone, which the poll tells. */
    (void)shutdown(linger->fd, SHUT_WR);
    uv_poll_start(&linger->poll, UV_READABLE, on_readable);
    uv_timer_start(&linger->timer, on_timer, LINGER_MS, 0);
}

void http_lingers_close(struct http_lingers **lingers) {
    struct linger_socket *linger;
    while ((linger = LIST_FIRST(&(*lingers)->sockets)))
        finish(linger);
    free(*lingers);
    *lingers = NULL;
}
