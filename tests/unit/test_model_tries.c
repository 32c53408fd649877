/* What a call makes of its tries: budgets, waits, fallbacks, breakers and gates, against real servers. */
#include "tests/unit/asking.h"

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/gate.h"
#include "shared/model/tries.h"

enum { CALLS_MAX = 40 };

/* Answers of the servers, whole. */
static char *good, *broken, *unauthorized;
static struct stub_server spare;
static char fallback[80];

static void prepare(const char *tries_max) {
    open_server("openai", "/v1", "first");
    set("LLM_TRIES_MAX", tries_max);
    set("LLM_RETRY_AFTER_MAX_MS", "60000");
    server.answer = good;
    stub_open(&spare, &loop);
    spare.answer = good;
}

static int set_up(void **state) {
    (void)state;
    prepare("3");
    model = NULL; /* the test opens it, with settings of its own */
    return 0;
}

static int tear_down(void **state) {
    uv_close((uv_handle_t *)&spare.listener, NULL);
    free(spare.request);
    spare.request = NULL;
    return close_model(state);
}

/* As settings say; with a fallback to the spare server where the test wants one. */
static void begin(bool with_fallback) {
    snprintf(fallback, sizeof fallback, "spare=openai:small@http://127.0.0.1:%d/v1", spare.port);
    set("LLM_FALLBACKS", with_fallback ? fallback : "");
    set("OPENAI_API_KEY", with_fallback ? "sk-spare" : "");
    model = model_open(&loop);
}

static void await(const int *count, int wanted) {
    while (*count < wanted)
        uv_run(&loop, UV_RUN_ONCE);
}

static double metric_of(const char *sample) {
    struct arena *arena = arena_create(0);
    struct buffer text = buffer_in(arena);
    metrics_write(&text);
    const char *line = strstr(buffer_text(&text), sample);
    double value = line ? strtod(line + strlen(sample), NULL) : -1;
    arena_destroy(&arena);
    return value;
}

static double breaker_state(void) {
    return metric_of("agent_model_breaker_state{target=\"first\"} ");
}

/* Budgets. */

static void tries_have_a_budget(void **state) {
    (void)state;
    begin(false);
    server.answer = broken;
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(server.requests, 3);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_SERVER);
    assert_string_equal(heard.answer.model, "first");
    assert_non_null(strstr(heard.error, "503"));
}

static void fallbacks_are_paid_from_the_same_budget(void **state) {
    (void)state;
    begin(true);
    server.answer = spare.answer = broken;
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_SERVER);
    assert_int_equal(server.requests, 2);
    assert_int_equal(spare.requests, 1);
}

static void two_calls_share_a_budget(void **state) {
    (void)state;
    struct model_budget budget = {0};
    struct model_request request = QUESTION;
    request.budget = &budget;
    begin(false);
    server.answer = broken;
    server.then = good;
    assert_int_equal(ask_request(&request).answer.status, MODEL_OK);
    assert_int_equal(budget.tries, 2);
    server.answer = broken;
    assert_int_equal(ask_request(&request).answer.error_kind, MODEL_ERROR_SERVER);
    assert_int_equal(server.requests, 3);
    /* A third one finds nothing left. */
    struct heard heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_non_null(strstr(heard.error, "used up"));
    assert_int_equal(server.requests, 3);
}

static void a_budget_is_of_time_too(void **state) {
    (void)state;
    set("LLM_BUDGET_MS", "100");
    begin(false);
    server.answer = NULL;
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_TIMEOUT);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(server.requests, 1);
}

/* Waits. */

/* How long the call took by the loop's clock, in ms, after a first answer with these headers. */
static uint64_t ask_after(const char *headers, struct heard *heard) {
    char *limited = stub_format(429, headers, "{}");
    server.answer = limited;
    server.then = good;
    uint64_t began = uv_now(&loop);
    *heard = ask_request(&QUESTION);
    free(limited);
    return uv_now(&loop) - began;
}

