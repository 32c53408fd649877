/* libcurl's multi handles on the event loop. There are several, because libcurl walks all connections of a
 * multi handle to a host to find a free one; and a socket is watched until it is closed, not until its call
 * ends, because a call on a connection that is there already would change the epoll set twice. The set is our
 * own, itself polled by libuv, which would tell of up to 49,152 sockets in one turn of the loop: with 10,000
 * calls in flight turns took half a second, in which nothing else was read, sent or acknowledged. */
#include "shared/http_multi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A multi handle that holds so many calls gets more only when all do. With 10,000 in flight, walks through
 * 300 connections each were a fifth of the generator's CPU. In quiet times one handle serves, so that a call
 * finds the connection that is there, and certificates are read once. */
enum { MULTIS = 128, CALLS_EACH = 80 };

/* Connections that a multi handle keeps, in use or not: past it the longest idle is closed. So MULTIS times
 * this many calls in flight end without closing connections that the next ones need. */
enum { CONNECTIONS_MAX = 128 };

/* Sockets that are told of in one turn of the loop. */
enum { EVENTS_MAX = 64 };

struct http_multi {
    struct http_multis *multis;
    CURLM *curl; /* NULL until it is needed, and once closed */
    uv_timer_t timer;
    int in_flight;
};

/* A socket; one that is not in the set has no events. */
struct watched {
    struct http_multi *multi;
    uint32_t events;
    bool idle; /* no call uses the connection */
};

struct http_multis {
    uv_loop_t *loop;
    http_multi_ended ended;
    struct http_multi list[MULTIS];
    int epoll; /* -1 once closed */
    uv_poll_t poll;
    struct watched *watched; /* by socket */
    size_t watched_size;
    int handles; /* uv handles that are not closed yet; at 0 closed multis are freed */
};

static void release(struct http_multis *multis) {
    if (--multis->handles > 0)
        return;
    free(multis->watched);
    free(multis);
}

/* Ends are told only here, outside of curl's own callbacks, so that calls may be added and removed, and all
 * of it closed. */
