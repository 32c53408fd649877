/* The anthropic provider against a server that answers in the shapes of Anthropic's documentation:
 * https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/docs/build-with-claude/streaming
 * and https://docs.anthropic.com/en/api/errors. */
#include "tests/unit/asking.h"

static int set_up(void **state) {
    (void)state;
    return open_model("anthropic", "/v1", "claude-haiku-4-5");
}

#define MESSAGE(content, reason)                                                                             \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\",\"content\":"        \
    "[" content "],\"stop_reason\":\"" reason "\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":20,"    \
    "\"cache_creation_input_tokens\":300,\"cache_read_input_tokens\":4000,\"output_tokens\":7}}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

static void sends_a_message(void **state) {
    (void)state;
    ask_answered(200, "", MESSAGE(TEXT("hi"), "end_turn"));
    assert_memory_equal(server.request, "POST /v1/messages HTTP/1.1\r\n", 28);
    assert_non_null(strstr(server.request, "\r\nanthropic-version: 2023-06-01\r\n"));
    assert_non_null(strstr(server.request, "\r\nx-api-key: sk-verysecret\r\n"));
    assert_null(strcasestr(server.request, "authorization"));
    assert_string_equal(sent_body(), "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":1024,\"system\":\"be "
                                     "good\",\"messages\":[{\"role\":\"user\","
                                     "\"content\":\"say \\\"hi\\\"\\n\"}],\"temperature\":0.25}");
}

/* https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use, "Forcing tool use" */
static void asks_for_a_form_by_a_tool_that_must_be_used(void **state) {
    (void)state;
    static const struct model_form FORM = {
        .name = "grade", .schema = "{\"$schema\":\"x\",\"type\":\"object\",\"required\":[\"points\"]}"};
    char *answer = stub_format(200, "",
        MESSAGE(TEXT("I will now grade.") ",{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"grade\","
                                          "\"input\":{"
                                          "\"points\":7}}",
            "tool_use"));
    server.answer = answer;
    struct heard heard = ask_request(&(struct model_request){.system = "", .user = "x", .form = &FORM});
    assert_string_equal(heard.text, "{\"points\":7}");
    assert_string_equal(sent_body(), "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":1024,\"messages\":[{"
                                     "\"role\":\"user\",\"content\":\"x\"}],"
                                     "\"temperature\":0,\"tools\":[{\"name\":\"grade\",\"description\":"
                                     "\"Takes the answer.\",\"input_schema\":{"
                                     "\"type\":\"object\",\"required\":[\"points\"]}}],\"tool_choice\":{"
                                     "\"type\":\"tool\",\"name\":\"grade\"}}");
    free(answer);
}

static void brings_text_and_usage(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "",
        MESSAGE("{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"x\"}," TEXT("Hel") "," TEXT("lo"),
            "end_turn"));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "Hello");
    assert_int_equal(heard.answer.prompt_tokens, 4320);
    assert_int_equal(heard.answer.cached_tokens, 4000);
    assert_int_equal(heard.answer.cache_write_tokens, 300);
    assert_int_equal(heard.answer.completion_tokens, 7);
    assert_false(heard.answer.cut);
    heard = ask_answered(200, "", MESSAGE(TEXT("Hel"), "max_tokens"));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_true(heard.answer.cut);
    heard = ask_answered(200, "", MESSAGE("", "end_turn"));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "");
    assert_int_equal(ask_answered(200, "", "{}").answer.error_kind, MODEL_ERROR_INVALID_ANSWER);
}

/* https://docs.anthropic.com/en/docs/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals */
static void a_refusal_is_one(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "", MESSAGE(TEXT("I would"), "refusal"));
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REFUSED);
}

#define EVENT(name, data) "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"
#define STREAM_START                                                                                         \
    EVENT("message_start",                                                                                   \
        ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_"  \
        "reason\":"                                                                                          \
        "null,\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":5,\"output_tokens\":1}}")
#define STREAM_TEXT                                                                                          \
    EVENT("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")         \
    EVENT("ping", "")                                                                                        \
    EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}")        \
    EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}")         \
    EVENT("content_block_stop", ",\"index\":0")
#define STREAM_DELTA(reason)                                                                                 \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason                                           \
                           "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15}")
#define STREAM_STOP EVENT("message_stop", "")