static void retry_after_is_a_floor(void **state) {
    (void)state;
    struct heard heard;
    begin(false);
    assert_true(ask_after("retry-after-ms: 700\r\n", &heard) >= 700);
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_int_equal(server.requests, 2);
}

static void retry_after_is_capped(void **state) {
    (void)state;
    struct heard heard;
    set("LLM_RETRY_AFTER_MAX_MS", "300");
    begin(false);
    /* Uncapped, it would be a wait for the topic deferred. */
    assert_true(ask_after("Retry-After: 3000\r\n", &heard) >= 300);
    assert_int_equal(heard.answer.status, MODEL_OK);
}

static void a_long_wait_is_for_who_asked(void **state) {
    (void)state;
    struct heard heard;
    struct model_budget budget = {0};
    struct model_request request = QUESTION;
    request.budget = &budget;
    begin(false);
    ask_after("Retry-After: 30\r\n", &heard);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_RATE_LIMITED);
    assert_in_range(heard.answer.retry_after_ms, 5001, 30000);
    /* The next one does not even ask, and has lost no try. */
    heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_in_range(heard.answer.retry_after_ms, 5001, 30000);
    assert_int_equal(budget.tries, 0);
    assert_int_equal(server.requests, 1);
}

static void a_fallback_serves_while_one_asks_to_wait(void **state) {
    (void)state;
    struct heard heard;
    begin(true);
    ask_after("Retry-After: 30\r\n", &heard);
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.answer.model, "spare");
    assert_string_equal(ask_request(&QUESTION).answer.model, "spare");
    assert_int_equal(server.requests, 1);
    assert_int_equal(spare.requests, 2);
}

/* Which failures get another try, and of whom. */

#define REFUSAL                                                                                              \
    "{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"No.\"},\"finish_reason\":\"stop\"}]}"
#define TOO_LONG "{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}"

static void what_the_request_is_to_blame_for_is_asked_once(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum model_error kind;
    } FAILURES[] = {
        {400, "{}", MODEL_ERROR_REQUEST},
        {404, "{}", MODEL_ERROR_REQUEST},
        {400, TOO_LONG, MODEL_ERROR_CONTEXT_TOO_LONG},
        {413, "{}", MODEL_ERROR_CONTEXT_TOO_LONG},
        {200, REFUSAL, MODEL_ERROR_REFUSED},
    };
    begin(true);
    for (size_t i = 0; i < sizeof FAILURES / sizeof *FAILURES; i++) {
        server.requests = 0;
        struct heard heard = ask_answered(FAILURES[i].status, "", FAILURES[i].body);
        assert_int_equal(heard.answer.status, MODEL_REJECT);
        assert_int_equal(heard.answer.error_kind, FAILURES[i].kind);
        assert_int_equal(server.requests, 1);
    }
    assert_int_equal(spare.requests, 0);
}

static void a_wrong_key_is_tried_once_and_another_models_key_serves(void **state) {
    (void)state;
    begin(true);
    for (int status = 401; status <= 403; status += 2) {
        struct heard heard = ask_answered(status, "", "{}");
        assert_int_equal(heard.answer.status, MODEL_OK);
        assert_string_equal(heard.answer.model, "spare");
    }
    assert_int_equal(server.requests, 2);
    assert_non_null(strstr(spare.request, "Bearer sk-spare\r\n"));
    /* With wrong keys everywhere each is asked once. */
    server.answer = spare.answer = unauthorized;
    struct heard heard = ask_request(&QUESTION);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_UNAUTHORIZED);
    assert_int_equal(server.requests, 3);
    assert_int_equal(spare.requests, 3);
}

static void one_that_fails_is_followed_by_its_fallback(void **state) {
    (void)state;
    static const int STATUSES[] = {429, 500, 503, 529, 408};
    begin(true);
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        server.requests = spare.requests = 0;
        struct heard heard = ask_answered(STATUSES[i], "", "{}");
        assert_int_equal(heard.answer.status, MODEL_OK);
        assert_string_equal(heard.answer.model, "spare");
        assert_int_equal(server.requests, 1);
        assert_int_equal(spare.requests, 1);
    }
}

