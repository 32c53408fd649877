/* Spans: OTLP's JSON, and how they are sent to a collector, tried again, dropped and counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <uv.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/settings.h"
#include "shared/span.h"
#include "shared/span_names.h"
#include "tests/unit/stub_server.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static uv_loop_t loop;
static struct stub_server server;
static struct trace sampled, not_sampled;
static struct arena *arena;

/* Settings live as long as a process, of which each test is to be one. */
static void forget_settings(void) {
    for (const struct setting *setting = span_settings; setting->name; setting++)
        if (setting->type == SETTING_STRING || setting->type == SETTING_SECRET) {
            free(*(char **)setting->value);
            *(char **)setting->value = NULL;
        }
}

/* Settings as the environment gives them; name and value in turn, NULL ends them. */
static void open_with(const char *const *variables) {
    static struct setting *const tables[] = {span_settings, NULL};
    static const struct program program = {"moru-test", "test", "Tests.", tables};
    static char *arguments[] = {(char *)"moru-test", NULL};
    char endpoint[64];
    for (const struct setting *setting = span_settings; setting->name; setting++)
        unsetenv(setting->name);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", server.port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, 1);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "1", 1);
    for (; variables && *variables; variables += 2)
        setenv(variables[0], variables[1], 1);
    forget_settings();
    settings_load(&program, 1, arguments);
    spans_open(&loop, "moru-test", "test-0");
}

#define OPEN(...) open_with((const char *const[]){__VA_ARGS__, NULL})

static int set_up(void **state) {
    (void)state;
    uv_loop_init(&loop);
    stub_open(&server, &loop);
    arena = arena_create(0);
    trace_continue(&sampled, "00-" TRACE "-" PARENT "-01");
    trace_continue(&not_sampled, "00-" TRACE "-" PARENT "-00");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    spans_close(0);
    forget_settings();
    uv_close((uv_handle_t *)&server.listener, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    free(server.request);
    arena_destroy(&arena);
    return uv_loop_close(&loop);
}

static void record(const struct trace *trace, const char *name) {
    span_record(
        &(struct span){.trace = trace, .kind = SPAN_SERVER, .name = name, .began_ns = 1, .ended_ns = 2});
}

/* The value of a sample as it stands in /metrics; 0 when there is none. */
static double metric(const char *sample) {
    struct buffer text = buffer_in(arena);
    metrics_write(&text);
    const char *at = strstr(buffer_text(&text), arena_format(arena, "\n%s ", sample));
    return at ? strtod(at + strlen(sample) + 2, NULL) : 0;
}

static double dropped(const char *reason) {
    return metric(arena_format(arena, "agent_spans_dropped_total{reason=\"%s\"}", reason));
}

/* The body of the last request that the collector got; to be deleted. */
static cJSON *body(void) {
    cJSON *json = cJSON_Parse(strstr(server.request, "\r\n\r\n") + 4);
    assert_non_null(json);
    return json;
}

static const cJSON *at(const cJSON *json, const char *name) {
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, name), 0);
}

static const cJSON *spans_in(const cJSON *json) {
    return cJSON_GetObjectItemCaseSensitive(at(at(json, "resourceSpans"), "scopeSpans"), "spans");
}

static const char *resource_attribute(const cJSON *json, const char *name) {
    const cJSON *attribute,
        *resource = cJSON_GetObjectItemCaseSensitive(at(json, "resourceSpans"), "resource");
    cJSON_ArrayForEach(attribute, cJSON_GetObjectItemCaseSensitive(resource, "attributes")) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(attribute, "value");
        if (strcmp(cJSON_GetObjectItemCaseSensitive(attribute, "key")->valuestring, name) == 0)
            return cJSON_GetObjectItemCaseSensitive(value, "stringValue")->valuestring;
    }
    return NULL;
}

static void await_requests(int count) {
    while (server.requests < count)
        uv_run(&loop, UV_RUN_ONCE);
}

/* Until the collector has answered as often and the answer was taken in. */
static void await_queued(double count) {
    while (metric("agent_spans_queued") > count)
        uv_run(&loop, UV_RUN_ONCE);
}

