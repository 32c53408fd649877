/* libmicrohttpd on our own loop: libuv polls its epoll fd, and all answers given in a turn of the loop are
 * sent in that turn. */
#include "shared/http_server.h"

#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_linger.h"
#include "shared/http_listen.h"
#include "shared/http_private.h"
#include "shared/http_route.h"
#include "shared/http_watch.h"
#include "shared/log.h"

enum {
    CONNECTION_BYTES = 7168, /* request line, headers, libmicrohttpd's buffers: all of it gets resident */
    REQUEST_BYTES = 960,     /* of most requests: what malloc gives without a search */
    FILES_KEPT = 128,        /* open files that are not connections */
    CONNECTIONS_MIN = 16,    /* even when hardly any file may be opened */
    DISCARD_BYTES_MAX = 64 << 20, /* of a chunked body that is too long, before its sender is cut off */
    PART_BYTES = 16384,           /* of an answer in parts, that libmicrohttpd asks for at once */
    PASSES_MAX = 8,               /* of MHD_run in one turn of the loop */
    MANY_CONNECTIONS = 2048,      /* after more than these, memory goes back to the system */
};

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

/* A request's life. */

static struct connection *connection_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

/* The first that is known of a request: its line has come. target is borrowed. */
static void *on_target(void *context, const char *target, struct MHD_Connection *mhd) {
    struct arena *arena = arena_create(REQUEST_BYTES);
    struct http_request *request = arena_alloc(arena, sizeof *request);
    request->server = context;
    request->connection = connection_of(mhd);
    request->connection->request = request;
    request->connection->watched.busy = true;
    request->arena = arena;
    request->target = arena_string(arena, target ? target : "");
    request->body = buffer_in(arena);
    return request;
}

/* What is not there needs no type, but for a browser: any page may make it send an empty POST, and only
 * another type makes it ask first. It names the page's origin. */
static bool is_without_body(struct http_request *request, unsigned long long length) {
    return !length && !http_header(request, "Transfer-Encoding") && !http_header(request, "Content-Type") &&
           !http_header(request, "Origin");
}

static int refusal_of(struct http_request *request, unsigned long long length) {
    bool known;
    request->route = http_route_find(request->server->routes, request->method, request->path, &known);
    if (length > (unsigned long long)http_body_limit(request))
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (!request->route)
        return known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
    if (strcmp(request->method, "POST") == 0 &&
        !http_is_type(http_header(request, "Content-Type"), http_body_type(request)) &&
        !is_without_body(request, length))
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    return 0;
}

