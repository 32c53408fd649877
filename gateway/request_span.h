/* The SERVER span of a request: from its arrival to its answer, the first hop of its trace here. */
#ifndef GATEWAY_REQUEST_SPAN_H
#define GATEWAY_REQUEST_SPAN_H

struct arena;
struct http_request;
struct request_span;
struct span_attribute;
struct trace;

/* Keeps in arena what the span will tell of the request; NULL when nobody wants it. */
struct request_span *request_span_begin(
    struct arena *arena, struct http_request *http, const struct trace *trace);

/* The request was answered with this status, 0: its client has left. span may be NULL. attributes: more of
 * it, or NULL. */
void request_span_end(const struct request_span *span, int status, const struct span_attribute *attributes);

#endif
