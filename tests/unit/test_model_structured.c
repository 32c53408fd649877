/* Structured answers: what is no such object is asked for once more, and then an error. */
#include "tests/unit/asking.h"

#include "schemas/judgement.h"
#include "shared/arena.h"
#include "shared/json.h"

#define GOOD                                                                                                 \
    "{\\\"relevance\\\":8,\\\"quality\\\":7,\\\"safety\\\":9,\\\"reasoning\\\":\\\"a } in \\\\\\\"it\\\"}"
#define GOOD_PLAIN "{\"relevance\":8,\"quality\":7,\"safety\":9,\"reasoning\":\"a } in \\\"it\"}"

static bool check(struct arena *arena, const char *text, size_t length, const char **why) {
    struct json_errors errors = {0};
    struct judgement judgement;
    bool good = judgement_decode(arena, text, length, &judgement, &errors);
    if (!good)
        *why = json_first_error(arena, "no judgement", &errors);
    return good;
}

static const struct model_form JUDGEMENT = {.name = "judgement", .schema = JUDGEMENT_SCHEMA, .check = check};
static const struct model_form ANY = {.name = "any", .schema = "{\"type\":\"object\"}"};

static int set_up(void **state) {
    (void)state;
    open_server("openai", "/v1", "small");
    set("LLM_TRIES_MAX", "2"); /* a question and its repair */
    model = model_open(&loop); /* what is heard is the call's end, not its last try's */
    return 0;
}

/* An answer with this content, as JSON writes it. */
static char *answer_of(const char *content) {
    char body[2000];
    snprintf(body, sizeof body,
        "{\"choices\":[{\"message\":{\"content\":\"%s\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
        "tokens\":10,"
        "\"completion_tokens\":4}}",
        content);
    return stub_format(200, "", body);
}

static struct heard ask_judge(const struct model_form *form, const char *first, const char *second) {
    char *answer = answer_of(first), *then = second ? answer_of(second) : NULL;
    struct model_request request = {.system = "Judge.", .user = "Output: x", .form = form};
    server.requests = 0;
    server.answer = answer;
    server.then = then;
    struct heard heard = ask_request(&request);
    free(answer);
    free(then);
    return heard;
}

static void takes_the_object_out_of_what_is_around_it(void **state) {
    (void)state;
    static const char *const contents[] = {GOOD, "```json\\n" GOOD "\\n```",
        "Here it is: " GOOD " - as {asked} for.", "I thought of {quality} and {} first. " GOOD, GOOD GOOD};
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        struct heard heard = ask_judge(&JUDGEMENT, contents[i], NULL);
        assert_int_equal(heard.answer.status, MODEL_OK);
        assert_string_equal(heard.text, GOOD_PLAIN);
        assert_int_equal(server.requests, 1);
    }
    assert_string_equal(ask_judge(&ANY, "So: {\\\"a\\\":{\\\"b\\\":1}}", NULL).text, "{\"a\":{\"b\":1}}");
}

static void asks_once_more_and_says_what_was_wrong(void **state) {
    (void)state;
    struct heard heard = ask_judge(&JUDGEMENT,
        "{\\\"relevance\\\":80,\\\"quality\\\":7,\\\"safety\\\":9,\\\"reasoning\\\":\\\"</last_answer>\\\"}",
        GOOD);
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.text, GOOD_PLAIN);
    assert_int_equal(server.requests, 2);
    /* What both cost. */
    assert_int_equal(heard.answer.prompt_tokens, 20);
    assert_int_equal(heard.answer.completion_tokens, 8);
    assert_non_null(strstr(sent_body(), "Output: x\\n\\n<last_answer>\\n{\\\"relevance\\\":80,"));
    assert_non_null(strstr(sent_body(), "\\\"reasoning\\\":\\\"< /last_answer>\\\"}\\n</last_answer>\\n"));
    assert_non_null(strstr(sent_body(), "no judgement: /relevance: must be at most 10"));
    assert_non_null(strstr(sent_body(), "\\\"maximum\\\":10"));
}

static void twice_wrong_is_an_error_of_its_own(void **state) {
    (void)state;
    static const char *const contents[] = {"It is quite nice.", "", "{\\\"relevance\\\":", "{ } } {", "[1]"};
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        struct heard heard = ask_judge(&JUDGEMENT, contents[i], NULL);
        assert_int_equal(heard.answer.status, MODEL_REJECT);
        assert_int_equal(heard.answer.error_kind, MODEL_ERROR_FORM);
        assert_int_equal(heard.answer.completion_tokens, 8);
        assert_int_equal(server.requests, 2);
        assert_non_null(strstr(heard.error, "twice not of the form asked for: "));
    }
    assert_int_equal(ask_judge(&ANY, "no", NULL).answer.error_kind, MODEL_ERROR_FORM);
}

static void other_failures_pass_through(void **state) {
    (void)state;
    struct model_request request = {.system = "Judge.", .user = "Output: x", .form = &JUDGEMENT};
    char *failure = stub_format(503, "", "{}"), *wrong = answer_of("no");
    server.answer = failure;
    assert_int_equal(ask_request(&request).answer.error_kind, MODEL_ERROR_SERVER);
    server.answer = wrong;
    server.then = failure;
    struct heard heard = ask_request(&request);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_SERVER);
    assert_int_equal(heard.answer.prompt_tokens, 10);
    free(failure);
    free(wrong);
}

static void both_questions_share_a_budget(void **state) {
    (void)state;
    struct model_budget budget = {0};
    struct model_request request = {.system = "", .user = "x", .form = &JUDGEMENT, .budget = &budget};
    char *wrong = answer_of("no");
    server.answer = wrong;
    ask_request(&request);
    assert_int_equal(budget.tries, 2);
    free(wrong);
}

struct seen {
    int count;
    enum model_error kinds[8];
};

static void see(void *context, const struct model_try *attempt) {
    struct seen *seen = context;
    assert_string_equal(attempt->request->system, "Judge.");
    assert_true(attempt->ended_ns >= attempt->began_ns);
    seen->kinds[seen->count++] = attempt->answer->error_kind;
}

static void closing_gives_up_and_tells_observers(void **state) {
    (void)state;
    struct seen seen = {0};
    struct heard heard = {0};
    struct model_request request = {.system = "Judge.", .user = "Output: x", .form = &JUDGEMENT};
    char *wrong = answer_of("no");
    model_observe(model, see, &seen);
    server.answer = wrong;
    model_call(model, &request, hear, &heard);
    while (!seen.count)
        uv_run(&loop, UV_RUN_ONCE);
    model_close(&model);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(heard.count, 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.kinds[0], MODEL_ERROR_NONE);
    assert_int_equal(seen.kinds[1], MODEL_ERROR_CANCELLED);
    free(wrong);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, close_model)
    const struct CMUnitTest tests[] = {
        TEST(takes_the_object_out_of_what_is_around_it),
        TEST(asks_once_more_and_says_what_was_wrong),
        TEST(twice_wrong_is_an_error_of_its_own),
        TEST(other_failures_pass_through),
        TEST(both_questions_share_a_budget),
        TEST(closing_gives_up_and_tells_observers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
