/* A CLIENT span for each try of a model call, by OpenTelemetry's GenAI conventions. */
#include "shared/model/spans.h"

#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/model/model.h"
#include "shared/model/provider.h"
#include "shared/span.h"
#include "shared/span_names.h"

/* Where the conventions have a name of their own for a provider. */
static const struct { const char *ours, *theirs; } PROVIDERS[] = {{"gemini", "gcp.gemini"}};

static const char *provider_name(const struct model_target *target) {
    for (size_t i = 0; i < sizeof PROVIDERS / sizeof *PROVIDERS; i++)
        if (strcmp(PROVIDERS[i].ours, target->provider->name) == 0)
            return PROVIDERS[i].theirs;
    return target->provider->name;
}

/* The host of a URL without user and password, and its port, or that of its scheme. */
static const char *server_of(struct arena *arena, const char *url, int64_t *port) {
    const char *scheme = url ? strstr(url, "://") : NULL;
    *port = 0;
    if (!scheme)
        return NULL;
    const char *host = scheme + 3;
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length), *end = host + length;
    host = at ? at + 1 : host;
    const char *bracket = *host == '[' ? memchr(host, ']', (size_t)(end - host)) : NULL;
    const char *colon = memchr(bracket ? bracket : host, ':', (size_t)(end - (bracket ? bracket : host)));
    *port = colon ? strtoll(colon + 1, NULL, 10) : strncmp(url, "https", 5) == 0 ? 443 : 80;
    if (bracket)
        return arena_copy(arena, host + 1, (size_t)(bracket - host - 1));
    return arena_copy(arena, host, (size_t)((colon ? colon : end) - host));
}

/* "_OTHER" is what the conventions have for an error without a class. */
static const char *error_type(const struct model_answer *answer) {
    if (answer->status == MODEL_OK)
        return NULL;
    return answer->error_kind == MODEL_ERROR_NONE ? "_OTHER" : model_error_name(answer->error_kind);
}

static const char *finish_reason(const struct model_answer *answer) {
    if (answer->status == MODEL_OK)
        return answer->cut ? "length" : "stop";
    return answer->error_kind == MODEL_ERROR_REFUSED ? "content_filter" : NULL;
}

/* [{"type":"text","content":"…"}], the conventions' form of a text. */
static void write_parts(struct buffer *json, const char *text) {
    buffer_string(json, "[{\"type\":\"text\",\"content\":");
    json_write_string(json, text);
    buffer_string(json, "}]");
}

static const char *system_json(struct arena *arena, const char *text) {
    struct buffer json = buffer_in(arena);
    if (!text || !*text || !span_content_wanted())
        return NULL;
    write_parts(&json, text);
    return json.data;
}

static const char *message_json(
    struct arena *arena, const char *role, const char *text, const char *finish_reason) {
    struct buffer json = buffer_in(arena);
    if (!text || !span_content_wanted())
        return NULL;
    buffer_format(&json, "[{\"role\":\"%s\",\"parts\":", role);
    write_parts(&json, text);
    if (finish_reason)
        buffer_format(&json, ",\"finish_reason\":\"%s\"", finish_reason);
    buffer_string(&json, "}]");
    return json.data;
}

static void on_try(void *context, const struct model_try *attempt) {
    const struct model_request *request = attempt->request;
    const struct model_answer *answer = attempt->answer;
    const struct model_target *target = attempt->target;
    (void)context;
    if (!span_wanted(request->trace))
        return;
    struct trace trace;
    trace_continue(&trace, request->trace ? request->trace->parent : NULL);
    struct arena *arena = arena_create(0);
    const char *finish = finish_reason(answer);
    bool ok = answer->status == MODEL_OK;
    int64_t port;
    const char *server = server_of(arena, target->base_url, &port);
    span_record(&(struct span){.trace = &trace,
        .kind = SPAN_CLIENT,
        .name = arena_format(arena, "chat %s", target->model),
        .began_ns = attempt->began_ns,
        .ended_ns = attempt->ended_ns,
        .error_type = error_type(answer),
        .attributes = span_attributes(span_string(SPAN_GEN_AI_OPERATION, "chat"),
            span_string(SPAN_GEN_AI_PROVIDER, provider_name(target)),
            span_string(SPAN_GEN_AI_REQUEST_MODEL, target->model),
            span_count(SPAN_GEN_AI_REQUEST_MAX_TOKENS, request->max_tokens),
            span_double(SPAN_GEN_AI_REQUEST_TEMPERATURE, request->temperature),
            span_string(SPAN_GEN_AI_OUTPUT_TYPE, request->form ? "json" : "text"),
            span_string(SPAN_GEN_AI_RESPONSE_MODEL, ok ? answer->model : NULL),
            span_strings(SPAN_GEN_AI_FINISH_REASONS, finish),
            span_count(SPAN_GEN_AI_INPUT_TOKENS, answer->prompt_tokens),
            span_count(SPAN_GEN_AI_OUTPUT_TOKENS, answer->completion_tokens),
            span_count(SPAN_GEN_AI_CACHE_READ_TOKENS, answer->cached_tokens),
            span_count(SPAN_GEN_AI_CACHE_WRITE_TOKENS, answer->cache_write_tokens),
            span_count(SPAN_GEN_AI_REASONING_TOKENS, answer->reasoning_tokens),
            span_string(SPAN_SERVER_ADDRESS, server), span_count(SPAN_SERVER_PORT, port),
            span_string(SPAN_REQUEST_ID, request->request_id),
            span_string(SPAN_TASK_TYPE, request->task_type), span_string(SPAN_PURPOSE, request->purpose),
            span_integer(SPAN_ATTEMPT, attempt->number),
            span_string(SPAN_GEN_AI_SYSTEM, system_json(arena, request->system)),
            span_string(SPAN_GEN_AI_INPUT, message_json(arena, "user", request->user, NULL)),
            span_string(
                SPAN_GEN_AI_OUTPUT, message_json(arena, "assistant", ok ? answer->text : NULL, finish)))});
    arena_destroy(&arena);
}

void model_spans_open(struct model *model) {
    if (span_wanted(NULL))
        model_observe(model, on_try, NULL);
}