static void a_span_is_written_as_otlp_says(void **state) {
    (void)state;
    struct trace trace = sampled;
    memcpy(trace.parent + 36, "b9c7c989f97918e1", 16);
    struct buffer json = buffer_in(arena);
    span_encode(
        &json, &(struct span){.trace = &trace,
                   .kind = SPAN_CLIENT,
                   .name = "chat \"x\"",
                   .began_ns = 1800000000123456789,
                   .ended_ns = 1800000001123456789,
                   .error_type = "timeout",
                   .attributes = span_attributes(span_string("left.out", NULL), span_string("empty", ""),
                       span_count("not.known", 0), span_string("a", "b\xff\n"), span_integer("zero", 0),
                       span_count("tokens", 9007199254740993), span_double("t", 0.2),
                       span_strings(SPAN_GEN_AI_FINISH_REASONS, "stop"))});
    assert_string_equal(buffer_text(&json),
        "{\"traceId\":\"" TRACE "\",\"spanId\":\"b9c7c989f97918e1\",\"parentSpanId\":\"" PARENT
        "\",\"name\":\"chat \\\"x\\\"\",\"kind\":3,\"startTimeUnixNano\":\"1800000000123456789\","
        "\"endTimeUnixNano\":\"1800000001123456789\",\"attributes\":["
        "{\"key\":\"a\",\"value\":{\"stringValue\":\"b\xef\xbf\xbd\\n\"}},"
        "{\"key\":\"zero\",\"value\":{\"intValue\":\"0\"}},"
        "{\"key\":\"tokens\",\"value\":{\"intValue\":\"9007199254740993\"}},"
        "{\"key\":\"t\",\"value\":{\"doubleValue\":0.2}},"
        "{\"key\":\"gen_ai.response.finish_reasons\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":"
        "\"stop\"}]}}},"
        "{\"key\":\"error.type\",\"value\":{\"stringValue\":\"timeout\"}}],\"status\":{\"code\":2}}");
}

static void a_span_that_begins_a_trace_has_no_parent(void **state) {
    (void)state;
    struct trace trace;
    trace_continue(&trace, NULL);
    struct buffer json = buffer_in(arena);
    span_encode(&json, &(struct span){.trace = &trace, .kind = SPAN_SERVER, .name = "x"});
    assert_null(strstr(buffer_text(&json), "parentSpanId"));
    assert_null(strstr(buffer_text(&json), "status"));
    assert_non_null(strstr(buffer_text(&json), "\"attributes\":[]"));
}

static void without_a_collector_no_span_is_wanted(void **state) {
    (void)state;
    OPEN("OTEL_EXPORTER_OTLP_ENDPOINT", "");
    assert_false(span_wanted(&sampled) || span_wanted(NULL) || span_content_wanted());
    record(&sampled, "x");
    OPEN("OTEL_SDK_DISABLED", "true");
    assert_false(span_wanted(&sampled));
}

