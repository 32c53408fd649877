/* W3C trace context: traceparent taken from the caller or made, and carried through Kafka headers. */
#ifndef SHARED_TRACE_H
#define SHARED_TRACE_H

#include <stdbool.h>

enum { TRACEPARENT_BYTES = 56, TRACE_ID_BYTES = 33 };

struct trace {
    char parent[TRACEPARENT_BYTES]; /* "00-<trace id>-<span id>-<flags>" of the hop that is going on here */
    char id[TRACE_ID_BYTES];        /* the trace id in it */
};

/* Continues traceparent with a new span id, or begins a trace when it is NULL or not valid (level 1,
 * section 3.2). */
void trace_continue(struct trace *trace, const char *traceparent);

#endif
