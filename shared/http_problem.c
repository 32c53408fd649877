/* Errors as problem+json (RFC 9457). */
#include <time.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_private.h"
#include "shared/http_route.h"
#include "shared/http_server.h"
#include "shared/json.h"

void http_problem(struct http_request *request, int status, const char *detail, const char *request_id,
    const struct json_errors *errors) {
    struct buffer text = buffer_in(http_arena(request));
    buffer_string(&text, "{\"type\":\"about:blank\",\"title\":");
    json_write_string(&text, http_title(status));
    buffer_format(&text, ",\"status\":%d,\"detail\":", status);
    json_write_string(&text, detail);
    buffer_string(&text, ",\"instance\":");
    json_write_string(&text, http_path(request));
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

void http_problem_until_midnight(struct http_request *request, const char *detail, const char *request_id) {
    enum { DAY_S = 86400 };
    http_add_header(request, "Retry-After",
        arena_format(http_arena(request), "%lld", (long long)(DAY_S - time(NULL) % DAY_S)));
    http_problem(request, 429, detail, request_id, NULL);
}

void http_refuse(struct http_request *request, int status, const struct http_route *routes) {
    struct arena *arena = http_arena(request);
    switch (status) {
    case 404:
        http_problem(request, 404, "There is nothing at this path.", NULL, NULL);
        return;
    case 405:
        http_add_header(request, "Allow", http_route_allow(arena, routes, http_path(request)));
        http_problem(request, 405, "This path is not served with that method: see Allow.", NULL, NULL);
        return;
    case 415:
        http_problem(request, 415,
            arena_format(arena, "Send the body with Content-Type: %s.", http_body_type(request)), NULL, NULL);
        return;
    default:
        http_problem(request, 413,
            arena_format(arena, "Send a body of at most %lld bytes.", (long long)http_body_limit(request)),
            NULL, NULL);
    }
}
