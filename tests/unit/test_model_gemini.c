/* The gemini provider against a server that answers in the shapes of Google's documentation:
 * https://ai.google.dev/api/generate-content (requests, answers, finish reasons, usage) and
 * https://ai.google.dev/gemini-api/docs/troubleshooting (errors). */
#include "tests/unit/asking.h"

static int set_up(void **state) {
    (void)state;
    return open_model("gemini", "/v1beta", "gemini-2.0-flash");
}

#define CANDIDATE(parts, finish)                                                                             \
    "{\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":\"model\"}" finish                        \
    ",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":40,\"cachedContentTokenCount\":32,"              \
    "\"candidatesTokenCount\":7,\"thoughtsTokenCount\":5,\"totalTokenCount\":52},"                           \
    "\"modelVersion\":\"gemini-2.0-flash\",\"responseId\":\"x\"}"
#define FINISH(reason) ",\"finishReason\":\"" reason "\""
#define TEXT(text) "{\"text\":\"" text "\"}"

static void sends_generate_content(void **state) {
    (void)state;
    ask_answered(200, "", CANDIDATE(TEXT("hi"), FINISH("STOP")));
    static const char LINE[] = "POST /v1beta/models/gemini-2.0-flash:generateContent HTTP/1.1\r\n";
    assert_memory_equal(server.request, LINE, sizeof LINE - 1);
    assert_non_null(strstr(server.request, "\r\nx-goog-api-key: sk-verysecret\r\n"));
    assert_string_equal(sent_body(),
        "{\"systemInstruction\":{\"parts\":[{\"text\":\"be "
        "good\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{"
        "\"text\":\"say "
        "\\\"hi\\\"\\n\"}]}],\"generationConfig\":{\"temperature\":0.25,\"maxOutputTokens\":1024}}");
}

static void asks_for_a_form_in_the_subset_of_openapi(void **state) {
    (void)state;
    static const struct model_form FORM = {.name = "grade",
        .schema = "{\"$schema\":\"x\",\"title\":\"grade\",\"type\":\"object\",\"additionalProperties\":false,"
                  "\"properties\":{\"title\":{\"type\":[\"string\",\"null\"]},\"points\":{\"type\":\"array\","
                  "\"items\":{\"type\":\"number\",\"maximum\":9}}},\"required\":[\"points\"]}"};
    char *answer = stub_format(200, "", CANDIDATE(TEXT("{}"), FINISH("STOP")));
    server.answer = answer;
    struct heard heard = ask_request(&(struct model_request){.system = "", .user = "x", .form = &FORM});
    assert_string_equal(heard.text, "{}");
    assert_string_equal(sent_body(), "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}],"
                                     "\"generationConfig\":{\"temperature\":0,"
                                     "\"maxOutputTokens\":1024,\"responseMimeType\":\"application/"
                                     "json\",\"responseSchema\":{\"type\":\"OBJECT\","
                                     "\"properties\":{\"title\":{\"type\":\"STRING\",\"nullable\":true},"
                                     "\"points\":{\"type\":\"ARRAY\",\"items\":{"
                                     "\"type\":\"NUMBER\",\"maximum\":9}}},\"required\":[\"points\"],"
                                     "\"propertyOrdering\":[\"title\",\"points\"]}"
                                     "}}");
    free(answer);
}

static void a_tuned_model_has_a_path_of_its_own(void **state) {
    (void)state;
    model_close(&model);
    set("LLM_MODEL", "tunedModels/my one");
    model = model_open(&loop);
    ask_answered(200, "", CANDIDATE(TEXT("hi"), FINISH("STOP")));
    static const char LINE[] = "POST /v1beta/tunedModels/my%20one:generateContent HTTP/1.1\r\n";
    assert_memory_equal(server.request, LINE, sizeof LINE - 1);
}

static void brings_text_and_usage_but_no_thoughts(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "",
        CANDIDATE(
            "{\"text\":\"let me see\",\"thought\":true}," TEXT("Hel") "," TEXT("lo\\u0000"), FINISH("STOP")));
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "Hello\xEF\xBF\xBD");
    assert_int_equal(heard.answer.replaced, 1);
    assert_int_equal(heard.answer.prompt_tokens, 40);
    assert_int_equal(heard.answer.cached_tokens, 32);
    assert_int_equal(heard.answer.completion_tokens, 12);
    assert_int_equal(heard.answer.reasoning_tokens, 5);
    assert_false(heard.answer.cut);
    heard = ask_answered(200, "", CANDIDATE(TEXT("Hel"), FINISH("MAX_TOKENS")));
    assert_string_equal(heard.text, "Hel");
    assert_true(heard.answer.cut);
    /* All went into thoughts. */
    heard = ask_answered(
        200, "", "{\"candidates\":[{\"content\":{\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\"}]}");
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_true(heard.answer.cut);
}

