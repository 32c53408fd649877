/* A submission's way: body → checks → Kafka → wait → answer. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "schemas/request.h"
#include "schemas/submission.h"
#include "schemas/topics.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/kafka.h"
#include "shared/log.h"
#include "shared/replies.h"

enum { HEADERS = 7 };

static double seconds_since(const struct exchange *exchange) {
    return (double)(uv_hrtime() - exchange->started) / 1e9;
}

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void stop_waiting(struct exchange *exchange) {
    if (!exchange->waiting)
        return;
    exchange->waiting = false;
    waiters_remove(exchange->gateway->waiters, exchange);
    uv_close((uv_handle_t *)exchange->timer, free_timer);
}

/* It ends when it is answered and Kafka has given its report. */
static void exchange_release(struct exchange *exchange) {
    if (exchange->http || exchange->sent)
        return;
    struct arena *arena = exchange->arena;
    arena_destroy(&arena);
}

static void answered(struct exchange *exchange, const char *status) {
    count_request(exchange->gateway, exchange->task_type, status, seconds_since(exchange));
    log_info("request_answered", log_request(exchange->request_id, exchange->trace.id),
        log_string("task_type", exchange->task_type), log_string("status", status),
        log_double("seconds", seconds_since(exchange)));
    stop_waiting(exchange);
    exchange->http = NULL;
    exchange_release(exchange);
}

static void answer_problem(struct exchange *exchange, int code, const char *detail, const char *status) {
    if (!exchange->http)
        return;
    if (code == 503)
        http_add_header(exchange->http, "Retry-After", "1");
    /* An id that was never published would look queued for ever. */
    http_problem(exchange->http, code, detail, exchange->published ? exchange->request_id : NULL, NULL);
    answered(exchange, status);
}

void exchange_finish(struct exchange *exchange, const struct result *result) {
    if (result->status == RESULT_STATUS_FAILED) {
        answer_problem(exchange, 502, result->error ? result->error : "The request failed.", "failed");
        return;
    }
    struct buffer text = buffer_in(exchange->arena);
    result_encode(&text, result);
    http_respond(exchange->http, 200, "application/json", text.data, text.length);
    answered(exchange, "succeeded");
}

static void on_left(void *context) {
    struct exchange *exchange = context;
    answered(exchange, "left");
}

static void on_timeout(uv_timer_t *timer) {
    struct exchange *exchange = timer->data;
    http_add_header(exchange->http, "Location",
        arena_format(exchange->arena, "/api/v1/request/%s", exchange->request_id));
    answer_problem(exchange, 504,
        arena_format(exchange->arena,
            "There was no result in time. The work goes on: ask for it at /api/v1/request/%s.",
            exchange->request_id),
        "timeout");
}

static void wait_for_result(struct exchange *exchange) {
    struct gateway *gateway = exchange->gateway;
    exchange->timer = malloc(sizeof *exchange->timer);
    if (!exchange->timer)
        abort();
    uv_timer_init(&gateway->loop, exchange->timer);
    exchange->timer->data = exchange;
    uv_timer_start(exchange->timer, on_timeout, (uint64_t)gateway_settings.request_timeout_ms, 0);
    exchange->waiting = true;
    exchange->waiting_since = uv_now(&gateway->loop);
    waiters_add(gateway->waiters, exchange);
}

