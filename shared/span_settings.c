/* The OTEL_* settings: where spans go, what names the process, which traces are taken. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/span.h"
#include "shared/span_names.h"
#include "shared/span_private.h"

enum { HEADERS_MAX = 32 };

struct span_configuration span_configuration;

static const char *const PROTOCOLS[] = {"http/json", NULL};
static const char *const SWITCH[] = {"true", "false", NULL};
static const char *const SAMPLERS[] = {"always_on", "always_off", "traceidratio", "parentbased_always_on",
    "parentbased_always_off", "parentbased_traceidratio", NULL};

struct setting span_settings[] = {
    {.name = "OTEL_EXPORTER_OTLP_ENDPOINT",
        .type = SETTING_STRING,
        .value = &span_configuration.endpoint,
        .otherwise = "",
        .help = "Collector that spans are sent to, as http://collector:4318; /v1/traces is added. Empty: no "
                "spans are made."},
    {.name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        .type = SETTING_STRING,
        .value = &span_configuration.traces_endpoint,
        .otherwise = "",
        .help = "The whole URL for spans, in the place of OTEL_EXPORTER_OTLP_ENDPOINT."},
    {.name = "OTEL_EXPORTER_OTLP_PROTOCOL",
        .type = SETTING_CHOICE,
        .value = &span_configuration.protocol,
        .otherwise = "http/json",
        .choices = PROTOCOLS,
        .help = "How spans are sent."},
    {.name = "OTEL_EXPORTER_OTLP_HEADERS",
        .type = SETTING_SECRET,
        .value = &span_configuration.headers,
        .otherwise = "",
        .help = "Headers of requests to the collector: name=value,name=value with values percent-encoded."},
    {.name = "OTEL_EXPORTER_OTLP_TIMEOUT",
        .type = SETTING_INTEGER,
        .value = &span_configuration.timeout_ms,
        .otherwise = "10000",
        .min = 1,
        .max = 600000,
        .help = "How long one request to the collector may take, in milliseconds."},
    {.name = "OTEL_SERVICE_NAME",
        .type = SETTING_STRING,
        .value = &span_configuration.service_name,
        .otherwise = "",
        .help = "The attribute service.name of all spans; empty: the program's name."},
    {.name = "OTEL_RESOURCE_ATTRIBUTES",
        .type = SETTING_STRING,
        .value = &span_configuration.resource_attributes,
        .otherwise = "",
        .help = "Attributes of the process in all spans: name=value,name=value with values percent-encoded."},
    {.name = "OTEL_TRACES_SAMPLER",
        .type = SETTING_CHOICE,
        .value = &span_configuration.sampler,
        .otherwise = "parentbased_always_on",
        .choices = SAMPLERS,
        .help = "Which traces are taken; parentbased: as the sampled flag of the caller's traceparent says."},
    {.name = "OTEL_TRACES_SAMPLER_ARG",
        .type = SETTING_DOUBLE,
        .value = &span_configuration.sampler_argument,
        .otherwise = "1",
        .min = 0,
        .max = 1,
        .help = "The share of traces that traceidratio takes."},
    {.name = "OTEL_BSP_SCHEDULE_DELAY",
        .type = SETTING_INTEGER,
        .value = &span_configuration.delay_ms,
        .otherwise = "5000",
        .min = 1,
        .max = 600000,
        .help = "How long spans wait for more before they are sent, in milliseconds."},
    {.name = "OTEL_BSP_MAX_QUEUE_SIZE",
        .type = SETTING_INTEGER,
        .value = &span_configuration.queue_max,
        .otherwise = "2048",
        .min = 1,
        .max = 1000000,
        .help = "Spans that may wait for the collector; more are dropped and counted."},
    {.name = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        .type = SETTING_INTEGER,
        .value = &span_configuration.batch_max,
        .otherwise = "512",
        .min = 1,
        .max = 100000,
        .help = "Most spans in one request to the collector."},
    {.name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        .type = SETTING_CHOICE,
        .value = &span_configuration.capture,
        .otherwise = "false",
        .choices = SWITCH,
        .help = "Whether spans of model calls hold the prompts and the outputs."},
    {.name = "OTEL_SDK_DISABLED",
        .type = SETTING_CHOICE,
        .value = &span_configuration.disabled,
        .otherwise = "false",
        .choices = SWITCH,
        .help = "Makes no spans, whatever else is set."},
    {0},
};

static int hex_value(char digit) {
    const char *digits = "0123456789abcdef", *at = digit ? strchr(digits, digit | 32) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The text with its %41 as A, in arena; NULL when an escape is broken or a control character comes out. */