static void filters_are_refusals(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"promptFeedback\":{\"blockReason\":\"SAFETY\",\"safetyRatings\":[{\"category\":"
        "\"HARM_CATEGORY_DANGEROUS_CONTENT\",\"probability\":\"HIGH\",\"blocked\":true}]},\"usageMetadata\":{"
        "\"promptTokenCount\":9}}",
        "{\"promptFeedback\":{\"blockReason\":\"PROHIBITED_CONTENT\"}}",
        "{\"candidates\":[{\"finishReason\":\"SAFETY\",\"safetyRatings\":[]}]}",
        CANDIDATE(TEXT("some words"), FINISH("RECITATION")),
        CANDIDATE(TEXT("some words"), FINISH("BLOCKLIST")),
        CANDIDATE(TEXT("some words"), FINISH("PROHIBITED_CONTENT")),
        CANDIDATE(TEXT("some words"), FINISH("SPII")),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct heard heard = ask_answered(200, "", bodies[i]);
        assert_int_equal(heard.answer.status, MODEL_REJECT);
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REFUSED);
    }
    assert_int_equal(ask_answered(200, "", bodies[0]).answer.prompt_tokens, 9);
    assert_string_equal(
        ask_answered(200, "", bodies[0]).error, "the model's provider blocked the prompt: SAFETY");
}

static void an_end_that_is_none_may_pass(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "", CANDIDATE(TEXT("some"), FINISH("OTHER")));
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_INVALID_ANSWER);
    static const char *const bodies[] = {"{}", "{\"candidates\":[]}", "{\"candidates\":[7]}", "7"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        heard = ask_answered(200, "", bodies[i]);
        assert_int_equal(heard.answer.status, MODEL_REJECT);
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_INVALID_ANSWER);
    }
}

#define EVENT(text, finish) "data: " CANDIDATE(TEXT(text), finish) "\r\n\r\n"

static void reads_a_stream(void **state) {
    (void)state;
    struct heard heard = ask_streamed(EVENT("Hel", "") EVENT("lo", FINISH("STOP")), false);
    static const char LINE[] =
        "POST /v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse HTTP/1.1\r\n";
    assert_memory_equal(server.request, LINE, sizeof LINE - 1);
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "Hello");
    assert_int_equal(heard.answer.completion_tokens, 12);
    heard = ask_streamed(EVENT("Hel", "") EVENT("lo", FINISH("SAFETY")), false);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REFUSED);
    for (int cut = 0; cut < 2; cut++) {
        heard = ask_streamed(EVENT("Hel", "") EVENT("lo", ""), cut);
        assert_int_equal(heard.answer.status, MODEL_RETRY);
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_CUT);
        assert_int_equal(heard.answer.prompt_tokens, 40);
    }
}

static void errors_say_what_and_when(void **state) {
    (void)state;
    struct heard heard = ask_answered(429, "",
        "{\"error\":{\"code\":429,\"message\":\"You exceeded your current "
        "quota.\",\"status\":\"RESOURCE_EXHAUSTED\","
        "\"details\":[{\"@type\":\"type.googleapis.com/"
        "google.rpc.QuotaFailure\",\"violations\":[{}]},{\"@type\":"
        "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"36.5s\"}]}}");
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_RATE_LIMITED);
    assert_int_equal(heard.answer.retry_after_ms, 36500);
    heard = ask_answered(400, "",
        "{\"error\":{\"code\":400,\"message\":\"API key not valid: "
        "sk-verysecret\",\"status\":\"INVALID_ARGUMENT\","
        "\"details\":[{\"@type\":\"type.googleapis.com/"
        "google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\"}]}}");
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_UNAUTHORIZED);
    heard = ask_answered(400, "",
        "[{\"error\":{\"code\":400,\"message\":\"The input token count (2000001) exceeds the maximum number "
        "of tokens "
        "allowed (1048576).\",\"status\":\"INVALID_ARGUMENT\"}}]");
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_CONTEXT_TOO_LONG);
    heard = ask_answered(503, "",
        "{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}");
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_SERVER);
    assert_int_equal(heard.answer.retry_after_ms, -1);
    heard = ask_answered(
        403, "", "{\"error\":{\"code\":403,\"message\":\"denied\",\"status\":\"PERMISSION_DENIED\"}}");
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_UNAUTHORIZED);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_model)
    const struct CMUnitTest tests[] = {
        TEST(sends_generate_content),
        TEST(asks_for_a_form_in_the_subset_of_openapi),
        TEST(a_tuned_model_has_a_path_of_its_own),
        TEST(brings_text_and_usage_but_no_thoughts),
        TEST(filters_are_refusals),
        TEST(an_end_that_is_none_may_pass),
        TEST(reads_a_stream),
        TEST(errors_say_what_and_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
