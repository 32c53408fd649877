/* libmicrohttpd on our own loop: its epoll fd is polled by libuv, and MHD_run is called once for all that a turn of
 * the loop has answered. */
#include "shared/http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_route.h"
#include "shared/json.h"
#include "shared/log.h"

enum {
    BACKLOG = 4096,
    CONNECTION_BYTES = 32768, /* headers of one request, and libmicrohttpd's own buffers */
    FILES_KEPT = 64,          /* open files that are not connections */
    WATCH_MS = 100,           /* a request that waits longer has its socket watched */
    DISCARD_BYTES_MAX = 64 << 20, /* of a body that is too long: read on, so that its sender sees the answer */
};

static struct {
    const char *address;
    int64_t port, body_bytes_max, connections_max, idle_timeout_ms;
} settings;

struct setting http_server_settings[] = {
    {.name = "LISTEN_ADDRESS", .type = SETTING_STRING, .value = &settings.address, .otherwise = "127.0.0.1", .min = 1,
        .help = "Address to serve HTTP on; 0.0.0.0 or :: for all"},
    {.name = "LISTEN_PORT", .type = SETTING_INTEGER, .value = &settings.port, .otherwise = "0", .min = 0, .max = 65535,
        .help = "Port to serve HTTP on; 0 takes a free one and logs it"},
    {.name = "HTTP_BODY_BYTES_MAX", .type = SETTING_INTEGER, .value = &settings.body_bytes_max,
        .otherwise = "2097152", .min = 1024, .max = 268435456, .help = "Longest body of a request, in bytes"},
    {.name = "HTTP_CONNECTIONS_MAX", .type = SETTING_INTEGER, .value = &settings.connections_max,
        .otherwise = "10000", .min = 1, .max = 1000000, .help = "Most connections at once"},
    {.name = "HTTP_IDLE_TIMEOUT_MS", .type = SETTING_INTEGER, .value = &settings.idle_timeout_ms,
        .otherwise = "120000", .min = 1000, .max = 3600000,
        .help = "How long a connection may be idle, in milliseconds"},
    {0},
};

struct http_header_line {
    struct http_header_line *next;
    const char *name, *value;
};

struct http_request {
    struct http_request *previous, *next; /* all of the server's */
    struct http_server *server;
    struct MHD_Connection *connection;
    struct arena *arena;
    const char *method, *path;
    const struct http_route *route; /* NULL: there is none, refusal says why */
    int refusal;                    /* status to refuse with once the body is read; 0: none */
    struct buffer body;
    size_t discarded;
    struct http_header_line *headers;
    struct MHD_Response *response;
    int status;
    bool handled;   /* the route's handler was called */
    bool suspended; /* waits for http_respond */
    uint64_t suspended_at; /* loop time in ms */
    bool dropped;   /* its connection is to be closed without an answer */
    uv_poll_t *watch; /* of a suspended request's socket */
    void (*left)(void *context);
    void *left_context;
    uint64_t started;
};

struct http_server {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    const struct http_route *routes;
    void *context;
    uv_poll_t poll;
    uv_timer_t timer, watch_timer;
    uv_prepare_t prepare;
    uv_check_t check;
    struct http_request *requests;
    size_t pending;
    bool run_due; /* something was resumed: MHD_run in this turn */
    bool running; /* inside MHD_run */
    void (*answered)(void *context, const char *method, const char *route, int status, double seconds);
    void *answered_context;
};

void http_server_default_port(const char *port) {
    http_server_settings[1].otherwise = port;
}

int64_t http_raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    return (int64_t)limit.rlim_cur;
}

/* A request's life: create, body, handle, answer, destroy. */

static struct http_request *request_create(struct http_server *server, struct MHD_Connection *connection,
    const char *method, const char *path) {
    struct arena *arena = arena_create(0);
    struct http_request *request = arena_alloc(arena, sizeof *request);
    request->server = server;
    request->connection = connection;
    request->arena = arena;
    request->method = arena_string(arena, method);
    request->path = arena_string(arena, path);
    request->body = buffer_in(arena);
    request->started = uv_hrtime();
    request->next = server->requests;
    if (server->requests)
        server->requests->previous = request;
    server->requests = request;
    return request;
}

static void request_destroy(struct http_request *request) {
    if (request->previous)
        request->previous->next = request->next;
    else
        request->server->requests = request->next;
    if (request->next)
        request->next->previous = request->previous;
    struct arena *arena = request->arena;
    arena_destroy(&arena);
}

