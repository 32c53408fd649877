/* The simulator's calls over HTTP: answers, usage, latency, errors, refusals, hanging, and the counts of it
 * all. */
#include "tests/unit/http_exchange.h"

#include "shared/arena.h"
#include "shared/buffer.h"
#include "tests/sim/calls.h"
#include "tests/sim/control.h"
#include "tests/sim/settings.h"

enum { BODY_MAX = 65536, CALLS = 40 };

static struct arena *arena;
static struct sim_model *model;
static struct calls *calls;

static void take(struct http_request *http, void *context) {
    (void)context;
    calls_take(calls, http);
}

static void control(struct http_request *http, void *context) {
    (void)context;
    (void)control_take(http);
}

static const struct http_route routes[] = {
    {"POST", "/v1/chat/completions", take}, {"POST", "/control", control}, {0}};

static int set_up(void **state) {
    (void)state;
    http_settings = (struct http_settings){.address = "127.0.0.1",
        .body_bytes_max = BODY_MAX,
        .connections_max = 1000,
        .idle_timeout_ms = 60000};
    sim_settings = (struct sim_settings){.seed = 3,
        .retry_after_s = 7,
        .error_status = 500,
        .fates_of = "all",
        .analyst = "good",
        .author = "good"};
    struct sim_options options = sim_settings_options();
    arena = arena_create(0);
    model = sim_model_open(&options);
    start_server(routes, NULL);
    calls = calls_open(&loop, model);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stop_server();
    calls_close(&calls);
    sim_model_close(&model);
    arena_destroy(&arena);
    return 0;
}

static const char *post_to(const char *path, const char *body) {
    return arena_format(arena,
        "POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
        strlen(body), body);
}

static const char *post_with(const char *member, const char *system, const char *user) {
    const char *body = arena_format(arena,
        "{\"model\": \"any\", %s\"messages\": [{\"role\": \"system\", \"content\": \"%s\"}, {\"role\": "
        "\"user\", \"content\": "
        "[{\"type\": \"text\", \"text\": \"%s\"}]}]}",
        member, system, user);
    return post_to("/v1/chat/completions", body);
}

static const char *post(const char *system, const char *user) {
    return post_with("", system, user);
}

static const char *good(void) {
    return post(
        "Return only code, and write a docstring.", "Write a Python function that reverses a string.");
}

static void check_stats(const char *part) {
    struct buffer stats = buffer_in(arena);
    calls_write_stats(calls, &stats);
    if (!strstr(buffer_text(&stats), part))
        fail_msg("expected %s in %s", part, buffer_text(&stats));
}

static void test_a_call_is_answered_with_usage(void **state) {
    (void)state;
    expect(good(), "200", "\"usage\":{\"prompt_tokens\":");
    expect(good(), "200", "def reverses_string(");
    expect(post("Rate relevance, quality and safety.", "Input:\\nhello\\n\\nOutput:\\nhello"), "200",
        "relevance");
    check_stats("\"roles\":{\"author\":2,\"refiner\":0,\"judge\":1,");
    check_stats("\"in_flight\":0,");
}

static void test_what_is_no_conversation_is_refused(void **state) {
    (void)state;
    expect(
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "400", "messages");
    expect(
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
        "400", "messages");
    check_stats("\"400\":2");
}

static void test_calls_wait_side_by_side(void **state) {
    (void)state;
    struct client clients[CALLS];
    sim_settings.latency_ms = 200;
    for (int i = 0; i < CALLS; i++) {
        clients[i] = client_open();
        client_send(&clients[i], good());
    }
    for (int i = 0; i < CALLS; i++) {
        char *answer = client_answer(&clients[i]);
        assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
        free(answer);
        client_close(&clients[i]);
    }
    check_stats("\"peak_in_flight\":40}");
}

static void test_errors_and_refusals_come_as_set(void **state) {
    (void)state;
    sim_settings.error_share = 1;
    expect(good(), "500", "error");
    sim_settings.error_share = 0;
    sim_settings.rate_limit_share = 1;
    expect(good(), "429", "Retry-After: 7\r\n");
    check_stats("\"429\":1,\"500\":1");
}

/* The statuses of some calls, a letter each. */
static const char *fates(void) {
    struct buffer seen = buffer_in(arena);
    for (int i = 0; i < CALLS; i++) {
        char *answer = ask(good());
        buffer_byte(&seen, answer[9]);
        free(answer);
    }
    return buffer_text(&seen);
}

