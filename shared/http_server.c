/* libmicrohttpd on our own loop: libuv polls its epoll fd, and all answers given in a turn of the loop are
 * sent in that turn. */
#include "shared/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/arena.h"
#include "shared/http_daemon.h"
#include "shared/http_linger.h"
#include "shared/http_listen.h"
#include "shared/http_watch.h"
#include "shared/log.h"

enum {
    CONNECTION_BYTES = 7168, /* request line, headers, libmicrohttpd's buffers: all of it gets resident */
    FILES_KEPT = 128,        /* open files that are not connections */
    CONNECTIONS_MIN = 16,    /* even when hardly any file may be opened */
    PASSES_MAX = 8,          /* of MHD_run in one turn of the loop */
    MANY_CONNECTIONS = 2048, /* after more than these, memory goes back to the system */
};

static struct connection *connection_open(struct http_server *server, struct MHD_Connection *mhd) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        abort();
    connection->server = server;
    connection->mhd = mhd;
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, on = 1;
    /* Else the second of two small answers waits for the first one's acknowledgement, up to 40 ms. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        log_warn("http_delayed", log_string("reason", "a connection refuses TCP_NODELAY"));
    http_watch_add(server->watch, &connection->watched, fd);
    if (++server->connections > server->connections_most)
        server->connections_most = server->connections;
    return connection;
}

/* When many have left, what they held lies between what the others hold: the allocator gives that back only
 * when it is told to. */
static void count_closed(struct http_server *server) {
    server->connections--;
    if (server->connections_most <= MANY_CONNECTIONS || server->connections > server->connections_most / 2)
        return;
    server->connections_most = server->connections;
    arena_give_back();
}

static void connection_close(struct connection *connection) {
    http_watch_remove(connection->server->watch, &connection->watched);
    /* At the limit of connections, only another pass listens again. */
    connection->server->run_due = true;
    if (connection->lingers && !connection->server->closing)
        http_linger(connection->server->lingers, connection->watched.fd);
    count_closed(connection->server);
    free(connection);
}

static void on_connection(
    void *context, struct MHD_Connection *mhd, void **state, enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = connection_open(context, mhd);
    } else {
        connection_close(*state);
        *state = NULL;
    }
}

static void on_gone(void *context, struct http_watched *watched) {
    struct http_request *request = ((struct connection *)watched)->request;
    (void)context;
    /* Without a callback somebody may still answer it: that shows the end to libmicrohttpd. */
    if (request && request->state == REQUEST_WAITING && request->left)
        http_drop_now(request);
}

static void on_half_closed(void *context) {
    ((struct http_server *)context)->run_due = true;
}

/* The loop. */

static void on_timer(uv_timer_t *timer);

/* A resumed connection takes libmicrohttpd three passes: to take the answer, to write it, to see that nothing
 * more has come. They are made at once, as long as there is something to do. */
static void run(struct http_server *server) {
    MHD_UNSIGNED_LONG_LONG timeout;
    bool timed, again = true;
    for (int pass = 0; again && pass < PASSES_MAX; pass++) {
        server->run_due = false;
        if (MHD_run(server->daemon) != MHD_YES)
            log_error("http_failed", log_string("reason", "libmicrohttpd could not poll its connections"));
        http_suspend_waiting(server);
        timed = MHD_get_timeout(server->daemon, &timeout) == MHD_YES;
        again = server->run_due || (timed && timeout == 0);
    }
    if (!again)
        http_watch_end_idle(server->watch);
    if (again || timed)
        uv_timer_start(&server->timer, on_timer, again ? 0 : timeout, 0);
    else
        uv_timer_stop(&server->timer);
}

static void on_timer(uv_timer_t *timer) {
    run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    run(poll->data);
}

/* Just before the loop sleeps: whatever answers its callbacks gave, one MHD_run sends them all. Without a
 * thread of its own, libmicrohttpd has nothing that would wake the loop for a resumption. */