static void reads_a_stream(void **state) {
    (void)state;
    struct heard heard = ask_streamed(STREAM_START STREAM_TEXT STREAM_DELTA("end_turn") STREAM_STOP, false);
    assert_non_null(strstr(sent_body(), ",\"stream\":true}"));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "Hello");
    assert_int_equal(heard.answer.prompt_tokens, 30);
    assert_int_equal(heard.answer.cached_tokens, 5);
    assert_int_equal(heard.answer.completion_tokens, 15);
    heard = ask_streamed(STREAM_START STREAM_TEXT STREAM_DELTA("max_tokens") STREAM_STOP, false);
    assert_true(heard.answer.cut);
    heard = ask_streamed(STREAM_START STREAM_TEXT STREAM_DELTA("refusal") STREAM_STOP, false);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REFUSED);
    for (int cut = 0; cut < 2; cut++) {
        heard = ask_streamed(STREAM_START STREAM_TEXT STREAM_DELTA("end_turn"), cut);
        assert_int_equal(heard.answer.status, MODEL_RETRY);
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_CUT);
        assert_int_equal(heard.answer.prompt_tokens, 30);
    }
}

static void reads_a_tools_input_from_a_stream(void **state) {
    (void)state;
    static const struct model_form FORM = {.name = "grade", .schema = "{\"type\":\"object\"}"};
    char *answer = stub_format_stream(
        STREAM_START STREAM_TEXT EVENT("content_block_start",
            ",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\","
            "\"name\":\"grade\",\"input\":{}}") EVENT("content_block_delta",
            ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}")
            EVENT("content_block_delta", ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_"
                                         "json\":\"{\\\"points\\\": \"}") EVENT("content_block_delta",
                ",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"7}\"}")
                STREAM_DELTA("tool_use") STREAM_STOP,
        false);
    server.answer = answer;
    struct heard heard =
        ask_request(&(struct model_request){.system = "", .user = "x", .form = &FORM, .stream = true});
    assert_string_equal(heard.text, "{\"points\": 7}");
    free(answer);
}

/* https://docs.anthropic.com/en/api/rate-limits#response-headers */
static void reads_rate_headers(void **state) {
    (void)state;
    struct heard heard = ask_answered(200,
        "anthropic-ratelimit-requests-remaining: 7\r\nanthropic-ratelimit-requests-reset: "
        "2020-01-01T00:00:00Z\r\n",
        MESSAGE(TEXT("hi"), "end_turn"));
    assert_true(heard.answer.requests_left.known);
    assert_int_equal(heard.answer.requests_left.remaining, 7);
    assert_int_equal(heard.answer.requests_left.reset_ms, 0);
    assert_false(heard.answer.tokens_left.known);
}

static void errors_have_kinds_also_within_a_stream(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *error;
        enum model_status outcome;
        enum model_error kind;
    } errors[] = {
        {400, "{\"type\":\"invalid_request_error\",\"message\":\"max_tokens: required\"}", MODEL_REJECT,
            MODEL_ERROR_REQUEST},
        {400,
            "{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 208310 tokens > 200000 "
            "maximum\"}",
            MODEL_REJECT, MODEL_ERROR_CONTEXT_TOO_LONG},
        {401, "{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key sk-verysecret\"}",
            MODEL_REJECT, MODEL_ERROR_UNAUTHORIZED},
        {403, "{\"type\":\"permission_error\",\"message\":\"no\"}", MODEL_REJECT, MODEL_ERROR_UNAUTHORIZED},
        {413, "{\"type\":\"request_too_large\",\"message\":\"no\"}", MODEL_REJECT,
            MODEL_ERROR_CONTEXT_TOO_LONG},
        {429, "{\"type\":\"rate_limit_error\",\"message\":\"no\"}", MODEL_RETRY, MODEL_ERROR_RATE_LIMITED},
        {500, "{\"type\":\"api_error\",\"message\":\"Internal server error\"}", MODEL_RETRY,
            MODEL_ERROR_SERVER},
        {529, "{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}", MODEL_RETRY, MODEL_ERROR_SERVER},
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        char body[300], stream[1000];
        snprintf(
            body, sizeof body, "{\"type\":\"error\",\"error\":%s,\"request_id\":\"req_1\"}", errors[i].error);
        snprintf(stream, sizeof stream, "%sevent: error\ndata: %s\n\n", STREAM_START, body);
        struct heard heard = ask_answered(errors[i].status, "", body);
        assert_int_equal(heard.answer.status, errors[i].outcome);
        assert_int_equal(heard.answer.error_kind, errors[i].kind);
        heard = ask_streamed(stream, false);
        assert_int_equal(heard.answer.status, errors[i].outcome);
        assert_int_equal(heard.answer.error_kind, errors[i].kind);
        assert_int_equal(heard.answer.prompt_tokens, 30);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_model)
    const struct CMUnitTest tests[] = {
        TEST(sends_a_message),
        TEST(asks_for_a_form_by_a_tool_that_must_be_used),
        TEST(brings_text_and_usage),
        TEST(a_refusal_is_one),
        TEST(reads_a_stream),
        TEST(reads_a_tools_input_from_a_stream),
        TEST(reads_rate_headers),
        TEST(errors_have_kinds_also_within_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