static enum MHD_Result queue_response(struct http_request *request) {
    enum MHD_Result queued =
        MHD_queue_response(request->connection->mhd, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    if (request->parts.more)
        request->state = REQUEST_SENDING_PARTS;
    return queued;
}

/* Answers before the body is read, which ends the connection. */
static enum MHD_Result answer_early(struct http_request *request) {
    request->connection->lingers = true;
    return queue_response(request);
}

static void set_idle(struct http_request *request) {
    request->idle = true;
    LIST_INSERT_HEAD(&request->server->unsuspended, request, link);
}

static void set_busy(struct http_request *request) {
    if (!request->idle)
        return;
    request->idle = false;
    LIST_REMOVE(request, link);
    request->server->run_due = true;
    if (request->suspended)
        MHD_resume_connection(request->connection->mhd);
    request->suspended = false;
}

/* From here on the server's end waits for the request's. */
static void count_pending(struct http_request *request) {
    request->pending = true;
    request->whole_at = uv_hrtime();
    request->server->pending++;
}

static enum MHD_Result begin_upload(struct http_request *request) {
    struct http_server *server = request->server;
    count_pending(request);
    request->state = REQUEST_HANDLING;
    request->upload = request->route->upload->begin(request, server->context);
    if (request->state == REQUEST_ANSWERED)
        return answer_early(request);
    request->state = REQUEST_RECEIVING;
    return MHD_YES;
}

/* The head has come. What is too long is refused at once, and so is whatever waits for 100 Continue with a
 * body that nobody will read; libmicrohttpd then closes the connection. Any other body is read first, which
 * keeps it open. */
static enum MHD_Result begin(struct http_request *request, const char *method) {
    request->method = arena_string(request->arena, method);
    request->path = http_target_path(request->arena, request->target, &request->query);
    const char *header = http_header(request, "Content-Length");
    unsigned long long length = header ? strtoull(header, NULL, 10) : 0;
    request->refusal = refusal_of(request, length);
    if (request->refusal == MHD_HTTP_CONTENT_TOO_LARGE ||
        (request->refusal && http_header(request, "Expect"))) {
        request->state = REQUEST_HANDLING;
        request->whole_at = uv_hrtime();
        http_refuse(request, request->refusal, request->server->routes);
        return answer_early(request);
    }
    if (!request->refusal && request->route->upload)
        return begin_upload(request);
    if (length && !request->refusal) {
        /* Memory that is never written is never resident, so a length that is a lie costs nothing. */
        request->body.capacity = (size_t)length + 1;
        request->body.data = arena_grow(request->arena, NULL, 0, request->body.capacity);
    }
    return MHD_YES;
}

static enum MHD_Result take_piece(struct http_request *request, const char *data, size_t *length) {
    const struct http_upload *upload = request->route->upload;
    request->received += *length;
    if (request->received > (uint64_t)upload->bytes_max + DISCARD_BYTES_MAX)
        return MHD_NO;
    upload->piece(request->upload, data, *length);
    *length = 0;
    return MHD_YES;
}

/* An answer can be queued only after the last byte, so a chunked body that has become too long is read on. */
static enum MHD_Result take_body(struct http_request *request, const char *data, size_t *length) {
    if (!request->refusal && *length > (size_t)http_settings.body_bytes_max - request->body.length)
        request->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
    if (!request->refusal)
        buffer_append(&request->body, data, *length);
    else
        request->discarded += *length;
    *length = 0;
    return request->discarded <= DISCARD_BYTES_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result handle(struct http_request *request) {
    struct http_server *server = request->server;
    if (server->closing)
        return MHD_NO;
    set_busy(request);
    request->whole = true;
    request->state = REQUEST_HANDLING;
    if (!request->pending)
        count_pending(request);
    if (request->refusal)
        http_refuse(request, request->refusal, request->server->routes);
    else if (request->route->upload)
        request->route->upload->end(request->upload);
    else
        request->route->handle(request, server->context);
    if (request->state == REQUEST_ANSWERED)
        return queue_response(request);
    request->state = REQUEST_WAITING;
    set_idle(request);
    return MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *length, void **state) {
    struct http_request *request = *state;
    (void)context;
    (void)mhd;
    (void)url;
    (void)version;
    if (!request->method)
        return begin(request, method);
    if (*length && request->state == REQUEST_RECEIVING)
        return !request->refusal && request->route->upload ? take_piece(request, data, length)
                                                           : take_body(request, data, length);
    switch (request->state) {
    case REQUEST_RECEIVING:
        return handle(request);
    case REQUEST_ANSWERED:
        return queue_response(request);
    case REQUEST_DROPPED:
        return MHD_NO;
    default:
        return MHD_YES;
    }
}

static void on_completed(
    void *context, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode code) {
    struct http_request *request = *state;
    (void)context;
    (void)mhd;
    (void)code;
    if (!request)
        return;
    *state = NULL;
    assert(request->state != REQUEST_HANDLING);
    if (request->idle)
        LIST_REMOVE(request, link);
    if (request->left)
        request->left(request->left_context);
    if (request->response)
        MHD_destroy_response(request->response);
    free(request->parts.bytes);
    request->server->pending -= request->pending;
    request->connection->request = NULL;
    request->connection->watched.busy = false;
    struct arena *arena = request->arena;
    arena_destroy(&arena);
}

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

/* Waiting. */

/* Not done inside the handler: there libmicrohttpd would still take the connection for one to be read, and
 * when it resumes, it would read the end of what a half-closed client sends, and close without the answer. */
static void suspend_waiting(struct http_server *server) {
    struct http_request *request;
    while ((request = LIST_FIRST(&server->unsuspended))) {
        LIST_REMOVE(request, link);
        LIST_INSERT_HEAD(&server->suspended, request, link);
        request->suspended = true;
        MHD_suspend_connection(request->connection->mhd);
    }
}

static void drop(struct http_request *request) {
    void (*left)(void *context) = request->left;
    set_busy(request);
    request->state = REQUEST_DROPPED;
    request->left = NULL;
    if (left)
        left(request->left_context);
}

static void on_gone(void *context, struct http_watched *watched) {
    struct http_request *request = ((struct connection *)watched)->request;
    (void)context;
    /* Without a callback somebody may still answer it: that shows the end to libmicrohttpd. */
    if (request && request->state == REQUEST_WAITING && request->left)
        drop(request);
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
        suspend_waiting(server);
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
        on_access, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((http_settings.idle_timeout_ms + 999) / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_ARRAY, tls ? certificate : certificate + 2, MHD_OPTION_END);
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
        drop(request);
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

/* What handlers ask and answer. */

const char *http_header(struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

static void add_response_header(struct http_request *request, const char *name, const char *value) {
    /* Refused are values with line ends: better an answer without the header than one that can be split. */
    if (MHD_add_response_header(request->response, name, value) != MHD_YES)
        log_error("http_header_refused", log_string("name", name));
}

/* Takes request->response for the answer. */
static void answer(struct http_request *request, int status, const char *content_type) {
    struct http_server *server = request->server;
    assert(request->state == REQUEST_HANDLING || request->state == REQUEST_WAITING);
    if (!request->response)
        abort();
    request->status = status;
    add_response_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (const struct header_line *line = request->headers; line; line = line->next)
        add_response_header(request, line->name, line->value);
    if (server->stopped)
        add_response_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
    if (server->answered)
        server->answered(server->answered_context, http_method_label(request),
            request->route ? request->route->path : "", status,
            (double)(uv_hrtime() - request->whole_at) / 1e9);
    set_busy(request);
    request->state = REQUEST_ANSWERED;
}

void http_respond(
    struct http_request *request, int status, const char *content_type, const char *body, size_t length) {
    /* The request's arena outlives its answer. */
    request->response = MHD_create_response_from_buffer(
        length, arena_copy(request->arena, body, length), MHD_RESPMEM_PERSISTENT);
    request->left = NULL;
    answer(request, status, content_type);
}

void http_drop(struct http_request *request) {
    request->left = NULL;
    drop(request);
}

static ssize_t read_parts(void *context, uint64_t position, char *out, size_t room) {
    struct http_request *request = context;
    (void)position;
    if (request->state == REQUEST_DROPPED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t taken = http_parts_take(request, out, room);
    if (taken)
        return (ssize_t)taken;
    if (request->parts.ended)
        return request->parts.broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    set_idle(request);
    return 0;
}

void http_respond_parts(struct http_request *request, int status, const char *content_type,
    void (*more)(void *context), void *context) {
    request->parts = (struct answer_parts){.more = more, .context = context};
    request->response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PART_BYTES, read_parts, request, NULL);
    answer(request, status, content_type);
}

void http_parts_ready(struct http_request *request) {
    set_busy(request);
}

void http_pause(struct http_request *request) {
    if (!request->whole && !request->idle)
        set_idle(request);
}

void http_resume(struct http_request *request) {
    if (!request->whole)
        set_busy(request);
}

const char *http_title(int status) {
    return MHD_get_reason_phrase_for((unsigned)status);
}
