/* The openai provider against a real server that answers as such servers do, well and badly. */
#include <sys/wait.h>
#include <unistd.h>

#include "shared/model/allowance.h"
#include "tests/unit/asking.h"

static int set_up(void **state) {
    (void)state;
    return open_model("openai", "/v1/", "small \"one\"");
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
    assert_string_equal(sent_body(),
        "{\"model\":\"small \\\"one\\\"\",\"messages\":[{\"role\":\"system\",\"content\":\"be good\"},"
        "{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\\n\"}],\"temperature\":0.25,\"max_tokens\":1024}");
}

static void sends_only_what_there_is(void **state) {
    (void)state;
    model_close(&model);
    set("LLM_API_KEY", "");
    model = model_open(&loop);
    assert_string_equal(model_name(model), "openai");
    char *answer = stub_format(200, "", CONTENT("\"hi\""));
    server.answer = answer;
    ask_request(&(struct model_request){.system = "", .user = "x", .max_tokens = 7});
    assert_null(strcasestr(server.request, "authorization"));
    assert_string_equal(sent_body(),
        "{\"model\":\"small "
        "\\\"one\\\"\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":0,"
        "\"max_tokens\":7}");
    free(answer);
}

/* https://platform.openai.com/docs/api-reference/chat/create: "max_tokens … is not compatible with o-series
 * models". */
static void asks_reasoning_models_in_their_way(void **state) {
    (void)state;
    static const char *const NAMES[] = {"o3-mini", "gpt-5", "openai/gpt-5-mini"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        model_close(&model);
        set("LLM_MODEL", NAMES[i]);
        model = model_open(&loop);
        ask_answered(200, "", CONTENT("\"hi\""));
        assert_non_null(strstr(sent_body(), "\"max_completion_tokens\":1024"));
        assert_null(strstr(sent_body(), "temperature"));
    }
}

/* https://platform.openai.com/docs/guides/structured-outputs */
static void asks_for_a_form_by_its_schema(void **state) {
    (void)state;
    static const struct model_form CLOSED = {.name = "grade",
        .schema =
            "{\"$schema\":\"x\",\"title\":\"grade\",\"type\":\"object\",\"properties\":{\"title\":{\"type\":"
            "\"string\",\"minLength\":1},\"points\":{\"type\":\"array\",\"items\":{\"type\":\"number\","
            "\"maximum\":9}}},"
            "\"required\":[\"title\",\"points\"]}"};
    static const struct model_form OPEN = {.name = "any", .schema = "{\"type\":\"object\"}"};
    char *answer = stub_format(200, "", CONTENT("\"{}\""));
    struct model_request request = {.system = "", .user = "x", .form = &CLOSED};
    server.answer = answer;
    ask_request(&request);
    assert_non_null(strstr(sent_body(),
        ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"grade\",\"strict\":true,"
        "\"schema\":"
        "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"points\":{\"type\":\"array\","
        "\"items\":"
        "{\"type\":\"number\"}}},\"required\":[\"title\",\"points\"],\"additionalProperties\":false}}}}"));
    request.form = &OPEN;
    ask_request(&request);
    assert_non_null(strstr(sent_body(), "\"strict\":false,\"schema\":{\"type\":\"object\"}}}}"));
    free(answer);
}

/* What the server of llama-cpp-python 0.3 answers to a type that it does not know: 500 by its own handler
 * (seen), 422 where FastAPI's answers; and what it knows:
 * https://llama-cpp-python.readthedocs.io/en/latest/#json-and-json-schema-mode */
static void asks_a_server_without_schemas_in_another_way_from_then_on(void **state) {
    (void)state;
    static const struct model_form FORM = {.name = "any", .schema = "{\"type\":\"object\"}"};
    char *refusal = stub_format(422, "",
        "{\"detail\":[{\"type\":\"literal_error\",\"loc\":[\"body\",\"response_format\",\"type\"],\"msg\":"
        "\"Input should be "
        "'text' or 'json_object'\"}]}");
    char *broken = stub_format(500, "",
        "{\"error\":{\"message\":\"1 validation error: {'type': 'literal_error', 'loc': ('body', "
        "'response_format', "
        "'type'), 'msg': \\\"Input should be 'text' or "
        "'json_object'\\\"}\",\"type\":\"internal_server_error\"}}");
    char *answer = stub_format(200, "", CONTENT("\"{}\""));
    struct model_request request = {.system = "", .user = "x", .form = &FORM};
    server.answer = broken;
    server.then = answer;
    assert_int_equal(ask_request(&request).answer.status, MODEL_OK);
    assert_int_equal(server.requests, 2);
    assert_non_null(strstr(
        sent_body(), ",\"response_format\":{\"type\":\"json_object\",\"schema\":{\"type\":\"object\"}}}"));
    ask_request(&request);
    assert_int_equal(server.requests, 3);
    server.answer = refusal;
    server.then = answer;
    ask_request(&request);
    assert_non_null(strstr(sent_body(), ",\"response_format\":{\"type\":\"json_object\"}}"));
    server.answer = refusal;
    server.then = answer;
    ask_request(&request);
    assert_null(strstr(sent_body(), "response_format"));
    server.answer = refusal;
    assert_int_equal(ask_request(&request).answer.error_kind, MODEL_ERROR_REQUEST);
    free(refusal);
    free(broken);
    free(answer);
}

