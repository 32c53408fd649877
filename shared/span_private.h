/* What the files of spans share: the settings' values. */
#ifndef SHARED_SPAN_PRIVATE_H
#define SHARED_SPAN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buffer;

struct span_configuration {
    const char *endpoint, *traces_endpoint, *protocol;
    const char *headers; /* secret */
    const char *service_name, *resource_attributes;
    const char *sampler, *capture, *disabled;
    double sampler_argument;
    int64_t timeout_ms, delay_ms, queue_max, batch_max;
};
extern struct span_configuration span_configuration;

/* Where spans go, in arena; NULL: nowhere. */
const char *span_url(struct arena *arena);

/* The headers of a request for the collector, those of the settings among them, in arena; NULL-terminated. */
const char *const *span_headers(struct arena *arena);

/* Tells shared/trace.h how traces are sampled. */
void span_apply_sampler(void);

/* What stands before the spans in the body of a request, and behind them. */
void span_write_head(struct buffer *json, const char *service, const char *instance);
extern const char SPAN_TAIL[];

/* One attribute as OTLP's JSON has it; false when it is left out. */
struct span_attribute;
bool span_write_attribute(struct buffer *json, const struct span_attribute *attribute, bool first);

#endif
