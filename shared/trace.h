/* W3C trace context: traceparent taken from the caller or made, and carried through Kafka headers. */
#ifndef SHARED_TRACE_H
#define SHARED_TRACE_H

#include <stdbool.h>

enum { TRACEPARENT_BYTES = 56, TRACE_ID_BYTES = 33, SPAN_ID_BYTES = 17 };

struct trace {
    char parent[TRACEPARENT_BYTES]; /* "00-<trace id>-<span id>-<flags>" of the hop that is going on here */
    char id[TRACE_ID_BYTES];        /* the trace id in it */
    char from[SPAN_ID_BYTES];       /* the span id of the hop before; "": the trace begins here */
};

/* Continues traceparent with a new span id, or begins a trace when it is NULL or not valid (level 1,
 * section 3.2). */
void trace_continue(struct trace *trace, const char *traceparent);

/* The span id in trace->parent: 16 hex digits, no NUL behind them. */
const char *trace_span_id(const struct trace *trace);

/* Whether its spans are to be recorded: the sampled flag in trace->parent. */
bool trace_sampled(const struct trace *trace);

/* How the sampled flag of traces is decided from now on: by that of the hop before where there is one and
 * parent_based says so, else for this share (0…1) of all trace ids, the same ids in every process. At first
 * by the parent, and all that begin here. */
void trace_sample(bool parent_based, double share);

#endif