static void a_named_model_has_the_fallbacks_too(void **state) {
    (void)state;
    set("LLM_MODELS", "gone=openai:gone@http://127.0.0.1:1/v1");
    begin(true);
    struct model_request request = QUESTION;
    request.model = "gone";
    struct heard heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_OK);
    assert_string_equal(heard.answer.model, "spare");
    assert_int_equal(server.requests, 0);
    request.model = "nobody";
    heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_REQUEST);
}

/* Breakers. */

struct all {
    int heard, ok;
    enum model_error last_kind;
    int spare;
};

static void hear_all(void *context, const struct model_answer *answer) {
    struct all *all = context;
    uv_stop(&loop);
    all->heard++;
    all->ok += answer->status == MODEL_OK;
    all->last_kind = answer->error_kind;
    all->spare += answer->model && strcmp(answer->model, "spare") == 0;
}

static void call_many(int count, bool somebody_waits, struct all *all) {
    struct model_request request = QUESTION;
    request.somebody_waits = somebody_waits;
    for (int i = 0; i < count; i++)
        model_call(model, &request, hear_all, all);
}

static void an_open_breaker_sends_calls_to_the_fallback(void **state) {
    (void)state;
    struct all all = {0};
    begin(true);
    server.answer = broken;
    call_many(10, true, &all);
    await(&all.heard, 10);
    assert_int_equal(all.spare, 10);
    assert_int_equal(server.requests, 10);
    assert_true(breaker_state() == 2);
    /* One of those that come may be the probe; whoever it is, it is served by the fallback after. */
    call_many(20, true, &all);
    await(&all.heard, 30);
    assert_int_equal(all.spare, 30);
    assert_in_range(server.requests, 10, 11);
}

static int times_back;

static void note_back(void *context) {
    (void)context;
    times_back++;
}

static void nobody_is_lost_while_a_model_is_away(void **state) {
    (void)state;
    struct all patient = {0}, impatient = {0};
    set("LLM_AWAY_WAIT_MS", "300");
    begin(false);
    times_back = 0;
    model_on_back(model, note_back, NULL);
    server.answer = broken;
    assert_null(model_away(model));
    call_many(TRIES_AWAY_MIN + 4, false, &patient);
    while (!model_away(model))
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(breaker_state() > 0);
    /* Who is waited for is told; it is not asked for that. */
    call_many(5, true, &impatient);
    await(&impatient.heard, 5);
    assert_int_equal(impatient.ok, 0);
    assert_int_equal(impatient.last_kind, MODEL_ERROR_AWAY);
    /* A probe is at most one request at a time, and costs nobody its tries. */
    int before = server.requests;
    await(&server.requests, before + 3);
    assert_int_equal(patient.heard, 0);
    server.answer = good;
    await(&patient.heard, TRIES_AWAY_MIN + 4);
    assert_int_equal(patient.ok, TRIES_AWAY_MIN + 4);
    assert_true(breaker_state() == 0);
    assert_null(model_away(model));
    assert_true(times_back > 0);
}

/* What an outage cost the first call of a request is not missing when the second is made. */
static void an_outage_costs_a_request_no_tries(void **state) {
    (void)state;
    struct all all = {0};
    struct model_budget budgets[CALLS_MAX] = {0};
    struct model_request request = QUESTION;
    request.somebody_waits = false;
    begin(false);
    server.answer = broken;
    for (int i = 0; i < CALLS_MAX; i++) {
        request.budget = &budgets[i];
        model_call(model, &request, hear_all, &all);
    }
    while (!model_away(model))
        uv_run(&loop, UV_RUN_ONCE);
    int before = server.requests;
    await(&server.requests, before + 3);
    server.answer = good;
    await(&all.heard, CALLS_MAX);
    assert_int_equal(all.ok, CALLS_MAX);
    for (int i = 0; i < CALLS_MAX; i++)
        assert_in_range(budgets[i].tries, 1, 1);
}

/* Gates. */

struct gatekeeper {
    int asked, forgotten;
    struct model_pass *held[CALLS_MAX];
    const char *users[CALLS_MAX];
    const char *refusal; /* NULL: passes are held */
    int64_t retry_after_ms;
};

