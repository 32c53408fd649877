/* A request's way in: its line, its head, its body, the handler; and its end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_daemon.h"
#include "shared/http_route.h"
#include "shared/http_server.h"

enum {
    REQUEST_BYTES = 960,          /* of most requests: what malloc gives without a search */
    DISCARD_BYTES_MAX = 64 << 20, /* of a chunked body that is too long, before its sender is cut off */
};

const char *http_header(struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

static struct connection *connection_of(struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

void *http_on_target(void *context, const char *target, struct MHD_Connection *mhd) {
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

/* Answers before the body is read, which ends the connection. */
static enum MHD_Result answer_early(struct http_request *request) {
    request->connection->lingers = true;
    return http_queue_response(request);
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
    http_set_busy(request);
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
        return http_queue_response(request);
    request->state = REQUEST_WAITING;
    http_set_idle(request);
    return MHD_YES;
}

enum MHD_Result http_on_access(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *length, void **state) {
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
        return http_queue_response(request);
    case REQUEST_DROPPED:
        return MHD_NO;
    default:
        return MHD_YES;
    }
}

void http_on_completed(
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