/* https://platform.openai.com/docs/api-reference/chat/object, usage */
static void tells_what_was_cached_and_what_was_thought(void **state) {
    (void)state;
    struct heard heard = ask_answered(200, "",
        "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
        "tokens\":2006,"
        "\"completion_tokens\":300,\"total_tokens\":2306,\"prompt_tokens_details\":{\"cached_tokens\":1920,"
        "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":128}}}");
    assert_int_equal(heard.answer.prompt_tokens, 2006);
    assert_int_equal(heard.answer.cached_tokens, 1920);
    assert_int_equal(heard.answer.completion_tokens, 300);
    assert_int_equal(heard.answer.reasoning_tokens, 128);
}

/* https://platform.openai.com/docs/api-reference/chat-streaming/streaming */
#define CHUNK(delta, finish)                                                                                 \
    "data: "                                                                                                 \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":" delta \
    ",\"finish_reason\":" finish "}],\"usage\":null}\n\n"
#define STREAM                                                                                               \
    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")                                               \
    CHUNK("{\"content\":\"Hel\"}", "null") CHUNK("{\"content\":\"lo\\u0000\"}", "null")
#define STREAM_END                                                                                           \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\n"  \
    "data: [DONE]\n\n"

static void reads_a_stream(void **state) {
    (void)state;
    struct heard heard = ask_streamed(STREAM CHUNK("{}", "\"stop\"") STREAM_END, false);
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, "Hello\xEF\xBF\xBD");
    assert_int_equal(heard.answer.replaced, 1);
    assert_int_equal(heard.answer.prompt_tokens, 5);
    assert_int_equal(heard.answer.completion_tokens, 2);
    assert_non_null(strstr(sent_body(), ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"));
    heard = ask_streamed(STREAM CHUNK("{}", "\"length\"") STREAM_END, false);
    assert_true(heard.answer.cut);
    heard = ask_streamed(STREAM CHUNK("{}", "\"content_filter\"") STREAM_END, false);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REFUSED);
    heard = ask_streamed(CHUNK("{\"refusal\":\"I will \"}", "null")
                             CHUNK("{\"refusal\":\"not.\"}", "\"stop\"") STREAM_END,
        false);
    assert_string_equal(heard.error, "the model refused: I will not.");
}

static void a_stream_that_breaks_off_is_no_short_answer(void **state) {
    (void)state;
    static const char *const streams[] = {
        STREAM, STREAM CHUNK("{}", "\"stop\""), STREAM "data: {\"choices\":[{\"del", STREAM "data: [DO"};
    for (size_t i = 0; i < 2 * sizeof streams / sizeof *streams; i++) {
        struct heard heard = ask_streamed(streams[i / 2], i % 2);
        assert_int_equal(heard.answer.status, MODEL_RETRY);
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_CUT);
    }
    /* Behind its end nothing matters any more. */
    assert_int_equal(ask_streamed(STREAM STREAM_END, true).answer.status, MODEL_OK);
}

static void an_error_within_a_stream_is_one(void **state) {
    (void)state;
    struct heard heard = ask_streamed(
        STREAM "data: {\"error\":{\"message\":\"slow down, sk-verysecret\",\"code\":\"429\"}}\n\n", false);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_RATE_LIMITED);
    heard =
        ask_streamed(STREAM "data: {\"error\":{\"message\":\"the engine died\"}}\n\ndata: [DONE]\n\n", false);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_SERVER);
    assert_non_null(strstr(heard.error, "the engine died"));
    heard = ask_streamed(STREAM "data: {no JSON}\n\ndata: [DONE]\n\n", false);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_INVALID_ANSWER);
}

