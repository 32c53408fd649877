/* The openai provider against a real server that answers as such servers do, well and badly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

static int set_up(void **state) {
    (void)state;
    for (struct setting *setting = model_settings; setting->name; setting++)
        set(setting->name, setting->otherwise);
    uv_loop_init(&loop);
    stub_open(&server, &loop);
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d/v1/", server.port);
    set("LLM_BASE_URL", base_url);
    set("LLM_API_KEY", KEY);
    set("LLM_MODEL", "small \"one\"");
    model = model_open(&loop);
    return 0;
}

static int tear_down(void **state) {
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
    snprintf(heard->text, sizeof heard->text, "%s", answer->text ? answer->text : "");
    snprintf(heard->error, sizeof heard->error, "%s", answer->error ? answer->error : "");
    if (answer->status == MODEL_OK)
        assert_int_equal(answer->length, strlen(answer->text));
    else
        assert_true(answer->error && *answer->error);
    assert_null(strstr(heard->error, KEY));
}

static struct heard ask(void) {
    struct heard heard = {0};
    struct model_request request = {.system = "be good", .user = "say \"hi\"\n", .temperature = 0.25};
    model_call(model, &request, hear, &heard);
    assert_int_equal(heard.count, 0);
    while (!heard.count)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(heard.count, 1);
    return heard;
}

static struct heard ask_answered(int status, const char *headers, const char *body) {
    char *answer = stub_format(status, headers, body);
    server.answer = answer;
    struct heard heard = ask();
    free(answer);
    return heard;
}

#define COMPLETION(message, finish)                                                                          \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"     \
    "\"index\":0,"                                                                                           \
    "\"message\":" message ",\"logprobs\":null,\"finish_reason\":" finish                                    \
    "}],\"usage\":{\"prompt_tokens\":12,"                                                                    \
    "\"completion_tokens\":34,\"total_tokens\":46}}"
#define CONTENT(text) COMPLETION("{\"role\":\"assistant\",\"content\":" text ",\"refusal\":null}", "\"stop\"")

static void sends_a_chat_completion(void **state) {
    (void)state;
    ask_answered(200, "", CONTENT("\"hi\""));
    assert_memory_equal(server.request, "POST /v1/chat/completions HTTP/1.1\r\n", 36);
    assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer sk-verysecret\r\n"));
    assert_non_null(strstr(server.request, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(strstr(server.request, "\r\n\r\n") + 4,
        "{\"model\":\"small \\\"one\\\"\",\"messages\":[{\"role\":\"system\",\"content\":\"be good\"},"
        "{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\\n\"}],\"temperature\":0.25,\"max_tokens\":1024}");
}

static void sends_only_what_there_is(void **state) {
    (void)state;
    model_close(&model);
    set("LLM_API_KEY", "");
    model = model_open(&loop);
    assert_string_equal(model_name(model), "openai");
    char *answer = stub_format(200, "", CONTENT("\"{}\""));
    server.answer = answer;
    struct heard heard = {0};
    static const struct model_form FORM = {.name = "any", .schema = "{\"type\":\"object\"}"};
    struct model_request request = {.system = "", .user = "x", .max_tokens = 7, .form = &FORM};
    model_call(model, &request, hear, &heard);
    while (!heard.count)
        uv_run(&loop, UV_RUN_ONCE);
    assert_null(strcasestr(server.request, "authorization"));
    assert_string_equal(strstr(server.request, "\r\n\r\n") + 4,
        "{\"model\":\"small "
        "\\\"one\\\"\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":0,"
        "\"max_tokens\":7,\"response_format\":{\"type\":\"json_object\"}}");
    free(answer);
}

static void brings_the_text(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "", CONTENT("\"gr\\u00fc\\u00df \\ud83d\\ude00\\n\""));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\n");
    assert_int_equal(heard.answer.replaced, 0);
    assert_int_equal(heard.answer.prompt_tokens, 12);
    assert_int_equal(heard.answer.completion_tokens, 34);
    assert_int_equal(heard.answer.retry_after_ms, -1);
    assert_false(heard.answer.cut);
    heard = ask_answered(200, "", COMPLETION("{\"content\":\"half\"}", "\"length\""));
    assert_string_equal(heard.text, "half");
    assert_true(heard.answer.cut);
}

static void an_empty_answer_is_one(void **state) {
    (void)state;
    static const char *const bodies[] = {CONTENT("null"), CONTENT("\"\""),
        COMPLETION("{\"role\":\"assistant\"}", "\"stop\""), COMPLETION("{\"content\":null}", "null")};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct heard heard = ask_answered(200, "", bodies[i]);
        assert_int_equal(heard.answer.status, MODEL_OK);
        assert_string_equal(heard.text, "");
    }
}

static void replaces_what_no_text_can_hold(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "", CONTENT("\"a\\u0000b\\\\u0000c\\\\\\u0000d\""));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "a\xEF\xBF\xBD"
                                    "b\\u0000c\\\xEF\xBF\xBD"
                                    "d");
    assert_int_equal(heard.answer.replaced, 2);
    heard = ask_answered(200, "", CONTENT("\"x\\ud83dy\\ude00z\\ud83d\""));
    assert_string_equal(heard.text, "x\xEF\xBF\xBDy\xEF\xBF\xBDz\xEF\xBF\xBD");
    assert_int_equal(heard.answer.replaced, 3);
    heard = ask_answered(200, "", CONTENT("\"x\xFFy\""));
    assert_string_equal(heard.text, "x\xEF\xBF\xBDy");
    assert_int_equal(heard.answer.replaced, 1);
    /* What was replaced elsewhere in the answer is not counted. */
    heard = ask_answered(200, "", "{\"id\":\"\\u0000\",\"choices\":[{\"message\":{\"content\":\"x\"}}]}");
    assert_int_equal(heard.answer.replaced, 0);
    assert_int_equal(heard.answer.prompt_tokens, 0);
}

