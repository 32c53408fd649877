/* The gateway: HTTP in, Kafka out, replies back. */
#include <signal.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/keys.h"
#include "gateway/prompts.h"
#include "schemas/openapi.h"
#include "schemas/topics.h"
#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/kafka.h"
#include "shared/log.h"
#include "shared/log_loop.h"
#include "shared/operations.h"
#include "shared/pg.h"
#include "shared/replies.h"
#include "shared/span.h"

enum { MESSAGE_TIMEOUT_MS = 20000, CONNECTED_WITHIN_MS = 3000 };

struct gateway_settings gateway_settings;

static struct setting settings[] = {
    {.name = "REQUEST_TIMEOUT_MS",
        .type = SETTING_INTEGER,
        .value = &gateway_settings.request_timeout_ms,
        .otherwise = "30000",
        .min = 1,
        .max = 3600000,
        .help = "How long a synchronous call waits for its result, in milliseconds"},
    {.name = "REQUEST_EXPIRY_MS",
        .type = SETTING_INTEGER,
        .value = &gateway_settings.request_expiry_ms,
        .otherwise = "86400000",
        .min = 1000,
        .max = 2592000000.0,
        .help = "How long a request may wait to be served before it fails, in milliseconds"},
    {.name = "REQUESTS_WAITING_MAX",
        .type = SETTING_INTEGER,
        .value = &gateway_settings.waiting_max,
        .otherwise = "20000",
        .min = 1,
        .max = 1e6,
        .help = "Callers that may wait for results at once; more get 503"},
    {.name = "GATEWAY_GRACE_MS",
        .type = SETTING_INTEGER,
        .value = &gateway_settings.grace_ms,
        .otherwise = "30000",
        .min = 0,
        .max = 3600000,
        .help = "How long a stopping gateway lets running calls end, in milliseconds"},
    {0},
};
static struct setting *const setting_tables[] = {settings, models_settings, http_server_settings,
    kafka_settings, pg_settings, request_id_settings, span_settings, NULL};

static void openapi(struct http_request *http, void *context) {
    (void)context;
    http_respond(http, 200, "application/json", OPENAPI_JSON, strlen(OPENAPI_JSON));
}

static const struct http_route routes[] = {
    {"POST", "/api/v1/request", submit_synchronous},
    {"POST", "/api/v1/requests", submit_asynchronous},
    {"GET", "/api/v1/requests/{id}", results_one},
    {"GET", "/api/v1/request/{id}", results_one},
    {"GET", "/api/v1/requests", results_list},
    {"POST", "/api/v1/requests:batch", .upload = &batch_upload},
    {"GET", "/api/v1/batches/{id}", batches_one},
    {"GET", "/api/v1/batches/{id}/results", batches_results},
    {"GET", "/api/v1/prompts", prompts_list},
    {"GET", "/api/v1/prompts/{task_type}", prompts_versions},
    {"POST", "/api/v1/prompts/{task_type}", prompts_add},
    {"POST", "/api/v1/prompts/{task_type}/versions/{version}/activate", prompts_activate},
    {"POST", "/api/v1/prompts/{task_type}/rollback", prompts_roll_back},
    {"GET", "/api/v1/prompts/{task_type}/diff", prompts_diff},
    {"POST", "/api/v1/prompts/{task_type}/optimize", optimizations_request},
    {"GET", "/api/v1/optimizations", optimizations_list},
    {"GET", "/api/v1/optimizations/{id}", optimizations_one},
    {"POST", "/api/v1/optimizations/{id}/approve", optimizations_approve},
    {"POST", "/api/v1/optimizations/{id}/reject", optimizations_reject},
    {"GET", "/api/v1/usage", usage_get},
    {"GET", "/openapi.json", openapi},
    OPERATIONS_ROUTES,
    {0},
};

static const char *kafka_check(void *context) {
    struct gateway *gateway = context;
    const char *broken = kafka_broken(gateway->kafka);
    return broken                               ? broken
           : !replies_address(gateway->replies) ? "the end of the topic replies is not known yet"
                                                : NULL;
}

static const char *postgres_check(void *context) {
    struct gateway *gateway = context;
    return pg_ready(gateway->pg) ? NULL : "no connection to Postgres";
}

static void on_kafka(void *context, bool ready) {
    struct gateway *gateway = context;
    if (ready)
        replies_start(gateway->replies, gateway->kafka);
}

static void on_answer(void *context, const char *method, const char *route, int status, double seconds) {
    (void)context;
    (void)seconds;
    const char code[] = {
        (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10), '\0'};
    metric_count(&gateway_metrics[4], 1, method, route, code);
}

/* Those that run; none before it listens. */
static size_t calls(const struct gateway *gateway) {
    return gateway->http ? http_server_pending(gateway->http) : 0;
}

static void stop_when_idle(struct gateway *gateway) {
    if (!calls(gateway) && !kafka_outstanding(gateway->kafka))
        uv_stop(&gateway->loop);
}

static void on_grace_timer(uv_timer_t *timer) {
    struct gateway *gateway = timer->data;
    static uint64_t waited_ms;
    waited_ms += 50;
    stop_when_idle(gateway);
    if (waited_ms < (uint64_t)gateway_settings.grace_ms)
        return;
    log_warn("calls_unfinished", log_integer("calls", (int64_t)calls(gateway)));
    uv_stop(&gateway->loop);
}

