/* The SERVER span of a request, by OpenTelemetry's HTTP conventions. */
#include "gateway/request_span.h"

#include <stdio.h>

#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/span.h"
#include "shared/span_names.h"

enum { OWN = 5, ATTRIBUTES_MAX = 16 };

struct request_span {
    const struct trace *trace;
    const char *method, *route, *path, *name;
    uint64_t began; /* uv_hrtime */
};

struct request_span *request_span_begin(
    struct arena *arena, struct http_request *http, const struct trace *trace) {
    if (!span_wanted(trace))
        return NULL;
    struct request_span *span = arena_alloc(arena, sizeof *span);
    *span = (struct request_span){.trace = trace,
        .method = arena_string(arena, http_method(http)),
        .route = http_route(http),
        .path = arena_string(arena, http_path(http)),
        .began = uv_hrtime()};
    span->name = arena_format(arena, "%s %s", span->method, span->route);
    return span;
}

void request_span_end(const struct request_span *span, int status, const struct span_attribute *attributes) {
    if (!span)
        return;
    char code[12];
    struct span_attribute all[ATTRIBUTES_MAX] = {span_string(SPAN_HTTP_METHOD, span->method),
        span_string(SPAN_HTTP_ROUTE, span->route), span_string(SPAN_URL_PATH, span->path),
        span_string(SPAN_URL_SCHEME, "http"), span_count(SPAN_HTTP_STATUS, status)};
    for (int i = 0; attributes && attributes[i].name && OWN + i < ATTRIBUTES_MAX - 1; i++)
        all[OWN + i] = attributes[i];
    snprintf(code, sizeof code, "%d", status);
    span_record(&(struct span){.trace = span->trace,
        .kind = SPAN_SERVER,
        .name = span->name,
        .began_ns = span_unix_ns(span->began),
        .ended_ns = span_unix_ns(0),
        .error_type = status == 0     ? "client_left"
                      : status >= 500 ? code
                                      : NULL,
        .attributes = all});
}