static void some_failures_may_pass(void **state) {
    (void)state;
    static const int statuses[] = {408, 409, 429, 500, 502, 503, 504, 529};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct heard heard = ask_answered(statuses[i], "Retry-After: 3\r\n",
            "{\"error\":{\"message\":\"Rate limit reached for small in\\norganization "
            "org-1\",\"type\":\"requests\"}}");
        char want[200];
        snprintf(want, sizeof want,
            "the model's server answered with status %d: Rate limit reached for small in organization org-1",
            statuses[i]);
        assert_int_equal(heard.answer.status, MODEL_RETRY);
        assert_int_equal(heard.answer.retry_after_ms, 3000);
        assert_string_equal(heard.error, want);
    }
    struct heard heard = ask_answered(500, "", "<html>Internal Server Error</html>");
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_string_equal(heard.error, "the model's server answered with status 500");
    heard = ask_answered(200, "", "{\"error\":{\"message\":\"upstream is busy\",\"code\":502}}");
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_non_null(strstr(heard.error, "502: upstream is busy"));
}

static void other_failures_will_not(void **state) {
    (void)state;
    static const int statuses[] = {301, 400, 401, 403, 404, 413, 422};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        assert_int_equal(
            ask_answered(statuses[i], "", "{\"error\":\"model not found\"}").answer.status, MODEL_REJECT);
    struct heard heard =
        ask_answered(401, "", "{\"error\":{\"message\":\"Incorrect API key: sk-verysecret. See docs\"}}");
    assert_string_equal(
        heard.error, "the model's server answered with status 401: Incorrect API key: ***. See docs");
    heard = ask_answered(404, "", "{\"detail\":\"Not Found\"}");
    assert_string_equal(heard.error, "the model's server answered with status 404: Not Found");
}

static void an_error_is_quoted_in_part(void **state) {
    (void)state;
    char body[2000] = "{\"error\":{\"message\":\"";
    for (int i = 0; i < 400; i++)
        strcat(body, "\xC3\xA4");
    strcat(body, "\"}}");
    struct heard heard = ask_answered(400, "", body);
    assert_true(strlen(heard.error) < 300);
    assert_string_equal(heard.error + strlen(heard.error) - 4, "\xC3\xA4\xC3\xA4");
}