static void on_signal(uv_signal_t *signal, int number) {
    struct gateway *gateway = signal->data;
    if (gateway->draining)
        return;
    gateway->draining = true;
    log_info("stopping", log_string("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"),
        log_integer("calls", (int64_t)calls(gateway)));
    if (gateway->http)
        http_server_stop_accepting(gateway->http);
    uv_timer_start(&gateway->grace_timer, on_grace_timer, 0, 50);
}

static void start_signals(struct gateway *gateway) {
    uv_timer_init(&gateway->loop, &gateway->grace_timer);
    uv_signal_init(&gateway->loop, &gateway->sigterm);
    uv_signal_init(&gateway->loop, &gateway->sigint);
    gateway->grace_timer.data = gateway->sigterm.data = gateway->sigint.data = gateway;
    uv_signal_start(&gateway->sigterm, on_signal, SIGTERM);
    uv_signal_start(&gateway->sigint, on_signal, SIGINT);
}

static void open_kafka(struct gateway *gateway) {
    static const char *topics[8];
    int count = 0;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        topics[count++] = TOPIC_REQUESTS.kafka_names[lane];
    topics[count] = TOPIC_REPLIES.kafka_names[0];
    gateway->kafka = kafka_open(&gateway->loop, &(struct kafka_options){.topics = topics,
                                                    .message_timeout_ms = MESSAGE_TIMEOUT_MS,
                                                    .changed = on_kafka,
                                                    .context = gateway});
}

static void on_connecting_timer(uv_timer_t *timer) {
    (void)timer; /* only ends the loop's sleep */
}

/* Who is refused the connection asks another gateway, but who gets through to one that has just started would
 * get an error until it has its own connections. What is away for long is told by errors. */
static void wait_for_connections(struct gateway *gateway) {
    uint64_t until = uv_now(&gateway->loop) + CONNECTED_WITHIN_MS;
    uv_timer_t *timer = &gateway->connecting_timer;
    uv_timer_init(&gateway->loop, timer);
    uv_timer_start(timer, on_connecting_timer, 50, 50);
    while ((kafka_check(gateway) || postgres_check(gateway) || !pg_ready(gateway->management)) &&
           !gateway->draining && uv_now(&gateway->loop) < until)
        uv_run(&gateway->loop, UV_RUN_ONCE);
    uv_timer_stop(timer);
}

static bool open_all(struct gateway *gateway) {
    static struct dependency dependencies[3];
    dependencies[0] = (struct dependency){"kafka", true, kafka_check, gateway};
    dependencies[1] = (struct dependency){"postgres", false, postgres_check, gateway};
    operations_open("gateway", dependencies);
    spans_open(&gateway->loop, "moru-gateway", kafka_instance_id());
    gateway->replies =
        replies_open(&gateway->loop, TOPIC_REPLIES.kafka_names[0], NULL, waiters_replied, gateway);
    gateway->pg = pg_open(&gateway->loop, NULL, NULL);
    gateway->management = pg_open(&gateway->loop, NULL, NULL);
    gateway->task_types = task_types_open(gateway->pg);
    gateway->models = models_open();
    gateway->waiters = waiters_open(gateway);
    gateway->keys = keys_open(gateway->pg);
    gateway->uploads = uploads_open(gateway);
    gateway->door = door_open(gateway);
    open_kafka(gateway);
    wait_for_connections(gateway);
    if (gateway->draining)
        return true;
    gateway->http = http_server_open(&gateway->loop, routes, gateway);
    if (gateway->http)
        http_server_on_answer(gateway->http, on_answer, gateway);
    return gateway->http != NULL;
}

int main(int argc, char **argv) {
    static struct gateway gateway;
    arena_keep_freed();
    http_server_default_port("8000");
    metrics_add_table(gateway_metrics);
    metrics_add_table(batch_metrics);
    metrics_add_table(span_metrics);
    settings_load(
        &(struct program){.name = "moru-gateway",
            .service = "gateway",
            .purpose =
                "Takes generation requests over HTTP, publishes them to Kafka and answers with results.",
            .tables = setting_tables},
        argc, argv);
    /* A peer that has gone shows as EPIPE where it matters. */
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&gateway.loop) != 0)
        return 1;
    log_gather_on(&gateway.loop); /* first of all that prepares, so that it comes last */
    start_signals(&gateway);
    log_info("starting", log_string("version", MORU_VERSION), log_string("instance", kafka_instance_id()));
    if (!open_all(&gateway))
        return 1;
    uv_run(&gateway.loop, UV_RUN_DEFAULT);
    http_server_close(&gateway.http);
    replies_close(&gateway.replies);
    door_close(&gateway.door);
    pg_close(&gateway.pg);
    pg_close(&gateway.management);
    task_types_close(&gateway.task_types);
    models_close(&gateway.models);
    waiters_close(&gateway.waiters);
    keys_close(&gateway.keys);
    kafka_close(&gateway.kafka);
    spans_close(gateway_settings.grace_ms < SPANS_CLOSE_MS ? gateway_settings.grace_ms : SPANS_CLOSE_MS);
    log_info("stopped", log_integer("exit_code", 0));
    return 0;
}
