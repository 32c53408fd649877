/* One span as OTLP's JSON has it: names in lowerCamelCase, ids in hex, enums as numbers, 64-bit integers as
 * strings (opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding). */
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/span.h"
#include "shared/span_names.h"
#include "shared/span_private.h"

enum { STATUS_ERROR = 2 };

static void write_value(struct buffer *json, const struct span_attribute *attribute) {
    switch (attribute->type) {
    case SPAN_STRING:
        buffer_string(json, "{\"stringValue\":");
        json_write_string(json, attribute->string);
        break;
    case SPAN_STRINGS:
        buffer_string(json, "{\"arrayValue\":{\"values\":[{\"stringValue\":");
        json_write_string(json, attribute->string);
        buffer_string(json, "}]}");
        break;
    case SPAN_INTEGER:
    case SPAN_COUNT:
        buffer_format(json, "{\"intValue\":\"%lld\"", (long long)attribute->integer);
        break;
    case SPAN_DOUBLE:
        buffer_string(json, "{\"doubleValue\":");
        json_write_double(json, attribute->number);
        break;
    }
    buffer_byte(json, '}');
}

static bool left_out(const struct span_attribute *attribute) {
    switch (attribute->type) {
    case SPAN_STRING:
    case SPAN_STRINGS:
        return !attribute->string || !*attribute->string;
    case SPAN_COUNT:
        return attribute->integer == 0;
    case SPAN_INTEGER:
    case SPAN_DOUBLE:
        return false;
    }
    return false;
}

bool span_write_attribute(struct buffer *json, const struct span_attribute *attribute, bool first) {
    if (left_out(attribute))
        return false;
    buffer_string(json, first ? "{\"key\":" : ",{\"key\":");
    json_write_string(json, attribute->name);
    buffer_string(json, ",\"value\":");
    write_value(json, attribute);
    buffer_byte(json, '}');
    return true;
}

static void write_attributes(struct buffer *json, const struct span *span) {
    bool first = true;
    buffer_string(json, ",\"attributes\":[");
    for (const struct span_attribute *attribute = span->attributes; attribute && attribute->name; attribute++)
        first = !span_write_attribute(json, attribute, first) && first;
    span_write_attribute(json, &span_string(SPAN_ERROR_TYPE, span->error_type), first);
    buffer_byte(json, ']');
}

void span_encode(struct buffer *json, const struct span *span) {
    const struct trace *trace = span->trace;
    buffer_format(json, "{\"traceId\":\"%s\",\"spanId\":\"%.16s\"", trace->id, trace_span_id(trace));
    if (*trace->from)
        buffer_format(json, ",\"parentSpanId\":\"%s\"", trace->from);
    buffer_string(json, ",\"name\":");
    json_write_string(json, span->name);
    buffer_format(json, ",\"kind\":%d,\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld\"",
        span->kind, (long long)span->began_ns, (long long)span->ended_ns);
    write_attributes(json, span);
    if (span->error_type)
        buffer_format(json, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    buffer_byte(json, '}');
}
