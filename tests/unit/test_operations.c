/* What operators ask of every process: health, readiness and metrics. */
#include "tests/unit/http_exchange.h"

#include "shared/metrics.h"
#include "shared/operations.h"
#include "shared/settings.h"

static const char *kafka_reason, *postgres_reason;

static const char *reason_of(void *context) {
    return *(const char **)context;
}

static const struct dependency dependencies[] = {
    {"kafka", true, reason_of, &kafka_reason}, {"postgres", false, reason_of, &postgres_reason}, {0}};

static const struct http_route routes[] = {OPERATIONS_ROUTES, {0}};

static struct metric metrics[] = {
    {.name = "test_total", .type = METRIC_COUNTER, .help = "A test's count."}, {0}};

static int set_up(void **state) {
    (void)state;
    kafka_reason = postgres_reason = NULL;
    http_settings = (struct http_settings){
        .address = "127.0.0.1", .body_bytes_max = 1024, .connections_max = 10, .idle_timeout_ms = 60000};
    operations_open("tester", dependencies);
    start_server(routes, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stop_server();
    return 0;
}

static void health_names_service_and_version(void **state) {
    char body[100];
    (void)state;
    snprintf(body, sizeof body, "\r\n\r\n{\"status\":\"ok\",\"service\":\"tester\",\"version\":\"%s\"}",
        MORU_VERSION);
    expect("GET /health HTTP/1.1\r\n\r\n", "200", body);
}

static void ready_tells_of_its_dependencies(void **state) {
    (void)state;
    expect("GET /ready HTTP/1.1\r\n\r\n", "200",
        "\r\n\r\n{\"status\":\"ready\",\"checks\":{\"kafka\":\"ok\",\"postgres\":\"ok\"}}");
    postgres_reason = "it is \"away\"";
    expect("GET /ready HTTP/1.1\r\n\r\n", "200",
        "{\"status\":\"degraded\",\"checks\":{\"kafka\":\"ok\",\"postgres\":\"it is \\\"away\\\"\"}}");
    kafka_reason = "no broker answers";
    expect("GET /ready HTTP/1.1\r\n\r\n", "503", "\r\nRetry-After: 1\r\n");
    expect("GET /ready HTTP/1.1\r\n\r\n", "503", "kafka: no broker answers");
}

static void metrics_are_prometheus_text(void **state) {
    (void)state;
    metric_count(&metrics[0], 3);
    expect("GET /metrics HTTP/1.1\r\n\r\n", "200",
        "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    expect("GET /metrics/ HTTP/1.1\r\n\r\n", "200", "\ntest_total 3\n");
}

int main(void) {
    metrics_add_table(metrics);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(health_names_service_and_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ready_tells_of_its_dependencies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_are_prometheus_text, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
