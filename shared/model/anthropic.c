/* Anthropic's messages: https://docs.anthropic.com/en/api/messages */
#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"
#include "shared/model/protocol.h"

static void write_path(struct buffer *path, const struct model_target *target, bool stream) {
    (void)target;
    (void)stream;
    buffer_string(path, "/messages");
}

static void write_headers(struct arena *arena, const struct model_target *target, const char **headers) {
    *headers++ = "anthropic-version: 2023-06-01";
    if (*target->api_key)
        *headers = arena_format(arena, "x-api-key: %s", target->api_key);
}

/* A tool that must be used, whose input is the answer: all models and all servers of this API know tools,
 * while output formats came later and to some models only. */
static void write_form(struct buffer *body, const struct model_form *form) {
    buffer_format(body,
        ",\"tools\":[{\"name\":\"%s\",\"description\":\"Takes the answer.\",\"input_schema\":", form->name);
    schema_write(body, form->schema, SCHEMA_PLAIN);
    buffer_format(body, "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"%s\"}", form->name);
}

static void write_body(struct buffer *body, const struct model_target *target,
    const struct model_request *request, bool stream, int form_way) {
    (void)form_way;
    buffer_string(body, "{\"model\":");
    json_write_string(body, target->model);
    buffer_string(body, ",\"max_tokens\":");
    json_write_integer(body, model_max_tokens(request));
    if (*request->system) {
        buffer_string(body, ",\"system\":");
        json_write_string(body, request->system);
    }
    buffer_string(body, ",\"messages\":[{\"role\":\"user\",\"content\":");
    json_write_string(body, request->user);
    buffer_string(body, "}],\"temperature\":");
    /* 1 is its greatest, where others go up to 2. */
    json_write_double(body, request->temperature < 1 ? request->temperature : 1);
    if (request->form)
        write_form(body, request->form);
    buffer_string(body, stream ? ",\"stream\":true}" : "}");
}

/* input_tokens are those that were neither read from a cache nor written to one. A stream tells its usage at
 * its begin, and again, in whole, at its end. */
static void read_usage(struct model_answer *answer, const cJSON *usage) {
    int64_t input = answer->prompt_tokens - answer->cached_tokens - answer->cache_write_tokens;
    reading_count(usage, "input_tokens", &input);
    reading_count(usage, "cache_read_input_tokens", &answer->cached_tokens);
    reading_count(usage, "cache_creation_input_tokens", &answer->cache_write_tokens);
    reading_count(usage, "output_tokens", &answer->completion_tokens);
    answer->prompt_tokens = input + answer->cached_tokens + answer->cache_write_tokens;
}

static void read_stop_reason(struct model_reading *reading, const char *reason) {
    if (!reason)
        return;
    if (strcmp(reason, "refusal") == 0)
        reading->blocked = "the model refused";
    if (strcmp(reason, "max_tokens") == 0 || strcmp(reason, "model_context_window_exceeded") == 0)
        reading->answer.cut = true;
}

/* A block of content, or the begin of one: a tool's input is the answer, and what was said before it is not.
 */
static void read_block(struct model_reading *reading, const cJSON *block, bool whole) {
    const char *type = reading_string(block, "type"), *text = reading_string(block, "text");
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(block, "input");
    if (type && strcmp(type, "tool_use") == 0 && !reading->in_tool) {
        reading->in_tool = true;
        reading->text = buffer_in(reading->arena);
        if (whole && input)
            buffer_string(&reading->text, json_print(reading->arena, input));
    } else if (text && !reading->in_tool) {
        buffer_string(&reading->text, text);
    }
}

static void read_whole(struct model_reading *reading, const cJSON *root) {
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(root, "content");
    read_usage(&reading->answer, cJSON_GetObjectItemCaseSensitive(root, "usage"));
    read_stop_reason(reading, reading_string(root, "stop_reason"));
    reading->readable = cJSON_IsArray(content);
    for (const cJSON *block = cJSON_IsArray(content) ? content->child : NULL; block; block = block->next)
        read_block(reading, block, true);
}

static void read_delta(struct model_reading *reading, const cJSON *delta) {
    const char *text = reading_string(delta, reading->in_tool ? "partial_json" : "text");
    if (text)
        buffer_string(&reading->text, text);
}

/* https://docs.anthropic.com/en/docs/build-with-claude/streaming */
static void read_event(struct model_reading *reading, const cJSON *root) {
    const char *type = reading_string(root, "type");
    const cJSON *delta = cJSON_GetObjectItemCaseSensitive(root, "delta");
    if (!type)
        return;
    if (strcmp(type, "message_start") == 0) {
        const cJSON *message = cJSON_GetObjectItemCaseSensitive(root, "message");
        reading->readable = true;
        read_usage(&reading->answer, cJSON_GetObjectItemCaseSensitive(message, "usage"));
    } else if (strcmp(type, "content_block_start") == 0) {
        read_block(reading, cJSON_GetObjectItemCaseSensitive(root, "content_block"), false);
    } else if (strcmp(type, "content_block_delta") == 0) {
        read_delta(reading, delta);
    } else if (strcmp(type, "message_delta") == 0) {
        read_usage(&reading->answer, cJSON_GetObjectItemCaseSensitive(root, "usage"));
        read_stop_reason(reading, reading_string(delta, "stop_reason"));
    } else if (strcmp(type, "message_stop") == 0) {
        reading->ended = true;
    }
}

/* https://docs.anthropic.com/en/api/errors */
static int error_status(const cJSON *error) {
    static const struct {
        const char *type;
        int status;
    } TYPES[] = {
        {"invalid_request_error", 400},
        {"authentication_error", 401},
        {"permission_error", 403},
        {"not_found_error", 404},
        {"request_too_large", 413},
        {"rate_limit_error", 429},
        {"api_error", 500},
        {"timeout_error", 504},
        {"overloaded_error", 529},
    };
    const char *type = reading_string(error, "type");
    for (size_t i = 0; type && i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(type, TYPES[i].type) == 0)
            return TYPES[i].status;
    return 0;
}

static const struct model_protocol PROTOCOL = {
    .write_path = write_path,
    .write_headers = write_headers,
    .write_body = write_body,
    .form_ways = 1,
    .read = read_whole,
    .read_event = read_event,
    .error_status = error_status,
    /* https://docs.anthropic.com/en/api/rate-limits */
    .allowance = {"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
};

const struct model_adapter model_anthropic = {
    .provider = "anthropic",
    .protocol = &PROTOCOL,
    .open = exchange_open,
    .call = exchange_call,
    .cancel = exchange_cancel,
    .close = exchange_close,
};