static void on_prepare(uv_prepare_t *prepare) {
    struct http_server *server = prepare->data;
    if (server->run_due)
        run(server);
}

/* TLS where http_settings say so. */
static struct MHD_Daemon *start_mhd(struct http_server *server, int fd, unsigned connections) {
    bool tls = http_settings.tls_certificate;
    struct MHD_OptionItem certificate[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)http_settings.tls_certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)http_settings.tls_key},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL,
        http_on_access, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((http_settings.idle_timeout_ms + 999) / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK,
        http_on_target, server, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_ARRAY,
        tls ? certificate : certificate + 2, MHD_OPTION_END);
}

static bool start_daemon(struct http_server *server, int fd) {
    int64_t files = http_raise_open_files(), connections = http_settings.connections_max;
    if (connections > files - FILES_KEPT)
        connections = files - FILES_KEPT > CONNECTIONS_MIN ? files - FILES_KEPT : CONNECTIONS_MIN;
    server->daemon = start_mhd(server, fd, (unsigned)connections);
    if (!server->daemon)
        return false;
    log_info("listening", log_string("address", http_settings.address), log_integer("port", server->port),
        log_integer("open_files", files), log_integer("connections_max", connections));
    return true;
}

static void start_handles(struct http_server *server) {
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (uv_poll_init(server->loop, &server->poll, epoll_fd) != 0)
        abort();
    uv_timer_init(server->loop, &server->timer);
    uv_prepare_init(server->loop, &server->prepare);
    server->poll.data = server->timer.data = server->prepare.data = server;
    server->open_handles = 3;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    uv_prepare_start(&server->prepare, on_prepare);
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_route *routes, void *context) {
    int fd = http_listen(http_settings.address, http_settings.port);
    if (fd < 0)
        return NULL;
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    *server = (struct http_server){
        .loop = loop, .routes = routes, .context = context, .port = http_listen_port(fd)};
    LIST_INIT(&server->unsuspended);
    LIST_INIT(&server->suspended);
    server->watch = http_watch_open(&(struct http_watch_options){
        .loop = loop, .gone = on_gone, .half_closed = on_half_closed, .context = server});
    if (!server->watch || !start_daemon(server, fd)) {
        log_error("listen_failed", log_string("reason", "libmicrohttpd did not start"));
        if (server->watch)
            http_watch_close(&server->watch);
        close(fd);
        free(server);
        return NULL;
    }
    server->lingers = http_lingers_open(loop);
    start_handles(server);
    return server;
}

int http_server_port(const struct http_server *server) {
    return server->port;
}

void http_server_stop_accepting(struct http_server *server) {
    if (server->stopped)
        return;
    server->stopped = true;
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

size_t http_server_pending(const struct http_server *server) {
    return server->pending;
}

static void on_closed(uv_handle_t *handle) {
    struct http_server *server = handle->data;
    if (--server->open_handles == 0)
        free(server);
}

void http_server_close(struct http_server **server_pointer) {
    struct http_server *server = *server_pointer;
    struct http_request *request;
    if (!server)
        return;
    *server_pointer = NULL;
    server->closing = true;
    http_server_stop_accepting(server);
    while ((request = LIST_FIRST(&server->suspended)) || (request = LIST_FIRST(&server->unsuspended)))
        http_drop_now(request);
    uv_close((uv_handle_t *)&server->poll, on_closed);
    uv_close((uv_handle_t *)&server->timer, on_closed);
    uv_close((uv_handle_t *)&server->prepare, on_closed);
    http_lingers_close(&server->lingers);
    /* libmicrohttpd aborts when it is stopped with suspended connections; this takes up the resumed ones. */
    (void)MHD_run(server->daemon);
    MHD_stop_daemon(server->daemon);
    http_watch_close(&server->watch);
}

void http_server_on_answer(struct http_server *server,
    void (*answered)(void *context, const char *method, const char *route, int status, double seconds),
    void *context) {
    server->answered = answered;
    server->answered_context = context;
}