static void test_the_seed_fixes_each_calls_fate(void **state) {
    (void)state;
    sim_settings.error_share = sim_settings.rate_limit_share = 0.25;
    const char *first = fates();
    calls_close(&calls);
    calls = calls_open(&loop, model);
    assert_string_equal(first, fates());
    assert_non_null(strchr(first, '2'));
    assert_non_null(strchr(first, '4'));
    assert_non_null(strchr(first, '5'));
}

static void test_a_hanging_call_ends_when_its_caller_leaves(void **state) {
    (void)state;
    sim_settings.hang_share = 1;
    struct client client = client_open();
    client_send(&client, good());
    wait_for(http_server_pending(server) == 1);
    check_stats("\"hung\":1,\"left\":0,\"in_flight\":1,");
    client_reset(&client);
    wait_for(http_server_pending(server) == 0);
    check_stats("\"hung\":1,\"left\":1,\"in_flight\":0,");
}

static void test_judgements_break_off_as_set(void **state) {
    (void)state;
    sim_settings.bad_json_share = 1;
    char *answer = ask(post("Rate relevance, quality and safety.", "Input:\\nhello\\n\\nOutput:\\nhello"));
    assert_non_null(strstr(answer, "\\\"relevance\\\""));
    assert_null(strstr(answer, "reasoning\\\": \\\""));
    free(answer);
    check_stats("\"broken_json\":1");
}

/* All that a call on a connection of its own gets before the server closes it. */
static const char *until_closed(const char *request) {
    struct client client = client_open();
    client_send(&client, request);
    client_wait_end(&client);
    const char *text = arena_string(arena, client.text);
    client_close(&client);
    return text;
}

static void test_each_fate_is_met(void **state) {
    (void)state;
    static const struct {
        double *share;
        const char *status, *part;
    } fates[] = {
        {&sim_settings.refusal_share, "200", "\"content\":null,\"refusal\":\"I cannot"},
        {&sim_settings.filter_share, "200", "\"finish_reason\":\"content_filter\""},
        {&sim_settings.empty_share, "200", "\"content\":\"\"}}]"},
        {&sim_settings.length_share, "200", "\"finish_reason\":\"length\""},
        {&sim_settings.context_share, "400", "\"code\":\"context_length_exceeded\""},
    };
    for (size_t i = 0; i < sizeof fates / sizeof *fates; i++) {
        *fates[i].share = 1;
        expect(good(), fates[i].status, fates[i].part);
        *fates[i].share = 0;
    }
    sim_settings.half_json_share = 1;
    char *answer = ask(good());
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    assert_int_not_equal(answer[strlen(answer) - 1], '}');
    free(answer);
    check_stats("\"half_json\":1,\"refused\":1,\"filtered\":1,\"empty\":1,\"length\":1,\"context\":1}");
}

static void test_errors_have_the_status_that_is_set(void **state) {
    (void)state;
    sim_settings.error_share = 1;
    sim_settings.error_status = 401;
    expect(good(), "401", "invalid_api_key");
    sim_settings.error_status = 503;
    expect(good(), "503", "server_error");
    sim_settings.error_share = 0;
    sim_settings.rate_limit_share = 1;
    sim_settings.retry_after_s = -1;
    char *answer = ask(good());
    assert_int_equal(strncmp(answer, "HTTP/1.1 429 ", 13), 0);
    assert_null(strstr(answer, "Retry-After"));
    free(answer);
}

static void test_connections_are_cut(void **state) {
    (void)state;
    sim_settings.cut_share = 1;
    assert_string_equal(until_closed(good()), "");
    sim_settings.cut_share = 0;
    sim_settings.cut_body_share = 1;
    const char *text = until_closed(good());
    assert_int_equal(strncmp(text, "HTTP/1.1 200 ", 13), 0);
    assert_non_null(strstr(text, "\"id\":\"chatcmpl-"));
    assert_null(strstr(text, "\r\n0\r\n"));
    check_stats("\"in_flight\":0,");
}

static const char *streamed(void) {
    const char *request = post_with("\"stream\": true, \"stream_options\": {\"include_usage\": true}, ",
        "Return only code.", "Write a Python function that reverses a string.");
    return until_closed(arena_format(
        arena, "POST /v1/chat/completions HTTP/1.1\r\nConnection: close%s", strchr(request, '\r')));
}