static void an_answer_that_broke_off_may_pass(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"choices\":[{\"message\":{\"content\":\"hal", "", "ok", CONTENT("\"x\"") "}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct heard heard = ask_answered(200, "", bodies[i]);
        assert_int_equal(heard.answer.status, MODEL_RETRY);
        assert_non_null(strstr(heard.error, "200"));
    }
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":";
    server.cuts = true;
    assert_int_equal(ask().answer.status, MODEL_RETRY);
}

static void an_answer_that_is_none_will_not(void **state) {
    (void)state;
    static const char *const bodies[] = {"{\"choices\":[]}", "{}", "[]", "\"text\"", "{\"choices\":{}}",
        "{\"choices\":[{}]}", "{\"choices\":[{\"message\":{\"content\":7}}]}", "{\"choices\":[7]}",
        COMPLETION("{\"content\":\"\"}", "\"content_filter\""), "{\"error\":{\"message\":\"bad model\"}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(ask_answered(200, "", bodies[i]).answer.status, MODEL_REJECT);
    struct heard heard = ask_answered(
        200, "", COMPLETION("{\"content\":null,\"refusal\":\"I will not do that.\"}", "\"stop\""));
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_string_equal(heard.error, "the model refused: I will not do that.");
}

static void too_much_text_is_refused(void **state) {
    (void)state;
    set("LLM_OUTPUT_BYTES_MAX", "5");
    assert_int_equal(ask_answered(200, "", CONTENT("\"12345\"")).answer.status, MODEL_OK);
    struct heard heard = ask_answered(200, "", CONTENT("\"123456\""));
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_string_equal(heard.error, "the model's answer is longer than 5 bytes");
}

static void a_slow_model_may_be_asked_again(void **state) {
    (void)state;
    set("LLM_TIMEOUT_MS", "30");
    server.answer = NULL;
    struct heard heard = ask();
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_non_null(strstr(heard.error, "in time"));
}

static void a_model_that_is_away_may_come_back(void **state) {
    (void)state;
    model_close(&model);
    set("LLM_BASE_URL", "http://127.0.0.1:1");
    model = model_open(&loop);
    struct heard heard = ask();
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_non_null(strstr(heard.error, "could not be asked"));
}

static void closing_gives_calls_up(void **state) {
    (void)state;
    struct heard heard = {0};
    struct model_request request = {.system = "", .user = "x"};
    server.answer = NULL;
    model_call(model, &request, hear, &heard);
    while (!server.requests)
        uv_run(&loop, UV_RUN_ONCE);
    model_call(model, &request, hear, &heard);
    model_close(&model);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(heard.count, 0);
}

/* Runs model_open in a child; returns how it ended. */
static int open_in_child(const char *url, const char *key) {
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        set("LLM_BASE_URL", url);
        set("LLM_API_KEY", key);
        model_open(&loop);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void bad_settings_end_the_start(void **state) {
    (void)state;
    assert_int_equal(open_in_child("ftp://example.org", ""), 2);
    assert_int_equal(open_in_child("localhost:8000", ""), 2);
    assert_int_equal(open_in_child("http://localhost:8000", "a\r\nX: y"), 2);
    assert_int_equal(open_in_child("http://localhost:8000", "key"), 0);
    assert_int_equal(open_in_child("", "key"), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(sends_a_chat_completion),
        TEST(sends_only_what_there_is),
        TEST(brings_the_text),
        TEST(an_empty_answer_is_one),
        TEST(replaces_what_no_text_can_hold),
        TEST(some_failures_may_pass),
        TEST(other_failures_will_not),
        TEST(an_error_is_quoted_in_part),
        TEST(an_answer_that_broke_off_may_pass),
        TEST(an_answer_that_is_none_will_not),
        TEST(too_much_text_is_refused),
        TEST(a_slow_model_may_be_asked_again),
        TEST(a_model_that_is_away_may_come_back),
        TEST(closing_gives_calls_up),
        TEST(bad_settings_end_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