static void be_asked(void *context, const struct model_target *target, const struct model_request *request,
    struct model_pass *pass) {
    struct gatekeeper *keeper = context;
    (void)target;
    keeper->users[keeper->asked] = request->user;
    keeper->held[keeper->asked++] = pass;
    if (keeper->refusal)
        model_pass_refuse(pass, keeper->refusal, keeper->retry_after_ms);
}

static void be_forgotten(void *context, struct model_pass *pass) {
    struct gatekeeper *keeper = context;
    (void)pass;
    keeper->forgotten++;
}

static void keep_gate(struct gatekeeper *keeper) {
    *keeper = (struct gatekeeper){0};
    model_set_gate(model, &(struct model_gate){be_asked, be_forgotten, keeper});
}

static void a_gate_refuses_for_good_or_until_later(void **state) {
    (void)state;
    struct gatekeeper keeper;
    struct model_budget budget = {0};
    struct model_request request = QUESTION;
    request.budget = &budget;
    begin(true);
    keep_gate(&keeper);
    keeper.refusal = "the money is spent";
    keeper.retry_after_ms = -1;
    struct heard heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_BUDGET);
    assert_string_equal(heard.error, "the money is spent");
    keeper.retry_after_ms = 7000;
    heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_RETRY);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_BUDGET);
    assert_int_equal(heard.answer.retry_after_ms, 7000);
    assert_int_equal(keeper.asked, 2);
    assert_int_equal(budget.tries, 0);
    assert_int_equal(server.requests + spare.requests, 0);
}

static void a_gate_may_open_later_and_who_is_waited_for_is_first(void **state) {
    (void)state;
    struct gatekeeper keeper;
    struct all all = {0};
    set("LLM_CONCURRENCY_MAX", "1");
    begin(false);
    keep_gate(&keeper);
    static const struct {
        const char *user;
        bool somebody_waits;
    } CALLS[] = {{"one", false}, {"two", false}, {"three", true}};
    for (size_t i = 0; i < 3; i++) {
        struct model_request request = {
            .system = "", .user = CALLS[i].user, .somebody_waits = CALLS[i].somebody_waits};
        model_call(model, &request, hear_all, &all);
    }
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(keeper.asked, 1); /* there is one place */
    static const char *const ORDER[] = {"one", "three", "two"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(keeper.asked, i + 1);
        assert_string_equal(keeper.users[i], ORDER[i]);
        model_pass_open(keeper.held[i]);
        await(&all.heard, i + 1);
    }
    assert_int_equal(all.ok, 3);
}

static void there_may_be_no_place_in_time(void **state) {
    (void)state;
    struct gatekeeper keeper;
    struct model_budget budget = {.ends_ms = uv_now(&loop) + 50};
    struct model_request request = QUESTION;
    struct all all = {0};
    set("LLM_CONCURRENCY_MAX", "1");
    begin(false);
    keep_gate(&keeper);
    model_call(model, &request, hear_all, &all);
    request.budget = &budget;
    struct heard heard = ask_request(&request);
    assert_int_equal(heard.answer.status, MODEL_REJECT);
    assert_int_equal(heard.answer.error_kind, MODEL_ERROR_RATE_LIMITED);
    assert_int_equal(budget.tries, 0);
    assert_int_equal(all.heard, 0);
}

/* The end. */

static int told_cancelled;

static void note_cancelled(void *context, const struct model_try *attempt) {
    (void)context;
    told_cancelled += attempt->answer->error_kind == MODEL_ERROR_CANCELLED;
}

