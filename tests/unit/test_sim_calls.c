/* The simulator's calls over HTTP: answers, usage, latency, errors, refusals, hanging, and the counts of it
 * all. */
#include "tests/unit/http_exchange.h"

#include "shared/arena.h"
#include "shared/buffer.h"
#include "tests/sim/calls.h"
#include "tests/sim/settings.h"

enum { BODY_MAX = 65536, CALLS = 40 };

static struct arena *arena;
static struct sim_model *model;
static struct calls *calls;

static void take(struct http_request *http, void *context) {
    (void)context;
    calls_take(calls, http);
}

static const struct http_route routes[] = {{"POST", "/v1/chat/completions", take}, {0}};

static int set_up(void **state) {
    (void)state;
    http_settings = (struct http_settings){.address = "127.0.0.1",
        .body_bytes_max = BODY_MAX,
        .connections_max = 1000,
        .idle_timeout_ms = 60000};
    sim_settings = (struct sim_settings){.seed = 3, .retry_after_s = 7, .analyst = "good", .author = "good"};
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

static const char *post(const char *system, const char *user) {
    const char *body = arena_format(arena,
        "{\"model\": \"any\", \"messages\": [{\"role\": \"system\", \"content\": \"%s\"}, {\"role\": "
        "\"user\", \"content\": "
        "[{\"type\": \"text\", \"text\": \"%s\"}]}]}",
        system, user);
    return arena_format(arena,
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
        "%zu\r\n\r\n%s",
        strlen(body), body);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_call_is_answered_with_usage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_conversation_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls_wait_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_and_refusals_come_as_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_seed_fixes_each_calls_fate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hanging_call_ends_when_its_caller_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judgements_break_off_as_set, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