static char *decode(struct arena *arena, const char *text, size_t length) {
    char *decoded = arena_alloc(arena, length + 1), *end = decoded;
    for (size_t i = 0; i < length; i++, end++) {
        *end = text[i];
        if (text[i] == '%') {
            int high = i + 2 < length ? hex_value(text[i + 1]) : -1,
                low = high >= 0 ? hex_value(text[i + 2]) : -1;
            if (low < 0)
                return NULL;
            *end = (char)(high * 16 + low);
            i += 2;
        }
        if ((unsigned char)*end < ' ' || *end == 127)
            return NULL;
    }
    return decoded;
}

static void trim(const char **text, size_t *length) {
    while (*length && strchr(" \t", **text)) {
        ++*text;
        --*length;
    }
    while (*length && strchr(" \t", (*text)[*length - 1]))
        --*length;
}

/* Calls each with the pairs of name=value,name=value; false, after those before it, at one that is none. */
static bool each_pair(struct arena *arena, const char *list,
    void (*each)(void *context, const char *name, const char *value), void *context) {
    while (*list) {
        size_t length = strcspn(list, ","), rest = list[length] != '\0';
        const char *name = list, *equals = memchr(list, '=', length);
        list += length + rest;
        trim(&name, &length);
        if (!length)
            continue;
        if (!equals || equals == name)
            return false;
        const char *value = equals + 1;
        size_t name_length = (size_t)(equals - name), value_length = (size_t)(name + length - value);
        trim(&name, &name_length);
        trim(&value, &value_length);
        const char *decoded_name = decode(arena, name, name_length),
                   *decoded = decode(arena, value, value_length);
        if (!decoded_name || !*decoded_name || !decoded)
            return false;
        each(context, decoded_name, decoded);
    }
    return true;
}

const char *span_url(struct arena *arena) {
    const char *base = span_configuration.endpoint;
    if (strcmp(span_configuration.disabled, "true") == 0)
        return NULL;
    if (*span_configuration.traces_endpoint)
        return span_configuration.traces_endpoint;
    if (!*base)
        return NULL;
    return arena_format(arena, "%s%sv1/traces", base, base[strlen(base) - 1] == '/' ? "" : "/");
}

struct header_list {
    struct arena *arena;
    const char **items;
    int count;
};

static void add_header(void *context, const char *name, const char *value) {
    struct header_list *list = context;
    if (list->count < HEADERS_MAX)
        list->items[list->count++] = arena_format(list->arena, "%s: %s", name, value);
}

/* What is wrong is told without its text, which may be a key. */
const char *const *span_headers(struct arena *arena) {
    struct header_list list = {arena, arena_alloc(arena, sizeof *list.items * (HEADERS_MAX + 1)), 0};
    list.items[list.count++] = "Content-Type: application/json";
    if (!each_pair(arena, span_configuration.headers, add_header, &list))
        log_warn("setting_not_understood", log_string("setting", "OTEL_EXPORTER_OTLP_HEADERS"),
            log_string(
                "reason", "it is no list of name=value; what stands behind the first mistake is left out"));
    return list.items;
}

void span_apply_sampler(void) {
    const char *sampler = span_configuration.sampler, *prefix = "parentbased_";
    bool parent_based = strncmp(sampler, prefix, strlen(prefix)) == 0;
    const char *root = parent_based ? sampler + strlen(prefix) : sampler;
    double share = strcmp(root, "always_off") == 0  ? 0
                   : strcmp(root, "always_on") == 0 ? 1
                                                    : span_configuration.sampler_argument;
    trace_sample(parent_based, share);
}

struct resource {
    struct buffer *json;
    bool named; /* by OTEL_SERVICE_NAME, which goes before a service.name among the attributes */
    bool name_found;
};

static void add_resource(void *context, const char *name, const char *value) {
    struct resource *resource = context;
    bool is_name = strcmp(name, SPAN_SERVICE_NAME) == 0;
    if (is_name && resource->named)
        return;
    resource->name_found = resource->name_found || is_name;
    span_write_attribute(resource->json, &span_string(name, value), false);
}

const char SPAN_TAIL[] = "]}]}]}";

void span_write_head(struct buffer *json, const char *service, const char *instance) {
    struct resource resource = {json, *span_configuration.service_name, false};
    struct arena *arena = arena_create(0);
    buffer_string(json, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    span_write_attribute(json, &span_string(SPAN_SERVICE_VERSION, MORU_VERSION), true);
    span_write_attribute(json, &span_string(SPAN_SERVICE_INSTANCE, instance), false);
    if (!each_pair(arena, span_configuration.resource_attributes, add_resource, &resource))
        log_warn("setting_not_understood", log_string("setting", "OTEL_RESOURCE_ATTRIBUTES"),
            log_string(
                "reason", "it is no list of name=value; what stands behind the first mistake is left out"));
    if (!resource.name_found)
        span_write_attribute(json,
            &span_string(SPAN_SERVICE_NAME, resource.named ? span_configuration.service_name : service),
            false);
    buffer_string(json, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"moru\",\"version\":");
    buffer_format(json, "\"%s\"},\"spans\":[", MORU_VERSION);
    arena_destroy(&arena);
}