static void close_silently(const struct all *all) {
    int heard = all->heard;
    model_close(&model);
    for (int i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(all->heard, heard);
}

static void closing_gives_up_who_is_tried_or_waits_for_a_place(void **state) {
    (void)state;
    struct all all = {0};
    set("LLM_CONCURRENCY_MAX", "2");
    begin(false);
    model_observe(model, note_cancelled, NULL);
    told_cancelled = 0;
    server.answer = NULL;
    call_many(3, true, &all);
    call_many(3, false, &all);
    await(&server.requests, 2);
    close_silently(&all);
    assert_int_equal(told_cancelled, 2); /* whoever was tried has cost something */
}

static void closing_gives_up_who_backs_off(void **state) {
    (void)state;
    struct all all = {0};
    begin(false);
    server.answer = broken;
    call_many(5, true, &all);
    while (metric_of("agent_model_tries_total{target=\"first\",outcome=\"server\"} ") < 5)
        uv_run(&loop, UV_RUN_ONCE);
    close_silently(&all);
}

static void closing_gives_up_who_waits_for_a_model_that_is_away(void **state) {
    (void)state;
    struct all all = {0};
    begin(false);
    server.answer = broken;
    call_many(TRIES_AWAY_MIN, false, &all);
    while (!model_away(model))
        uv_run(&loop, UV_RUN_ONCE);
    call_many(2, true, &all);
    close_silently(&all);
}

static void closing_gives_up_who_has_just_failed(void **state) {
    (void)state;
    struct all all = {0};
    struct model_request request = QUESTION;
    request.model = "nobody";
    begin(false);
    model_call(model, &request, hear_all, &all);
    close_silently(&all);
    assert_int_equal(all.heard, 0);
}

static void closing_has_the_gate_forget(void **state) {
    (void)state;
    struct gatekeeper keeper;
    struct all all = {0};
    begin(false);
    keep_gate(&keeper);
    call_many(3, true, &all);
    assert_int_equal(keeper.asked, 3);
    close_silently(&all);
    assert_int_equal(keeper.forgotten, 3);
    assert_int_equal(server.requests, 0);
}

static void close_when_heard(void *context, const struct model_answer *answer) {
    (void)answer;
    ++*(int *)context;
    model_close(&model);
}

static void who_hears_may_close(void **state) {
    (void)state;
    static const char *const NAMES[] = {"nobody", NULL}; /* fails at once; is served */
    for (size_t name = 0; name < 2; name++) {
        int heard = 0;
        struct model_request request = QUESTION;
        request.model = NAMES[name];
        begin(false);
        for (int i = 0; i < 3; i++)
            model_call(model, &request, close_when_heard, &heard);
        for (int turns = 0; turns < 3 || !heard; turns++)
            uv_run(&loop, heard ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        assert_int_equal(heard, 1);
    }
}

int main(void) {
    good =
        stub_format(200, "", "{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}");
    broken = stub_format(503, "", "{}");
    unauthorized = stub_format(401, "", "{}");
    metrics_add_table(model_metrics);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tries_have_a_budget),
        TEST(fallbacks_are_paid_from_the_same_budget),
        TEST(two_calls_share_a_budget),
        TEST(a_budget_is_of_time_too),
        TEST(retry_after_is_a_floor),
        TEST(retry_after_is_capped),
        TEST(a_long_wait_is_for_who_asked),
        TEST(a_fallback_serves_while_one_asks_to_wait),
        TEST(what_the_request_is_to_blame_for_is_asked_once),
        TEST(a_wrong_key_is_tried_once_and_another_models_key_serves),
        TEST(one_that_fails_is_followed_by_its_fallback),
        TEST(a_named_model_has_the_fallbacks_too),
        TEST(an_open_breaker_sends_calls_to_the_fallback),
        TEST(nobody_is_lost_while_a_model_is_away),
        TEST(an_outage_costs_a_request_no_tries),
        TEST(a_gate_refuses_for_good_or_until_later),
        TEST(a_gate_may_open_later_and_who_is_waited_for_is_first),
        TEST(there_may_be_no_place_in_time),
        TEST(closing_gives_up_who_is_tried_or_waits_for_a_place),
        TEST(closing_gives_up_who_backs_off),
        TEST(closing_gives_up_who_waits_for_a_model_that_is_away),
        TEST(closing_gives_up_who_has_just_failed),
        TEST(closing_has_the_gate_forget),
        TEST(who_hears_may_close),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(good);
    free(broken);
    free(unauthorized);
    return failed;
}
