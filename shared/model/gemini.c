/* Google's Gemini: https://ai.google.dev/api/generate-content */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"
#include "shared/model/protocol.h"

static void write_path(struct buffer *path, const struct model_target *target, bool stream) {
    buffer_string(path, strchr(target->model, '/') ? "/" : "/models/");
    for (const char *at = target->model; *at; at++) {
        bool plain = isalnum((unsigned char)*at) || strchr("-._~/", *at);
        buffer_format(path, plain ? "%c" : "%%%02X", (unsigned char)*at);
    }
    buffer_string(path, stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
}

/* In a header, never in the URL, where it would get into logs on its way. */
static void write_headers(struct arena *arena, const struct model_target *target, const char **headers) {
    if (*target->api_key)
        headers[0] = arena_format(arena, "x-goog-api-key: %s", target->api_key);
}

static void write_parts(struct buffer *body, const char *text) {
    buffer_string(body, "\"parts\":[{\"text\":");
    json_write_string(body, text);
    buffer_string(body, "}]}");
}

static void write_body(struct buffer *body, const struct model_target *target,
    const struct model_request *request, bool stream, int form_way) {
    (void)target;
    (void)stream;
    (void)form_way;
    buffer_byte(body, '{');
    if (*request->system) {
        buffer_string(body, "\"systemInstruction\":{");
        write_parts(body, request->system);
        buffer_byte(body, ',');
    }
    buffer_string(body, "\"contents\":[{\"role\":\"user\",");
    write_parts(body, request->user);
    buffer_string(body, "],\"generationConfig\":{\"temperature\":");
    json_write_double(body, request->temperature);
    buffer_string(body, ",\"maxOutputTokens\":");
    json_write_integer(body, model_max_tokens(request));
    if (request->form) {
        buffer_string(body, ",\"responseMimeType\":\"application/json\",\"responseSchema\":");
        schema_write(body, request->form->schema, SCHEMA_GEMINI);
    }
    buffer_string(body, "}}");
}

/* promptTokenCount includes the cached ones, candidatesTokenCount does not include the thoughts. */
static void read_usage(struct model_answer *answer, const cJSON *usage) {
    int64_t candidates = answer->completion_tokens - answer->reasoning_tokens;
    reading_count(usage, "promptTokenCount", &answer->prompt_tokens);
    reading_count(usage, "cachedContentTokenCount", &answer->cached_tokens);
    reading_count(usage, "thoughtsTokenCount", &answer->reasoning_tokens);
    reading_count(usage, "candidatesTokenCount", &candidates);
    answer->completion_tokens = candidates + answer->reasoning_tokens;
}

/* Why an answer ended: https://ai.google.dev/api/generate-content#FinishReason */
static void read_finish(struct model_reading *reading, const char *reason) {
    static const char *const REFUSALS[] = {
        "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"};
    reading->ended = true;
    if (strcmp(reason, "STOP") == 0)
        return;
    if (strcmp(reason, "MAX_TOKENS") == 0) {
        reading->answer.cut = true;
        return;
    }
    for (size_t i = 0; i < sizeof REFUSALS / sizeof *REFUSALS; i++)
        if (strcmp(reason, REFUSALS[i]) == 0) {
            reading->blocked =
                arena_format(reading->arena, "the model's provider ended the answer: %s", REFUSALS[i]);
            return;
        }
    reading->broken =
        arena_format(reading->arena, "the model's provider broke off the answer: %.40s", reason);
}

static void read_parts(struct model_reading *reading, const cJSON *parts) {
    for (const cJSON *part = cJSON_IsArray(parts) ? parts->child : NULL; part; part = part->next) {
        const char *text = reading_string(part, "text");
        bool thought = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(part, "thought"));
        if (text && !thought)
            buffer_string(&reading->text, text);
    }
}

/* A whole answer, and each event of a stream. */
static void read_response(struct model_reading *reading, const cJSON *root) {
    const cJSON *candidates = cJSON_GetObjectItemCaseSensitive(root, "candidates");
    const cJSON *candidate = cJSON_IsArray(candidates) ? candidates->child : NULL;
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(candidate, "content");
    const char *finish = reading_string(candidate, "finishReason");
    const char *blocked =
        reading_string(cJSON_GetObjectItemCaseSensitive(root, "promptFeedback"), "blockReason");
    read_usage(&reading->answer, cJSON_GetObjectItemCaseSensitive(root, "usageMetadata"));
    if (blocked) {
        reading->blocked =
            arena_format(reading->arena, "the model's provider blocked the prompt: %.40s", blocked);
        reading->ended = true;
    }
    reading->readable |= content || finish;
    read_parts(reading, cJSON_GetObjectItemCaseSensitive(content, "parts"));
    if (finish)
        read_finish(reading, finish);
}

/* "37s", "0.5s": a protobuf Duration as JSON; -1: it is none. */
static int64_t read_duration_ms(const char *text) {
    if (!text)
        return -1;
    char *end;
    double seconds = strtod(text, &end);
    return seconds >= 0 && seconds < 1e6 && *end == 's' ? (int64_t)(seconds * 1000) : -1;
}

/* https://cloud.google.com/apis/design/errors#error_details; a wrong key is told with status 400. */
static void read_error(const cJSON *error, struct model_answer *answer) {
    const cJSON *details = cJSON_GetObjectItemCaseSensitive(error, "details");
    for (const cJSON *detail = cJSON_IsArray(details) ? details->child : NULL; detail;
         detail = detail->next) {
        const char *reason = reading_string(detail, "reason");
        int64_t delay = read_duration_ms(reading_string(detail, "retryDelay"));
        if (delay > answer->retry_after_ms)
            answer->retry_after_ms = delay;
        if (reason && strcmp(reason, "API_KEY_INVALID") == 0)
            answer->error_kind = MODEL_ERROR_UNAUTHORIZED;
    }
}

static const struct model_protocol PROTOCOL = {
    .write_path = write_path,
    .write_headers = write_headers,
    .write_body = write_body,
    .form_ways = 1,
    .read = read_response,
    .read_event = read_response,
    .error_status = failure_code,
    .read_error = read_error,
};

const struct model_adapter model_gemini = {
    .provider = "gemini",
    .protocol = &PROTOCOL,
    .open = exchange_open,
    .call = exchange_call,
    .cancel = exchange_cancel,
    .close = exchange_close,
};