static bool is_json(const char *content_type) {
    static const char JSON[] = "application/json";
    if (!content_type || strncasecmp(content_type, JSON, sizeof JSON - 1) != 0)
        return false;
    const char *rest = content_type + sizeof JSON - 1;
    rest += strspn(rest, " \t");
    return !*rest || *rest == ';';
}

/* What is wrong with a request, as far as its head tells; 0: nothing. */
static int refusal_of(struct http_request *request) {
    bool known;
    request->route = http_route_find(request->server->routes, request->method, request->path, &known);
    if (!request->route)
        return known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
    const char *length = http_header(request, "Content-Length");
    if (length && (strlen(length) > 18 || strtoll(length, NULL, 10) > settings.body_bytes_max))
        return MHD_HTTP_CONTENT_TOO_LARGE;
    if (strcmp(request->method, "POST") == 0 && !is_json(http_header(request, "Content-Type")))
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    return 0;
}

static void refuse(struct http_request *request) {
    switch (request->refusal) {
    case MHD_HTTP_NOT_FOUND:
        http_problem(request, 404, "There is nothing at this path. GET /health and GET /metrics are served here.", NULL,
            NULL);
        return;
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        http_add_header(request, "Allow", http_route_allow(request->arena, request->server->routes, request->path));
        http_problem(request, 405, "This path is not served with that method: see Allow.", NULL, NULL);
        return;
    case MHD_HTTP_UNSUPPORTED_MEDIA_TYPE:
        http_problem(request, 415, "Send the body with Content-Type: application/json.", NULL, NULL);
        return;
    default:
        http_problem(request, 413,
            arena_format(request->arena, "The body is longer than %lld bytes.", (long long)settings.body_bytes_max),
            NULL, NULL);
    }
}

