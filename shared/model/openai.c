/* OpenAI's chat completions, which many servers speak: https://platform.openai.com/docs/api-reference/chat */
#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"
#include "shared/model/protocol.h"

static void write_path(struct buffer *path, const struct model_target *target, bool stream) {
    (void)target;
    (void)stream;
    buffer_string(path, "/chat/completions");
}

static void write_headers(struct arena *arena, const struct model_target *target, const char **headers) {
    if (*target->api_key)
        headers[0] = arena_format(arena, "Authorization: Bearer %s", target->api_key);
}

/* o1, o3-mini, gpt-5, openai/gpt-5-mini, …: they refuse max_tokens and any temperature, while many servers of
 * other models know nothing but max_tokens. */
static bool is_reasoning_model(const char *model) {
    const char *slash = strrchr(model, '/');
    const char *name = slash ? slash + 1 : model;
    return (name[0] == 'o' && name[1] >= '1' && name[1] <= '9') || strncmp(name, "gpt-5", 5) == 0;
}

static void write_message(struct buffer *body, const char *role, const char *content) {
    buffer_format(body, "{\"role\":\"%s\",\"content\":", role);
    json_write_string(body, content);
    buffer_byte(body, '}');
}

/* The ways to ask for JSON, the best first. OpenAI, vLLM, llama.cpp's server and Ollama know json_schema. The
 * server of llama-cpp-python refuses that (with 500 or 422), but takes json_object with a schema, which it
 * keeps to; others know json_object only, and a few nothing at all. */
enum { FORM_SCHEMA, FORM_OBJECT_WITH_SCHEMA, FORM_OBJECT, FORM_NONE, FORM_WAYS };

static void write_form(struct buffer *body, const struct model_form *form, int way) {
    if (way == FORM_NONE)
        return;
    bool strict = way == FORM_SCHEMA && schema_may_be_strict(form->schema);
    buffer_string(body, ",\"response_format\":{\"type\":");
    if (way == FORM_SCHEMA)
        buffer_format(body,
            "\"json_schema\",\"json_schema\":{\"name\":\"%s\",\"strict\":%s,\"schema\":", form->name,
            strict ? "true" : "false");
    else
        buffer_format(body, "\"json_object\"%s", way == FORM_OBJECT_WITH_SCHEMA ? ",\"schema\":" : "");
    if (way != FORM_OBJECT)
        schema_write(body, form->schema, strict ? SCHEMA_STRICT : SCHEMA_PLAIN);
    buffer_string(body, way == FORM_SCHEMA ? "}}" : "}");
}

static void write_body(struct buffer *body, const struct model_target *target,
    const struct model_request *request, bool stream, int form_way) {
    bool reasons = is_reasoning_model(target->model);
    buffer_string(body, "{\"model\":");
    json_write_string(body, target->model);
    buffer_string(body, ",\"messages\":[");
    if (*request->system) {
        write_message(body, "system", request->system);
        buffer_byte(body, ',');
    }
    write_message(body, "user", request->user);
    buffer_byte(body, ']');
    if (!reasons) {
        buffer_string(body, ",\"temperature\":");
        json_write_double(body, request->temperature);
    }
    buffer_string(body, reasons ? ",\"max_completion_tokens\":" : ",\"max_tokens\":");
    json_write_integer(body, model_max_tokens(request));
    if (stream)
        buffer_string(body, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    if (request->form)
        write_form(body, request->form, form_way);
    buffer_byte(body, '}');
}

static bool form_refused(const char *body) {
    return strstr(body, "response_format") || strstr(body, "json_schema") || strstr(body, "json_object");
}

static void read_usage(struct model_answer *answer, const cJSON *usage) {
    reading_count(usage, "prompt_tokens", &answer->prompt_tokens);
    reading_count(usage, "completion_tokens", &answer->completion_tokens);
    reading_count(cJSON_GetObjectItemCaseSensitive(usage, "prompt_tokens_details"), "cached_tokens",
        &answer->cached_tokens);
    reading_count(cJSON_GetObjectItemCaseSensitive(usage, "completion_tokens_details"), "reasoning_tokens",
        &answer->reasoning_tokens);
}

static void read_message(struct model_reading *reading, const cJSON *message) {
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    const char *text = reading_string(message, "content"), *refusal = reading_string(message, "refusal");
    if (!cJSON_IsObject(message) || (content && !cJSON_IsNull(content) && !text))
        return;
    reading->readable = true;
    if (text)
        buffer_string(&reading->text, text);
    if (refusal)
        buffer_string(&reading->refusal, refusal);
}

/* A chunk of a stream is a completion whose messages are called delta; the last one has no choice, but the
 * usage. */
static void read_choices(struct model_reading *reading, const cJSON *root, const char *message) {
    const cJSON *choices = cJSON_GetObjectItemCaseSensitive(root, "choices");
    const cJSON *choice = cJSON_IsArray(choices) ? choices->child : NULL;
    const char *finish = reading_string(choice, "finish_reason");
    read_usage(&reading->answer, cJSON_GetObjectItemCaseSensitive(root, "usage"));
    read_message(reading, cJSON_GetObjectItemCaseSensitive(choice, message));
    if (finish && strcmp(finish, "length") == 0)
        reading->answer.cut = true;
    if (finish && strcmp(finish, "content_filter") == 0)
        reading->blocked = "the model's provider filtered the answer";
}

static void read_whole(struct model_reading *reading, const cJSON *root) {
    read_choices(reading, root, "message");
}

static void read_event(struct model_reading *reading, const cJSON *root) {
    read_choices(reading, root, "delta");
}

static const struct model_protocol PROTOCOL = {
    .write_path = write_path,
    .write_headers = write_headers,
    .write_body = write_body,
    .form_ways = FORM_WAYS,
    .form_refused = form_refused,
    .read = read_whole,
    .read_event = read_event,
    .end_mark = "[DONE]",
    .error_status = failure_code,
    /* https://platform.openai.com/docs/guides/rate-limits */
    .allowance = {"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
        "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
};

const struct model_adapter model_openai = {
    .provider = "openai",
    .protocol = &PROTOCOL,
    .open = exchange_open,
    .call = exchange_call,
    .cancel = exchange_cancel,
    .close = exchange_close,
};
