/* What a handler asks of a request, and what it adds to its answer. */
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_private.h"
#include "shared/http_route.h"
#include "shared/http_server.h"

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

const char *http_route(struct http_request *request) {
    return request->route->path;
}

const char *http_parameter(struct http_request *request, const char *name) {
    return http_route_parameter(request->arena, request->route->path, request->path, name);
}

const char *http_query(struct http_request *request, const char *name) {
    return http_query_value(request->arena, request->query, name);
}

void http_on_leave(struct http_request *request, void (*left)(void *context), void *context) {
    request->left = left;
    request->left_context = context;
}

void http_add_header(struct http_request *request, const char *name, const char *value) {
    struct header_line *line = arena_alloc(request->arena, sizeof *line);
    line->name = arena_string(request->arena, name);
    line->value = arena_string(request->arena, value);
    line->next = request->headers;
    request->headers = line;
}

const char *http_body_type(const struct http_request *request) {
    return request->route->upload ? request->route->upload->content_type : "application/json";
}

int64_t http_body_limit(const struct http_request *request) {
    bool in_pieces = request->route && request->route->upload;
    return in_pieces ? request->route->upload->bytes_max : http_settings.body_bytes_max;
}

const char *http_method_label(const struct http_request *request) {
    static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++)
        if (strcmp(METHODS[i], request->method) == 0)
            return METHODS[i];
    return "other";
}