static void test_an_answer_is_streamed_if_asked_for(void **state) {
    (void)state;
    const char *text = streamed();
    assert_non_null(strstr(text, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(text, "\"delta\":{\"role\":\"assistant\"}}]}\n\n"));
    assert_non_null(strstr(text, "\"finish_reason\":\"stop\",\"delta\":{}}]}\n\n"));
    assert_non_null(strstr(text, "\"choices\":[],\"usage\":{\"prompt_tokens\":"));
    assert_non_null(strstr(text, "data: [DONE]\n\n"));
    sim_settings.half_json_share = 1;
    text = streamed();
    assert_null(strstr(text, "[DONE]"));
    assert_non_null(strstr(text, "\r\n0\r\n"));
    sim_settings.half_json_share = 0;
    sim_settings.cut_body_share = 1;
    text = streamed();
    assert_non_null(strstr(text, "\"delta\":{\"content\":"));
    assert_null(strstr(text, "\r\n0\r\n"));
}

static void test_fates_befall_whom_they_are_meant_for(void **state) {
    (void)state;
    sim_settings.error_share = 1;
    sim_settings.fates_of = "judge";
    expect(good(), "200", "def ");
    expect(post("Rate relevance, quality and safety.", "Input:\\nhello\\n\\nOutput:\\nhello"), "500",
        "broke down");
}

static void test_settings_change_while_it_runs(void **state) {
    (void)state;
    expect(post_to("/control", "{\"error_share\": 1, \"error_status\": 403, \"fates_of\": \"author\"}"),
        "200", "{}");
    expect(good(), "403", "error");
    expect(post_to("/control", "{\"error_share\": 0, \"slow_ms\": -1}"), "400", "/slow_ms");
    expect(post_to("/control", "{\"error_share\": 0, \"latency_ms\": 0.5}"), "400", "/latency_ms");
    expect(post_to("/control", "{\"error_share\": 0, \"seed\": 1}"), "400", "/seed");
    expect(post_to("/control", "[]"), "400", "object");
    expect(good(), "403", "error");
    expect(post_to("/control", "{\"error_share\": 0}"), "200", "{}");
    expect(good(), "200", "def ");
}

static void test_repeats_are_told_from_first_calls(void **state) {
    (void)state;
    sim_settings.error_share = 1;
    expect(good(), "500", "error");
    sim_settings.error_share = 0;
    expect(good(), "200", "def ");
    check_stats("\"distinct\":1,");
    check_stats("\"repeats\":{\"author\":1,");
    check_stats("\"repeats_of_answered\":{\"author\":0,");
    expect(good(), "200", "def ");
    check_stats("\"repeats\":{\"author\":2,");
    check_stats("\"repeats_of_answered\":{\"author\":1,");
}

static void test_limits_refuse_what_is_too_much(void **state) {
    (void)state;
    sim_settings.requests_per_s = 2;
    expect(good(), "200", "x-ratelimit-remaining-requests: 1\r\n");
    expect(good(), "200", "x-ratelimit-limit-requests: 2\r\n");
    expect(good(), "429", "Retry-After: 7\r\n");
    sim_settings.requests_per_s = 0;
    sim_settings.concurrency_max = 1;
    sim_settings.latency_ms = 100;
    struct client first = client_open();
    client_send(&first, good());
    wait_for(http_server_pending(server) == 1);
    expect(good(), "429", "too many requests");
    free(client_answer(&first));
    client_close(&first);
}

static void test_usage_has_its_details(void **state) {
    (void)state;
    sim_settings.cached_share = 0.5;
    sim_settings.reasoning_tokens = 40;
    expect(good(), "200", "\"prompt_tokens_details\":{\"cached_tokens\":11}");
    expect(good(), "200", "\"completion_tokens_details\":{\"reasoning_tokens\":40}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_call_is_answered_with_usage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_conversation_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls_wait_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_and_refusals_come_as_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_seed_fixes_each_calls_fate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hanging_call_ends_when_its_caller_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judgements_break_off_as_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_fate_is_met, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_have_the_status_that_is_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connections_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_answer_is_streamed_if_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fates_befall_whom_they_are_meant_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settings_change_while_it_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_repeats_are_told_from_first_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits_refuse_what_is_too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_usage_has_its_details, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