static void act(struct http_multi *multi, curl_socket_t socket, int events) {
    CURLMsg *message;
    int running, left;
    curl_multi_socket_action(multi->curl, socket, events, &running);
    while (multi->curl && (message = curl_multi_info_read(multi->curl, &left)))
        if (message->msg == CURLMSG_DONE)
            multi->multis->ended(message->easy_handle, message->data.result);
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *curl, long timeout_ms, void *context) {
    struct http_multi *multi = context;
    (void)curl;
    if (timeout_ms < 0)
        uv_timer_stop(&multi->timer);
    else
        uv_timer_start(&multi->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void watch_for(struct http_multis *multis, curl_socket_t socket, uint32_t events) {
    struct watched *watched = &multis->watched[socket];
    struct epoll_event event = {.events = events, .data.fd = socket};
    if (events == watched->events)
        return;
    int what = !events ? EPOLL_CTL_DEL : watched->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    watched->events = events;
    int failed = epoll_ctl(multis->epoll, what, socket, &event);
    /* curl closes some sockets of its own, not those of connections, without telling. */
    if (failed && what == EPOLL_CTL_MOD && errno == ENOENT)
        failed = epoll_ctl(multis->epoll, EPOLL_CTL_ADD, socket, &event);
    if (failed && what != EPOLL_CTL_DEL)
        abort();
}

static void on_event(struct http_multis *multis, const struct epoll_event *event) {
    curl_socket_t socket = event->data.fd;
    const struct watched *watched = &multis->watched[socket];
    /* One that was closed since epoll told of it. */
    if (!watched->events)
        return;
    /* Its server has closed it; curl finds out before it uses it again. */
    if (watched->idle) {
        watch_for(multis, socket, 0);
        return;
    }
    act(watched->multi, socket,
        (event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
            (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
            (event->events & EPOLLERR ? CURL_CSELECT_ERR : 0));
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct http_multis *multis = poll->data;
    struct epoll_event found[EVENTS_MAX];
    (void)events;
    int count = status == 0 ? epoll_wait(multis->epoll, found, EVENTS_MAX, 0) : 0;
    for (int i = 0; i < count && multis->epoll >= 0; i++)
        on_event(multis, &found[i]);
}

static void make_room(struct http_multis *multis, curl_socket_t socket) {
    size_t size = multis->watched_size ? multis->watched_size : 64;
    while (size <= (size_t)socket)
        size *= 2;
    if (size == multis->watched_size)
        return;
    multis->watched = realloc(multis->watched, size * sizeof *multis->watched);
    if (!multis->watched)
        abort();
    for (size_t i = multis->watched_size; i < size; i++)
        multis->watched[i] = (struct watched){0};
    multis->watched_size = size;
}

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned) {
    struct http_multi *multi = context;
    struct http_multis *multis = multi->multis;
    (void)easy, (void)assigned;
    make_room(multis, socket);
    multis->watched[socket].multi = multi;
    multis->watched[socket].idle = what == CURL_POLL_REMOVE;
    if (what == CURL_POLL_REMOVE)
        what = multis->watched[socket].events ? CURL_POLL_IN : CURL_POLL_NONE;
    watch_for(multis, socket, (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0));
    return 0;
}

static int close_socket(void *context, curl_socket_t socket) {
    struct http_multis *multis = context;
    /* Closing takes it out of the set. */
    if ((size_t)socket < multis->watched_size)
        multis->watched[socket] = (struct watched){0};
    return close(socket);
}

static void open_multi(struct http_multis *multis, struct http_multi *multi) {
    multi->multis = multis;
    multi->curl = curl_multi_init();
    if (!multi->curl)
        abort();
    uv_timer_init(multis->loop, &multi->timer);
    multi->timer.data = multi;
    multis->handles++;
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
}

struct http_multis *http_multis_open(uv_loop_t *loop, http_multi_ended ended) {
    struct http_multis *multis = calloc(1, sizeof *multis);
    if (!multis)
        abort();
    multis->loop = loop;
    multis->ended = ended;
    multis->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (multis->epoll < 0 || uv_poll_init(loop, &multis->poll, multis->epoll) != 0)
        abort();
    multis->poll.data = multis;
    multis->handles++;
    uv_poll_start(&multis->poll, UV_READABLE, on_ready);
    return multis;
}

void http_multis_prepare(struct http_multis *multis, CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, multis);
}

struct http_multi *http_multis_add(struct http_multis *multis, CURL *easy) {
    struct http_multi *least = &multis->list[0];
    for (int i = 1; i < MULTIS && least->in_flight >= CALLS_EACH; i++)
        if (multis->list[i].in_flight < least->in_flight)
            least = &multis->list[i];
    if (!least->curl)
        open_multi(multis, least);
    if (curl_multi_add_handle(least->curl, easy) != CURLM_OK)
        abort();
    least->in_flight++;
    return least;
}

void http_multi_remove(struct http_multi *multi, CURL *easy) {
    if (curl_multi_remove_handle(multi->curl, easy) != CURLM_OK)
        abort();
    multi->in_flight--;
}

static void on_timer_closed(uv_handle_t *handle) {
    release(((struct http_multi *)handle->data)->multis);
}

static void on_poll_closed(uv_handle_t *handle) {
    release(handle->data);
}

void http_multis_close(struct http_multis **closing) {
    struct http_multis *multis = *closing;
    *closing = NULL;
    for (int i = 0; i < MULTIS; i++) {
        struct http_multi *multi = &multis->list[i];
        if (!multi->curl)
            continue;
        curl_multi_cleanup(multi->curl);
        multi->curl = NULL;
        uv_close((uv_handle_t *)&multi->timer, on_timer_closed);
    }
    uv_close((uv_handle_t *)&multis->poll, on_poll_closed);
    close(multis->epoll);
    multis->epoll = -1;
}
