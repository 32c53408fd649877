/* Any server of POST {LLM_BASE_URL}/chat/completions: the request goes out, the answer is read elsewhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_client.h"
#include "shared/json.h"
#include "shared/model/openai_answer.h"
#include "shared/model/provider.h"

static const char DEFAULT_BASE_URL[] = "https://api.openai.com/v1";

/* JSON may write one byte of text as six, and there is more in an answer than its text. */
enum { ESCAPED_BYTES = 6, AROUND_BYTES = 64 << 10 };

struct openai {
    struct http_client *client;
    struct arena *arena;
    const char *url;
    const char *headers[3];
};

struct model_call {
    struct arena *arena;
    struct http_call *http;
    model_done done;
    void *context;
};

/* A bad setting ends the process at start, as bad settings do. */
static void refuse(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(2);
}

static void check_settings(const char *base_url, const char *key) {
    if (strncmp(base_url, "http://", 7) != 0 && strncmp(base_url, "https://", 8) != 0)
        refuse("LLM_BASE_URL must begin with http:// or https://");
    for (; *key; key++)
        if ((unsigned char)*key <= ' ' || *key == 0x7f)
            refuse("LLM_API_KEY must not hold spaces or control characters");
}

static void *openai_open(uv_loop_t *loop) {
    if (!*model_configuration.base_url)
        model_configuration.base_url = DEFAULT_BASE_URL;
    const char *base_url = model_configuration.base_url, *key = model_configuration.api_key;
    check_settings(base_url, key);
    struct arena *arena = arena_create(0);
    struct openai *openai = arena_alloc(arena, sizeof *openai);
    openai->arena = arena;
    size_t length = strlen(base_url);
    while (length && base_url[length - 1] == '/')
        length--;
    openai->url = arena_format(arena, "%.*s/chat/completions", (int)length, base_url);
    openai->headers[0] = "Content-Type: application/json";
    if (*key)
        openai->headers[1] = arena_format(arena, "Authorization: Bearer %s", key);
    openai->client = http_client_open(loop);
    http_client_trust(openai->client, model_configuration.ca_file);
    return openai;
}

static void add_message(struct buffer *body, const char *role, const char *content) {
    buffer_format(body, "{\"role\":\"%s\",\"content\":", role);
    json_write_string(body, content);
    buffer_byte(body, '}');
}

static struct buffer write_request(struct arena *arena, const struct model_request *request) {
    struct buffer body = buffer_in(arena);
    buffer_string(&body, "{\"model\":");
    json_write_string(&body, model_configuration.model);
    buffer_string(&body, ",\"messages\":[");
    if (*request->system) {
        add_message(&body, "system", request->system);
        buffer_byte(&body, ',');
    }
    add_message(&body, "user", request->user);
    buffer_string(&body, "],\"temperature\":");
    json_write_double(&body, request->temperature);
    buffer_string(&body, ",\"max_tokens\":");
    json_write_integer(&body, request->max_tokens ? request->max_tokens : model_configuration.max_tokens);
    if (request->form)
        buffer_string(&body, ",\"response_format\":{\"type\":\"json_object\"}");
    buffer_byte(&body, '}');
    return body;
}

static void on_answer(void *context, const struct http_call_answer *http) {
    struct model_call *call = context;
    struct arena *arena = call->arena;
    struct model_answer answer;
    openai_read(arena, http, &answer);
    call->done(call->context, &answer);
    arena_destroy(&arena);
}

static struct model_call *openai_call(
    void *provider, const struct model_request *request, model_done done, void *context) {
    struct openai *openai = provider;
    struct arena *arena = arena_create(strlen(request->user) + strlen(request->system) + 2048);
    struct model_call *call = arena_alloc(arena, sizeof *call);
    *call = (struct model_call){.arena = arena, .done = done, .context = context};
    struct buffer body = write_request(arena, request);
    struct http_call_request post = {
        .url = openai->url,
        .headers = openai->headers,
        .body = body.data,
        .length = body.length,
        .connect_timeout_ms = model_configuration.connect_timeout_ms,
        .timeout_ms = model_configuration.timeout_ms,
        .answer_bytes_max = (size_t)model_configuration.output_bytes_max * ESCAPED_BYTES + AROUND_BYTES,
    };
    call->http = http_client_post(openai->client, &post, on_answer, call);
    return call;
}

static void openai_cancel(void *provider, struct model_call *call) {
    (void)provider;
    struct arena *arena = call->arena;
    http_client_cancel(&call->http);
    arena_destroy(&arena);
}

static void openai_close(void *provider) {
    struct openai *openai = provider;
    struct arena *arena = openai->arena;
    http_client_close(&openai->client);
    arena_destroy(&arena);
}

const struct model_provider model_openai = {
    .name = "openai",
    .open = openai_open,
    .call = openai_call,
    .cancel = openai_cancel,
    .close = openai_close,
};