static void streams_where_the_setting_says_so_and_the_server_can(void **state) {
    (void)state;
    set("LLM_STREAM", "true");
    struct heard heard = ask_answered(200, "", CONTENT("\"whole\""));
    assert_non_null(strstr(sent_body(), "\"stream\":true"));
    assert_string_equal(heard.text, "whole");
    heard = ask_answered(200, "", " \r\n" CONTENT("\"late\""));
    assert_string_equal(heard.text, "late");
    heard = ask_answered(429, "retry-after-ms: 1500\r\n", "{\"error\":{\"message\":\"no\"}}");
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_RATE_LIMITED);
    assert_int_equal(heard.answer.retry_after_ms, 1500);
    set("LLM_OUTPUT_BYTES_MAX", "4");
    heard = ask_streamed(STREAM CHUNK("{}", "\"stop\"") STREAM_END, false);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_TOO_LONG);
    /* No event, and no answer, is held without a bound. */
    for (int i = 0; i < 2; i++) {
        char *endless = memset(calloc(1, 200001), 'x', 200000);
        memcpy(endless, i ? "data: " : "{\"a\":\"", 6);
        assert_int_equal(ask_streamed(endless, false).answer.error_kind, MODEL_ERROR_TOO_LONG);
        free(endless);
    }
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
        enum model_error kind = statuses[i] == 429 ? MODEL_ERROR_RATE_LIMITED : MODEL_ERROR_SERVER;
        struct heard heard = ask_answered(statuses[i], "Retry-After: 3\r\n",
            "{\"error\":{\"message\":\"Rate limit reached for small in\\norganization "
            "org-1\",\"type\":\"requests\"}}");
        char want[200];
        snprintf(want, sizeof want,
            "the model's server answered with status %d: Rate limit reached for small in organization org-1",
            statuses[i]);
        assert_int_equal(heard.answer.status, MODEL_RETRY);
        assert_int_equal(heard.answer.error_kind, kind);
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

/* https://platform.openai.com/docs/guides/error-codes, and what servers like it say. */
static void failures_have_kinds(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum model_error kind;
    } failures[] = {
        {400,
            "{\"error\":{\"message\":\"Unrecognized "
            "argument\",\"type\":\"invalid_request_error\",\"code\":null}}",
            MODEL_ERROR_REQUEST},
        {400, "{\"error\":{\"message\":\"Too much\",\"code\":\"context_length_exceeded\"}}",
            MODEL_ERROR_CONTEXT_TOO_LONG},
        {400, "{\"message\":\"This model's maximum context length is 2048 tokens.\"}",
            MODEL_ERROR_CONTEXT_TOO_LONG},
        {400, "{\"error\":{\"message\":\"the request exceeds the available context size\",\"code\":400}}",
            MODEL_ERROR_CONTEXT_TOO_LONG},
        {413, "", MODEL_ERROR_CONTEXT_TOO_LONG},
        {400, "{\"error\":{\"message\":\"Filtered\",\"code\":\"content_filter\"}}", MODEL_ERROR_REFUSED},
        {401, "{\"error\":{\"message\":\"no\"}}", MODEL_ERROR_UNAUTHORIZED},
        {403, "<html>", MODEL_ERROR_UNAUTHORIZED},
        {404, "{}", MODEL_ERROR_REQUEST},
    };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        struct heard heard = ask_answered(failures[i].status, "", failures[i].body);
        assert_int_equal(heard.answer.status, MODEL_REJECT);
        assert_int_equal(heard.answer.error_kind, failures[i].kind);
    }
}

/* https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers */
static void reads_rate_headers_of_answers_good_and_bad(void **state) {
    (void)state;
    static const char HEADERS[] = "x-ratelimit-limit-requests: 60\r\nX-RateLimit-Remaining-Requests: 59\r\n"
                                  "x-ratelimit-reset-requests: 1s\r\nx-ratelimit-remaining-tokens: 0\r\n"
                                  "x-ratelimit-reset-tokens: 6m0.5s\r\n";
    for (int i = 0; i < 2; i++) {
        struct heard heard = ask_answered(i ? 429 : 200, HEADERS, i ? "{}" : CONTENT("\"x\""));
        assert_true(heard.answer.requests_left.known);
        assert_int_equal(heard.answer.requests_left.remaining, 59);
        assert_int_equal(heard.answer.requests_left.reset_ms, 1000);
        assert_int_equal(heard.answer.tokens_left.remaining, 0);
        assert_int_equal(heard.answer.tokens_left.reset_ms, 360500);
    }
    assert_false(ask_answered(200, "", CONTENT("\"x\"")).answer.tokens_left.known);
}

static void reads_the_times_of_rate_headers(void **state) {
    (void)state;
    static const int64_t NOW_US = INT64_C(1767225600000000); /* 2026-01-01 */
    assert_int_equal(allowance_reset_ms("120ms", 0), 120);
    assert_int_equal(allowance_reset_ms("12", 0), 12000);
    assert_int_equal(allowance_reset_ms("1h2m3s", 0), 3723000);
    assert_int_equal(allowance_reset_ms("2026-01-01T00:00:30Z", NOW_US), 30000);
    assert_int_equal(allowance_reset_ms("2025-12-31T00:00:00Z", NOW_US), 0);
    assert_int_equal(allowance_reset_ms("2027-01-01T00:00:00Z", NOW_US), 86400000);
    assert_int_equal(allowance_reset_ms("999999999h", 0), 86400000);
    static const char *const none[] = {"", "-1", "s", "1x", "1s2", "nan", "soon"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(allowance_reset_ms(none[i], 0), -1);
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
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_INVALID_ANSWER);
        assert_non_null(strstr(heard.error, "200"));
    }
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":";
    server.cuts = true;
    assert_int_equal(ask_request(&QUESTION).answer.error_kind, MODEL_ERROR_CUT);
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
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REFUSED);
    assert_string_equal(heard.error, "the model refused: I will not do that.");
}

