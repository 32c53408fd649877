/* OpenTelemetry spans: what each hop of a trace did and how long, sent to a collector over OTLP/HTTP as JSON
 * (opentelemetry.io/docs/specs/otlp). Without OTEL_EXPORTER_OTLP_ENDPOINT nothing is made or kept. For the
 * loop thread only. */
#ifndef SHARED_SPAN_H
#define SHARED_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/metrics.h"
#include "shared/settings.h"
#include "shared/trace.h"

struct buffer;

/* The OTEL_* variables (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables). */
extern struct setting span_settings[];
extern struct metric span_metrics[];

/* As OTLP numbers them. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER };

struct span_attribute {
    const char *name; /* of span_names.h; NULL ends the list */
    enum {
        SPAN_STRING,
        SPAN_STRINGS, /* a list of this one string */
        SPAN_INTEGER,
        SPAN_COUNT, /* an integer that is left out when it is 0: not known */
        SPAN_DOUBLE,
    } type;
    union {
        const char *string; /* any bytes; NULL or "" leaves the attribute out */
        int64_t integer;
        double number;
    };
};

#define span_string(attribute_name, value)                                                                   \
    ((struct span_attribute){.name = (attribute_name), .type = SPAN_STRING, .string = (value)})
#define span_strings(attribute_name, value)                                                                  \
    ((struct span_attribute){.name = (attribute_name), .type = SPAN_STRINGS, .string = (value)})
#define span_integer(attribute_name, value)                                                                  \
    ((struct span_attribute){.name = (attribute_name), .type = SPAN_INTEGER, .integer = (value)})
#define span_count(attribute_name, value)                                                                    \
    ((struct span_attribute){.name = (attribute_name), .type = SPAN_COUNT, .integer = (value)})
#define span_double(attribute_name, value)                                                                   \
    ((struct span_attribute){.name = (attribute_name), .type = SPAN_DOUBLE, .number = (value)})
#define span_attributes(...) ((const struct span_attribute[]){__VA_ARGS__, {0}})

/* One hop that has ended; its ids are those of its trace. */
struct span {
    const struct trace *trace;
    enum span_kind kind;
    const char *name;           /* "process requests.high" */
    int64_t began_ns, ended_ns; /* Unix time */
    const char *error_type;     /* becomes error.type and the status ERROR; NULL: no error */
    const struct span_attribute *attributes;
};

/* Begins to take spans, if the settings say where they go; service and instance name the process. Before
 * anything that may make a span. */
void spans_open(uv_loop_t *loop, const char *service, const char *instance);

/* Whether a span of this trace would be sent: it is sampled, and there is a collector. NULL: of any trace. */
bool span_wanted(const struct trace *trace);

/* Whether spans hold prompts and outputs too. */
bool span_content_wanted(void);

/* Takes a copy of the span to be sent, where one is wanted; drops it when too many wait already. */
void span_record(const struct span *span);

/* The Unix time in nanoseconds of a uv_hrtime in the past; now for 0. */
int64_t span_unix_ns(uint64_t hrtime);

/* Appends the span as OTLP's JSON has it. */
void span_encode(struct buffer *json, const struct span *span);

/* How long spans_close may take in a process that ends. */
enum { SPANS_CLOSE_MS = 3000 };

/* Sends what waits, for timeout_ms at most and on a loop of its own, and frees everything; what the collector
 * does not take is dropped. To be called last: the process may be stopped for that long. */
void spans_close(int64_t timeout_ms);

#endif