static void on_delivered(void *context, enum kafka_outcome outcome, const char *reason) {
    struct exchange *exchange = context;
    exchange->sent = false;
    if (outcome == KAFKA_DELIVERED)
        metric_observe(&gateway_metrics[3], seconds_since(exchange), "gateway");
    else
        log_warn("request_not_acknowledged", log_request(exchange->request_id, exchange->trace.id),
            log_string("reason", reason));
    if (outcome == KAFKA_DELIVERED || !exchange->http)
        exchange_release(exchange);
    else
        answer_problem(exchange, 503,
            outcome == KAFKA_UNKNOWN ? "Kafka did not say whether it kept the request. Ask for it by its "
                                       "request_id before you send it again."
                                     : "Kafka did not take the request. Send it again.",
            "unavailable");
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void encode_request(struct exchange *exchange, struct buffer *body) {
    int64_t now = now_ms();
    struct request request = {
        .envelope = {.request_id = exchange->request_id,
            .tenant = "default",
            .lane = LANE_HIGH,
            .purpose = PURPOSE_SERVE,
            .run = 1,
            .accepted_at = now,
            .expires_at = now + gateway_settings.request_expiry_ms},
        .task_type = exchange->task_type,
        .user_input = exchange->user_input,
    };
    request_encode(body, &request);
}

static int put_headers(struct exchange *exchange, struct kafka_header *headers) {
    struct gateway *gateway = exchange->gateway;
    struct arena *arena = exchange->arena;
    char time_text[40];
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const struct {
        const char *name, *value;
    } fields[HEADERS] = {
        {"ce_specversion", "1.0"},
        {"ce_type", "moru.request.v1"},
        {"ce_source", "/moru/gateway"},
        {"ce_id", arena_format(arena, "%s/gateway", exchange->request_id)},
        {"ce_time", arena_string(arena, time_text)},
        {"traceparent", exchange->trace.parent},
        {"reply-to", replies_address(gateway->replies)},
    };
    int count = 0;
    for (int i = 0; i < HEADERS; i++)
        if (fields[i].value)
            headers[count++] =
                (struct kafka_header){fields[i].name, fields[i].value, strlen(fields[i].value)};
    return count;
}

static void publish(struct exchange *exchange) {
    struct kafka_header *headers = arena_alloc(exchange->arena, sizeof *headers * HEADERS);
    struct buffer body = buffer_in(exchange->arena);
    encode_request(exchange, &body);
    struct kafka_record record = {.topic = TOPIC_REQUESTS.kafka_names[LANE_HIGH],
        .partition = -1,
        .key = exchange->request_id,
        .value = body.data,
        .length = body.length,
        .headers = headers,
        .header_count = put_headers(exchange, headers)};
    exchange->sent = exchange->published =
        kafka_produce(exchange->gateway->kafka, &record, on_delivered, exchange);
    if (!exchange->sent) {
        answer_problem(
            exchange, 503, "Too many requests wait for Kafka. Send it again later.", "unavailable");
        return;
    }
    log_info("request_accepted", log_request(exchange->request_id, exchange->trace.id),
        log_string("task_type", exchange->task_type));
    wait_for_result(exchange);
}

static void on_known(void *context, enum task_type_known known, const char *known_types) {
    struct exchange *exchange = context;
    exchange->sent = false;
    if (!exchange->http)
        exchange_release(exchange); /* the client left while Postgres was asked */
    else if (known == TASK_TYPE_UNKNOWN)
        answer_problem(exchange, 422,
            *known_types ? arena_format(exchange->arena, "The task type is not known. Known task types: %s.",
                               known_types)
                         : "The task type is not known. There is no task type with an active prompt yet.",
            "rejected");
    else
        publish(exchange);
}

static struct exchange *exchange_create(
    struct gateway *gateway, struct http_request *http, const struct submission *body) {
    struct arena *arena = arena_create(strlen(body->user_input) * 2 + 4096);
    struct exchange *exchange = arena_alloc(arena, sizeof *exchange);
    exchange->arena = arena;
    exchange->gateway = gateway;
    exchange->http = http;
    exchange->started = uv_hrtime();
    exchange->user_input = arena_string(arena, body->user_input);
    exchange->task_type = arena_string(arena, body->task_type);
    request_id_create(exchange->request_id);
    trace_continue(&exchange->trace, http_header(http, "traceparent"));
    return exchange;
}

void submit_synchronous(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct submission body;
    struct json_errors errors = {0};
    size_t length;
    const char *bytes = http_body(http, &length);
    if (!submission_decode(http_arena(http), bytes, length, &body, &errors)) {
        http_problem(http, 400, "The body is not a request: see errors.", NULL, &errors);
        count_request(gateway, NULL, "rejected", 0);
        return;
    }
    const char *broken = kafka_broken(gateway->kafka);
    if (broken) {
        http_add_header(http, "Retry-After", "1");
        http_problem(http, 503, broken, NULL, NULL);
        count_request(gateway, body.task_type, "unavailable", 0);
        return;
    }
    struct exchange *exchange = exchange_create(gateway, http, &body);
    http_on_leave(http, on_left, exchange);
    exchange->sent = true; /* keeps it alive while Postgres is asked about its task type */
    task_types_check(gateway->task_types, exchange->task_type, on_known, exchange);
}