static void too_much_text_is_refused(void **state) {
    (void)state;
    set("LLM_OUTPUT_BYTES_MAX", "5");
    assert_int_equal(ask_answered(200, "", CONTENT("\"12345\"")).answer.status, MODEL_OK);
    struct heard heard = ask_answered(200, "", CONTENT("\"123456\""));
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_TOO_LONG);
    assert_string_equal(heard.error, "the model's answer is longer than 5 bytes");
}

static void a_slow_model_may_be_asked_again(void **state) {
    (void)state;
    set("LLM_TIMEOUT_MS", "30");
    server.answer = NULL;
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_TIMEOUT);
    assert_non_null(strstr(heard.error, "in time"));
}

static void a_server_that_does_not_begin_to_answer_may_be_asked_again(void **state) {
    (void)state;
    set("LLM_FIRST_BYTE_TIMEOUT_MS", "50");
    server.answer = NULL;
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_TIMEOUT);
    assert_non_null(strstr(heard.error, "did not begin to answer"));
}

static void a_model_that_is_away_may_come_back(void **state) {
    (void)state;
    model_close(&model);
    set("LLM_BASE_URL", "http://127.0.0.1:1");
    model = model_open(&loop);
    model_observe(model, note_try, NULL);
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_UNREACHABLE);
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

/* The providers' names that model_open chooses in a child, or "" with the exit code. */
static const char *chosen_in_child(const char *provider, const char *url, const char *key, int *code) {
    static char name[32];
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        set("LLM_PROVIDER", provider);
        set("LLM_BASE_URL", url);
        set("LLM_API_KEY", key);
        const char *chosen = model_name(model_open(&loop));
        _exit(write(ends[1], chosen, strlen(chosen)) == (ssize_t)strlen(chosen) ? 0 : 4);
    }
    close(ends[1]);
    ssize_t length = read(ends[0], name, sizeof name - 1);
    name[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return name;
}

static void the_settings_choose_the_provider(void **state) {
    (void)state;
    int code;
    assert_string_equal(chosen_in_child("", "http://localhost:1/v1", "", &code), "openai");
    assert_string_equal(chosen_in_child("", "http://localhost:1/v1", "key", &code), "openai");
    assert_string_equal(chosen_in_child("", "", "key", &code), "gemini");
    assert_string_equal(chosen_in_child("", "", "", &code), "mock");
    assert_string_equal(chosen_in_child("anthropic", "", "key", &code), "anthropic");
    assert_string_equal(chosen_in_child("openai", "", "key", &code), "openai");
    assert_int_equal(code, 0);
    assert_string_equal(chosen_in_child("chatty", "", "key", &code), "");
    assert_int_equal(code, 2);
}

static void bad_settings_end_the_start(void **state) {
    (void)state;
    int code;
    chosen_in_child("", "ftp://example.org", "", &code);
    assert_int_equal(code, 2);
    chosen_in_child("", "localhost:8000", "", &code);
    assert_int_equal(code, 2);
    chosen_in_child("", "http://localhost:8000", "a\r\nX: y", &code);
    assert_int_equal(code, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_model)
    const struct CMUnitTest tests[] = {
        TEST(sends_a_chat_completion),
        TEST(sends_only_what_there_is),
        TEST(asks_reasoning_models_in_their_way),
        TEST(asks_for_a_form_by_its_schema),
        TEST(asks_a_server_without_schemas_in_another_way_from_then_on),
        TEST(tells_what_was_cached_and_what_was_thought),
        TEST(reads_a_stream),
        TEST(a_stream_that_breaks_off_is_no_short_answer),
        TEST(an_error_within_a_stream_is_one),
        TEST(streams_where_the_setting_says_so_and_the_server_can),
        TEST(failures_have_kinds),
        TEST(reads_rate_headers_of_answers_good_and_bad),
        TEST(reads_the_times_of_rate_headers),
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
        TEST(a_server_that_does_not_begin_to_answer_may_be_asked_again),
        TEST(a_model_that_is_away_may_come_back),
        TEST(closing_gives_calls_up),
        TEST(the_settings_choose_the_provider),
        TEST(bad_settings_end_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