static void spans_go_to_the_collector_with_who_made_them(void **state) {
    (void)state;
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    OPEN("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b%3Dc , authorization=Bearer sesame",
        "OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod%2C1,service.name=other");
    double before = metric("agent_spans_exported_total");
    assert_true(span_wanted(&sampled) && !span_wanted(&not_sampled));
    record(&sampled, "one");
    record(&not_sampled, "not this one");
    record(&sampled, "two");
    assert_int_equal(server.requests, 0);
    await_requests(1);
    await_queued(0);
    assert_memory_equal(server.request, "POST /v1/traces HTTP/1.1\r\n", 26);
    assert_non_null(strstr(server.request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(server.request, "\r\nx-key: a b=c\r\n"));
    assert_non_null(strstr(server.request, "\r\nauthorization: Bearer sesame\r\n"));
    cJSON *json = body();
    assert_int_equal(cJSON_GetArraySize(spans_in(json)), 2);
    assert_string_equal(resource_attribute(json, "service.name"), "other");
    assert_string_equal(resource_attribute(json, "service.instance.id"), "test-0");
    assert_string_equal(resource_attribute(json, "deployment.environment.name"), "prod,1");
    cJSON_Delete(json);
    assert_true(metric("agent_spans_exported_total") == before + 2);
}

static void the_name_of_the_service_goes_before_that_among_the_attributes(void **state) {
    (void)state;
    char url[64];
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    snprintf(url, sizeof url, "http://127.0.0.1:%d/elsewhere", server.port);
    OPEN("OTEL_SERVICE_NAME", "mine", "OTEL_RESOURCE_ATTRIBUTES", "service.name=other,a=b,broken",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url);
    record(&sampled, "one");
    await_requests(1);
    assert_memory_equal(server.request, "POST /elsewhere HTTP/1.1\r\n", 26);
    cJSON *json = body();
    assert_string_equal(resource_attribute(json, "service.name"), "mine");
    assert_string_equal(resource_attribute(json, "a"), "b");
    cJSON_Delete(json);
    await_queued(0);
}

static void a_header_with_a_line_feed_goes_nowhere(void **state) {
    (void)state;
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    OPEN("OTEL_EXPORTER_OTLP_HEADERS", "x=a%0d%0aInjected: yes");
    record(&sampled, "one");
    await_requests(1);
    assert_null(strstr(server.request, "Injected"));
    await_queued(0);
}

static void what_may_pass_is_sent_again_and_keeps_its_spans(void **state) {
    (void)state;
    static const int STATUSES[] = {429, 502, 503, 504};
    OPEN(NULL);
    double before = metric("agent_spans_exported_total");
    for (size_t i = 0; i < 4; i++) {
        char *busy = stub_format(STATUSES[i], "Retry-After: 1\r\n", "busy");
        server.answer = busy;
        server.requests = 0;
        record(&sampled, "kept");
        await_requests(1);
        server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        await_requests(2);
        await_queued(0);
        free(busy);
    }
    assert_true(metric("agent_spans_exported_total") == before + 4);
}

static void what_will_not_pass_is_dropped_and_counted(void **state) {
    (void)state;
    static const int STATUSES[] = {400, 401, 404, 413, 500};
    OPEN(NULL);
    double before = dropped("refused");
    for (size_t i = 0; i < 5; i++) {
        char *refusal = stub_format(STATUSES[i], "", "no");
        server.answer = refusal;
        server.requests = 0;
        record(&sampled, "lost");
        await_requests(1);
        await_queued(0);
        free(refusal);
        assert_int_equal(server.requests, 1);
    }
    assert_true(dropped("refused") == before + 5);
}

static void spans_that_the_collector_rejects_are_counted(void **state) {
    (void)state;
    char *partial =
        stub_format(200, "", "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"odd\"}}");
    OPEN("OTEL_BSP_SCHEDULE_DELAY", "5");
    double taken = metric("agent_spans_exported_total"), rejected = dropped("rejected");
    server.answer = partial;
    for (int i = 0; i < 3; i++)
        record(&sampled, "x");
    await_requests(1);
    await_queued(0);
    assert_true(metric("agent_spans_exported_total") == taken + 1 && dropped("rejected") == rejected + 2);
    free(partial);
}

static void the_queue_is_bounded_and_goes_in_batches(void **state) {
    (void)state;
    OPEN("OTEL_BSP_MAX_QUEUE_SIZE", "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4", "OTEL_BSP_SCHEDULE_DELAY",
        "60000");
    double before = dropped("full");
    server.answer = NULL;
    for (int i = 0; i < 15; i++)
        record(&sampled, "x");
    assert_true(metric("agent_spans_queued") == 10 && dropped("full") == before + 5);
    await_requests(1); /* though the delay is long: a batch is full */
    cJSON *json = body();
    assert_int_equal(cJSON_GetArraySize(spans_in(json)), 4);
    cJSON_Delete(json);
}

static void serve(void *context) {
    struct stub_server *collector = context;
    while (!collector->requests)
        uv_run(collector->listener.loop, UV_RUN_ONCE);
    uv_run(collector->listener.loop, UV_RUN_NOWAIT); /* writes the answer */
    uv_close((uv_handle_t *)&collector->listener, NULL);
    uv_run(collector->listener.loop, UV_RUN_DEFAULT); /* until the client has closed its connection */
}

/* The collector is in a thread and on a loop of its own, since closing waits for it. */
static void closing_sends_what_waits(void **state) {
    (void)state;
    uv_thread_t thread;
    uv_loop_t its_loop;
    struct stub_server collector;
    char url[64];
    uv_loop_init(&its_loop);
    stub_open(&collector, &its_loop);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", collector.port);
    OPEN("OTEL_EXPORTER_OTLP_ENDPOINT", url, "OTEL_BSP_SCHEDULE_DELAY", "60000");
    double before = metric("agent_spans_exported_total");
    collector.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    record(&sampled, "last");
    uv_thread_create(&thread, serve, &collector);
    spans_close(10000);
    uv_thread_join(&thread);
    assert_non_null(strstr(collector.request, "\"last\""));
    assert_true(metric("agent_spans_exported_total") == before + 1);
    assert_false(span_wanted(&sampled));
    free(collector.request);
    uv_loop_close(&its_loop);
}

/* The listener takes the connection and nobody answers: the call ends with the time that closing may take. */
static void closing_does_not_wait_for_a_collector_that_hangs(void **state) {
    (void)state;
    OPEN("OTEL_BSP_SCHEDULE_DELAY", "60000");
    record(&sampled, "lost");
    spans_close(50);
    assert_false(span_wanted(&sampled));
}

int main(void) {
    metrics_add_table(span_metrics);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_span_is_written_as_otlp_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_span_that_begins_a_trace_has_no_parent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_collector_no_span_is_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spans_go_to_the_collector_with_who_made_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_name_of_the_service_goes_before_that_among_the_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_header_with_a_line_feed_goes_nowhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_pass_is_sent_again_and_keeps_its_spans, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_will_not_pass_is_dropped_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spans_that_the_collector_rejects_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_queue_is_bounded_and_goes_in_batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_sends_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_does_not_wait_for_a_collector_that_hangs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