static enum MHD_Result queue_response(struct http_request *request) {
    enum MHD_Result result = MHD_queue_response(request->connection, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

/* A body that will be refused for its length is answered at once where its sender waits for 100 Continue, or where
 * reading on would never end. */
static bool refuse_early(const struct http_request *request) {
    if (request->refusal != MHD_HTTP_CONTENT_TOO_LARGE)
        return false;
    const char *length = http_header((struct http_request *)request, "Content-Length");
    return http_header((struct http_request *)request, "Expect") || strlen(length) > 18 ||
           strtoll(length, NULL, 10) > DISCARD_BYTES_MAX;
}

static bool take_body(struct http_request *request, const char *data, size_t length) {
    if (!request->refusal && request->body.length + length > (size_t)settings.body_bytes_max)
        request->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
    if (!request->refusal) {
        buffer_append(&request->body, data, length);
        return true;
    }
    request->discarded += length;
    return request->discarded <= DISCARD_BYTES_MAX;
}

static void on_watched(uv_poll_t *watch, int status, int events);

/* Nobody watches a suspended connection: we poll its socket for the client's leaving. A client that shuts down its
 * sending side cannot be told from one that closed; like most servers we take both for leaving. */
static void watch_socket(struct http_request *request) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return;
    request->watch = malloc(sizeof *request->watch);
    if (!request->watch)
        abort();
    if (uv_poll_init(request->server->loop, request->watch, info->connect_fd) != 0) {
        free(request->watch);
        request->watch = NULL;
        return;
    }
    request->watch->data = request;
    uv_poll_start(request->watch, UV_DISCONNECT, on_watched);
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static void unwatch(struct http_request *request) {
    if (!request->watch)
        return;
    uv_poll_stop(request->watch);
    uv_close((uv_handle_t *)request->watch, free_handle);
    request->watch = NULL;
}

/* Watching costs a few system calls: most requests are answered before it would tell anything. */
static void on_watch_timer(uv_timer_t *timer) {
    struct http_server *server = timer->data;
    for (struct http_request *request = server->requests; request; request = request->next)
        if (request->suspended && !request->watch && uv_now(server->loop) - request->suspended_at >= WATCH_MS)
            watch_socket(request);
}

static void resume(struct http_request *request) {
    unwatch(request);
    request->suspended = false;
    request->server->run_due = true;
    MHD_resume_connection(request->connection);
}

static void drop(struct http_request *request) {
    void (*left)(void *context) = request->left;
    request->left = NULL;
    request->dropped = true;
    request->server->pending--;
    resume(request);
    if (left)
        left(request->left_context);
}

static void on_watched(uv_poll_t *watch, int status, int events) {
    (void)status;
    (void)events;
    drop(watch->data);
}

static enum MHD_Result handle(struct http_request *request) {
    request->handled = true;
    request->server->pending++;
    if (request->refusal)
        refuse(request);
    else
        request->route->handle(request, request->server->context);
    if (request->response)
        return queue_response(request);
    request->suspended = true;
    request->suspended_at = uv_now(request->server->loop);
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *length, void **state) {
    struct http_request *request = *state;
    (void)version;
    if (!request) {
        *state = request = request_create(context, connection, method, url);
        request->refusal = refusal_of(request);
        if (!refuse_early(request))
            return MHD_YES;
        request->handled = true;
        request->server->pending++;
        refuse(request);
        return queue_response(request);
    }
    if (*length) {
        bool goes_on = take_body(request, data, *length);
        *length = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    if (!request->handled)
        return handle(request);
    if (request->dropped)
        return MHD_NO;
    return request->response ? queue_response(request) : MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code) {
    struct http_request *request = *state;
    (void)context;
    (void)connection;
    (void)code;
    *state = NULL;
    if (!request)
        return;
    if (request->response)
        MHD_destroy_response(request->response);
    request_destroy(request);
}

/* The URL is decoded by ourselves, piece by piece: a decoded "/" or NUL must not change what a path is. */
static size_t keep_escaped(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    return strlen(text);
}

/* The loop. */

static void on_timer(uv_timer_t *timer);

static void run(struct http_server *server) {
    MHD_UNSIGNED_LONG_LONG timeout;
    server->run_due = false;
    server->running = true;
    MHD_run(server->daemon);
    server->running = false;
    if (MHD_get_timeout(server->daemon, &timeout) == MHD_YES)
        uv_timer_start(&server->timer, on_timer, timeout, 0);
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

/* Answers are resumed in any callback of a turn: after timers (prepare) and after events (check) one MHD_run sends
 * them all. */
static void on_prepare(uv_prepare_t *prepare) {
    struct http_server *server = prepare->data;
    if (server->run_due)
        run(server);
}

static void on_check(uv_check_t *check) {
    struct http_server *server = check->data;
    if (server->run_due)
        run(server);
}

static int listen_on(const char *address, int64_t port) {
    char service[16];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
                        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE},
                    *found = NULL;
    snprintf(service, sizeof service, "%lld", (long long)port);
    int error = getaddrinfo(address, service, &hints, &found), on = 1;
    if (error) {
        log_error("listen_failed", log_string("address", address), log_string("reason", gai_strerror(error)));
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        log_error("listen_failed", log_string("address", address), log_integer("port", port),
            log_string("reason", strerror(errno)));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void ignore_log(void *context, const char *format, va_list arguments) {
    (void)context;
    (void)format;
    (void)arguments;
}

static bool start_daemon(struct http_server *server, int fd) {
    int64_t files = http_raise_open_files();
    int64_t connections = settings.connections_max < files - FILES_KEPT ? settings.connections_max : files - FILES_KEPT;
    /* MHD closes suspended connections by no timeout of its own: theirs is the handler's. */
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, server,
        MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(settings.idle_timeout_ms / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL, MHD_OPTION_END);
    if (!server->daemon) {
        log_error("listen_failed", log_string("reason", "libmicrohttpd did not start"));
        return false;
    }
    log_info("listening", log_string("address", settings.address), log_integer("port", http_server_port(server)),
        log_integer("open_files", files), log_integer("connections_max", connections));
    return true;
}

static void start_handles(struct http_server *server) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(server->loop, &server->poll, info->epoll_fd);
    uv_timer_init(server->loop, &server->timer);
    uv_prepare_init(server->loop, &server->prepare);
    uv_check_init(server->loop, &server->check);
    uv_timer_init(server->loop, &server->watch_timer);
    uv_timer_start(&server->watch_timer, on_watch_timer, WATCH_MS, WATCH_MS);
    server->watch_timer.data = server->poll.data = server->timer.data = server->prepare.data = server->check.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    uv_prepare_start(&server->prepare, on_prepare);
    uv_check_start(&server->check, on_check);
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_route *routes, void *context) {
    int fd = listen_on(settings.address, settings.port);
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    server->loop = loop;
    server->routes = routes;
    server->context = context;
    if (fd < 0 || !start_daemon(server, fd)) {
        free(server);
        return NULL;
    }
    start_handles(server);
    return server;
}

int http_server_port(const struct http_server *server) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    struct sockaddr_in6 address;
    socklen_t length = sizeof address;
    if (!info || getsockname(info->listen_fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    /* The port stands at the same place for both families. */
    return ntohs(address.sin6_port);
}

void http_server_stop_accepting(struct http_server *server) {
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

size_t http_server_pending(const struct http_server *server) {
    return server->pending;
}

static void on_closed(uv_handle_t *handle) {
    struct http_server *server = handle->data;
    free(server);
}

void http_server_close(struct http_server **server_pointer) {
    struct http_server *server = *server_pointer;
    *server_pointer = NULL;
    if (!server)
        return;
    for (struct http_request *request = server->requests, *next; request; request = next) {
        next = request->next;
        if (request->suspended)
            drop(request);
    }
    MHD_run(server->daemon);
    uv_poll_stop(&server->poll);
    MHD_stop_daemon(server->daemon);
    uv_close((uv_handle_t *)&server->poll, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->watch_timer, NULL);
    uv_close((uv_handle_t *)&server->prepare, NULL);
    uv_close((uv_handle_t *)&server->check, on_closed);
}

void http_server_on_answer(struct http_server *server,
    void (*answered)(void *context, const char *method, const char *route, int status, double seconds), void *context) {
    server->answered = answered;
    server->answered_context = context;
}

/* What handlers ask. */

struct arena *http_arena(struct http_request *request) {
    return request->arena;
}

const char *http_body(struct http_request *request, size_t *length) {
    *length = request->body.length;
    return buffer_text(&request->body);
}

const char *http_method(struct http_request *request) {
    return request->method;
}

const char *http_path(struct http_request *request) {
    return request->path;
}

const char *http_parameter(struct http_request *request, const char *name) {
    return http_route_parameter(request->arena, request->route->path, request->path, name);
}

const char *http_query(struct http_request *request, const char *name) {
    const char *value = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    return value ? http_url_decode(request->arena, value, strlen(value), true) : NULL;
}

const char *http_header(struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void http_on_leave(struct http_request *request, void (*left)(void *context), void *context) {
    request->left = left;
    request->left_context = context;
}

void http_add_header(struct http_request *request, const char *name, const char *value) {
    struct http_header_line *line = arena_alloc(request->arena, sizeof *line);
    line->name = arena_string(request->arena, name);
    line->value = arena_string(request->arena, value);
    line->next = request->headers;
    request->headers = line;
}

void http_respond(struct http_request *request, int status, const char *content_type, const char *body, size_t length) {
    struct http_server *server = request->server;
    request->status = status;
    request->left = NULL;
    request->response = MHD_create_response_from_buffer(length, (void *)body, MHD_RESPMEM_MUST_COPY);
    if (!request->response)
        abort();
    MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (const struct http_header_line *line = request->headers; line; line = line->next)
        MHD_add_response_header(request->response, line->name, line->value);
    server->pending--;
    if (server->answered)
        server->answered(server->answered_context, request->method, request->route ? request->route->path : "", status,
            (double)(uv_hrtime() - request->started) / 1e9);
    if (request->suspended)
        resume(request);
}

void http_problem(struct http_request *request, int status, const char *detail, const char *request_id,
    const struct json_errors *errors) {
    struct buffer text = buffer_in(request->arena);
    const char *title = MHD_get_reason_phrase_for((unsigned)status);
    buffer_string(&text, "{\"type\":\"about:blank\",\"title\":");
    json_write_string(&text, title);
    buffer_format(&text, ",\"status\":%d,\"detail\":", status);
    json_write_string(&text, detail);
    buffer_string(&text, ",\"instance\":");
    json_write_string(&text, request->path);
    if (request_id) {
        buffer_string(&text, ",\"request_id\":");
        json_write_string(&text, request_id);
    }
    for (size_t i = 0; errors && i < errors->count; i++) {
        buffer_string(&text, i ? ",{\"pointer\":" : ",\"errors\":[{\"pointer\":");
        json_write_string(&text, errors->items[i].pointer);
        buffer_string(&text, ",\"detail\":");
        json_write_string(&text, errors->items[i].detail);
        buffer_byte(&text, '}');
    }
    buffer_string(&text, errors && errors->count ? "]}" : "}");
    http_respond(request, status, "application/problem+json", text.data, text.length);
}
