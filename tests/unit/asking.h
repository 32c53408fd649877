/* A model behind the stub server, and what a call of it hears. */
#ifndef TESTS_UNIT_ASKING_H
#define TESTS_UNIT_ASKING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "shared/model/model.h"
#include "tests/unit/stub_server.h"

static const char KEY[] = "sk-verysecret";

static uv_loop_t loop;
static struct stub_server server;
static struct model *model;
static char base_url[64];

static void set(const char *name, const char *text) {
    for (struct setting *setting = model_settings; setting->name; setting++) {
        if (strcmp(setting->name, name) != 0)
            continue;
        if (setting->type == SETTING_INTEGER)
            *(int64_t *)setting->value = strtoll(text, NULL, 10);
        else
            *(const char **)setting->value = text;
    }
}

/* The last try, as its provider read it; what the call makes of it is for test_model_tries.c. */
static struct model_answer last_try;

static void note_try(void *context, const struct model_try *attempt) {
    (void)context;
    last_try = *attempt->answer;
}

/* A server, and settings that name this provider's model at its path. A call is one try, and no pause
 * follows. */
static void open_server(const char *provider, const char *path, const char *name) {
    for (struct setting *setting = model_settings; setting->name; setting++)
        set(setting->name, setting->otherwise);
    uv_loop_init(&loop);
    stub_open(&server, &loop);
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d%s", server.port, path);
    set("LLM_PROVIDER", provider);
    set("LLM_BASE_URL", base_url);
    set("LLM_API_KEY", KEY);
    set("LLM_MODEL", name);
    set("LLM_TRIES_MAX", "1");
    set("LLM_RETRY_AFTER_MAX_MS", "0");
}

/* The same, and the model; what a call hears is how its last try ended. */
__attribute__((unused)) static int open_model(const char *provider, const char *path, const char *name) {
    open_server(provider, path, name);
    model = model_open(&loop);
    model_observe(model, note_try, NULL);
    return 0;
}

static int close_model(void **state) {
    (void)state;
    if (model)
        model_close(&model);
    uv_close((uv_handle_t *)&server.listener, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    free(server.request);
    return uv_loop_close(&loop);
}

struct heard {
    int count;
    struct model_answer answer;
    char text[4000], error[600];
};

static void hear(void *context, const struct model_answer *answer) {
    struct heard *heard = context;
    heard->count++;
    uv_stop(&loop); /* a turn that began with timers would wait for more events */
    heard->answer = *answer;
    if (answer->status != MODEL_OK && last_try.status != MODEL_OK)
        heard->answer = last_try;
    if (answer->prompt_tokens) /* of both questions, where there were two */
        heard->answer.prompt_tokens = answer->prompt_tokens;
    snprintf(heard->text, sizeof heard->text, "%s", answer->text ? answer->text : "");
    snprintf(heard->error, sizeof heard->error, "%s", answer->error ? answer->error : "");
    assert_int_equal(answer->status == MODEL_OK, answer->error_kind == MODEL_ERROR_NONE);
    if (answer->status == MODEL_OK)
        assert_int_equal(answer->length, strlen(answer->text));
    else
        assert_true(answer->error && *answer->error);
    assert_null(strstr(heard->error, KEY));
}

static struct heard ask_request(const struct model_request *request) {
    struct heard heard = {0};
    model_call(model, request, hear, &heard);
    assert_int_equal(heard.count, 0);
    while (!heard.count)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(heard.count, 1);
    return heard;
}

static const struct model_request QUESTION = {
    .system = "be good", .user = "say \"hi\"\n", .temperature = 0.25, .somebody_waits = true};

/* The question, answered so; headers end with \r\n each, or are "". */
__attribute__((unused)) static struct heard ask_answered(int status, const char *headers, const char *body) {
    char *answer = stub_format(status, headers, body);
    server.answer = answer;
    struct heard heard = ask_request(&QUESTION);
    free(answer);
    return heard;
}

/* The question as a stream; a stream that is cut ends its connection without the chunks' end. */
__attribute__((unused)) static struct heard ask_streamed(const char *events, bool cut) {
    struct model_request request = QUESTION;
    request.stream = true;
    char *answer = stub_format_stream(events, cut);
    server.answer = answer;
    server.cuts = cut;
    struct heard heard = ask_request(&request);
    server.cuts = false;
    free(answer);
    return heard;
}

__attribute__((unused)) static const char *sent_body(void) {
    return strstr(server.request, "\r\n\r\n") + 4;
}

#endif
