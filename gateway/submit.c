/* A submission's way: body → checks → key → Kafka → wait → answer. Synchronous and asynchronous ones differ
 * in what they wait for. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "gateway/keys.h"
#include "gateway/prefer.h"
#include "gateway/request_span.h"
#include "schemas/accepted.h"
#include "schemas/request.h"
#include "schemas/submission.h"
#include "schemas/topics.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/kafka.h"
#include "shared/log.h"
#include "shared/model/budget.h"
#include "shared/pg.h"
#include "shared/replies.h"
#include "shared/span.h"
#include "shared/span_names.h"

enum {
    HEADERS = 7,
    EXCHANGE_BYTES = 480, /* of most: an exchange, its task type and its key */
    LENT_BYTES = 1400,    /* of most: a record but for its input, which takes three places while it grows */
};

static const char TENANT[] = "default";

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

/* It ends when it is answered and nothing it asked for is still to come. */
static void exchange_release(struct exchange *exchange) {
    if (exchange->http || exchange->sent)
        return;
    struct arena *arena = exchange->arena;
    arena_destroy(&exchange->lent);
    arena_destroy(&arena);
}

/* Accepted submissions come by the hundred thousand: their lines are for debugging, all other outcomes for
 * everybody. code: of the HTTP answer; 0: the client has left. */
static void answered(struct exchange *exchange, int code, const char *status) {
    double seconds = seconds_since(exchange);
    count_request(exchange->gateway, exchange->task_type, status, seconds);
    if (strcmp(status, "accepted") == 0)
        log_debug("request_answered", log_request(exchange->request_id, exchange->trace.id),
            log_string("task_type", exchange->task_type), log_string("status", status),
            log_double("seconds", seconds));
    else
        log_info("request_answered", log_request(exchange->request_id, exchange->trace.id),
            log_string("task_type", exchange->task_type), log_string("status", status),
            log_double("seconds", seconds));
    request_span_end(exchange->span, code,
        span_attributes(span_string(SPAN_REQUEST_ID, exchange->request_id),
            span_string(SPAN_TASK_TYPE, exchange->task_type)));
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
    const char *id = exchange->published ? exchange->request_id : NULL;
    if (code == 429)
        http_problem_until_midnight(exchange->http, detail, id);
    else
        http_problem(exchange->http, code, detail, id, NULL);
    answered(exchange, code, status);
}

static const char *joined(struct arena *arena, const char *left, const char *right) {
    size_t left_length = strlen(left), right_length = strlen(right);
    char *text = arena_alloc(arena, left_length + right_length + 1);
    memcpy(text, left, left_length);
    memcpy(text + left_length, right, right_length);
    return text;
}

static const char *self_link(struct exchange *exchange) {
    return joined(http_arena(exchange->http), "/api/v1/requests/", exchange->request_id);
}

static void tell_preference(struct exchange *exchange) {
    if (exchange->wait_ms && !exchange->synchronous)
        http_add_header(exchange->http, "Preference-Applied",
            arena_format(http_arena(exchange->http), "wait=%lld", (long long)exchange->wait_ms / 1000));
}

/* It is kept: the result is to be asked for. */
static void answer_accepted(struct exchange *exchange, enum accepted_status status) {
    struct buffer text = buffer_in(http_arena(exchange->http));
    const char *self = self_link(exchange);
    accepted_encode(&text,
        &(struct accepted){.request_id = exchange->request_id, .status = status, .links = {.self = self}});
    http_add_header(exchange->http, "Location", self);
    tell_preference(exchange);
    http_respond(exchange->http, 202, "application/json", text.data, text.length);
    answered(exchange, 202, "accepted");
}

void exchange_finish(struct exchange *exchange, const struct result *result) {
    if (result->status == RESULT_STATUS_FAILED && exchange->synchronous) {
        bool refused = result->error && strstr(result->error, BUDGET_SPENT_TEXT);
        answer_problem(
            exchange, refused ? 429 : 502, result->error ? result->error : "The request failed.", "failed");
        return;
    }
    struct buffer text = buffer_in(http_arena(exchange->http));
    result_encode(&text, result);
    tell_preference(exchange);
    http_respond(exchange->http, 200, "application/json", text.data, text.length);
    answered(exchange, 200, result->status == RESULT_STATUS_FAILED ? "failed" : "succeeded");
}

static void on_left(void *context) {
    struct exchange *exchange = context;
    answered(exchange, 0, "left");
}

/* The wait of an asynchronous call is over: it is told once Kafka has the request. */
static void on_timeout(uv_timer_t *timer) {
    struct exchange *exchange = timer->data;
    if (!exchange->synchronous) {
        stop_waiting(exchange);
        if (exchange->acknowledged)
            answer_accepted(exchange, ACCEPTED_STATUS_QUEUED);
        return;
    }
    http_add_header(exchange->http, "Location", self_link(exchange));
    answer_problem(exchange, 504,
        arena_format(http_arena(exchange->http),
            "There was no result in time. The work goes on: ask for it at %s.", self_link(exchange)),
        "timeout");
}

static void wait_for_result(struct exchange *exchange) {
    struct gateway *gateway = exchange->gateway;
    exchange->timer = malloc(sizeof *exchange->timer);
    if (!exchange->timer)
        abort();
    uv_timer_init(&gateway->loop, exchange->timer);
    exchange->timer->data = exchange;
    uv_timer_start(exchange->timer, on_timeout, (uint64_t)exchange->wait_ms, 0);
    exchange->waiting = true;
    exchange->waiting_since = uv_now(&gateway->loop);
    waiters_add(gateway->waiters, exchange);
}

static void on_acknowledged(struct exchange *exchange) {
    exchange->acknowledged = true;
    metric_observe(&gateway_metrics[3], seconds_since(exchange), "gateway");
    if (exchange->http && !exchange->waiting)
        answer_accepted(exchange, ACCEPTED_STATUS_QUEUED);
    else
        exchange_release(exchange);
}

static void on_delivered(void *context, enum kafka_outcome outcome, const char *reason) {
    struct exchange *exchange = context;
    exchange->sent = false;
    arena_destroy(&exchange->lent);
    if (outcome == KAFKA_DELIVERED) {
        on_acknowledged(exchange);
        return;
    }
    log_warn("request_not_acknowledged", log_request(exchange->request_id, exchange->trace.id),
        log_string("reason", reason));
    if (!exchange->http)
        exchange_release(exchange);
    else
        answer_problem(exchange, 503,
            outcome == KAFKA_UNKNOWN
                ? "Kafka did not say whether it kept the request. Ask for it by its "
                  "request_id before you send it again, or send it with an Idempotency-Key."
                : "Kafka did not take the request. Send it again.",
            "unavailable");
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Who waits goes before who does not. */
static enum lane lane_of(const struct exchange *exchange) {
    return exchange->wait_ms ? LANE_HIGH : LANE_NORMAL;
}

static void encode_request(struct exchange *exchange, struct buffer *body) {
    int64_t now = now_ms();
    struct request request = {
        .envelope = {.request_id = exchange->request_id,
            .tenant = TENANT,
            .lane = lane_of(exchange),
            .purpose = PURPOSE_SERVE,
            .run = 1,
            .accepted_at = now,
            .expires_at = now + gateway_settings.request_expiry_ms},
        .task_type = exchange->task_type,
        .user_input = exchange->user_input,
        .requested_model = exchange->model,
    };
    request_encode(body, &request);
}

/* Of this second; made once for all submissions of it. */
static const char *time_text(void) {
    static char text[40];
    static time_t made;
    time_t now = time(NULL);
    if (now != made) {
        struct tm utc;
        gmtime_r(&now, &utc);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
        made = now;
    }
    return text;
}

static int put_headers(struct exchange *exchange, struct kafka_header *headers) {
    const struct {
        const char *name, *value;
    } fields[HEADERS] = {
        {"ce_specversion", "1.0"},
        {"ce_type", "moru.request.v1"},
        {"ce_source", "/moru/gateway"},
        {"ce_id", joined(exchange->lent, exchange->request_id, "/gateway")},
        {"ce_time", arena_string(exchange->lent, time_text())},
        {"traceparent", exchange->trace.parent},
        {"reply-to", exchange->wait_ms ? replies_address(exchange->gateway->replies) : NULL},
    };
    int count = 0;
    for (int i = 0; i < HEADERS; i++)
        if (fields[i].value)
            headers[count++] =
                (struct kafka_header){fields[i].name, fields[i].value, strlen(fields[i].value)};
    return count;
}

static void publish(struct exchange *exchange) {
    const char *spent = door_refusal(exchange->gateway->door, exchange->arena);
    if (spent) {
        answer_problem(exchange, 429, spent, "refused");
        return;
    }
    struct kafka_header *headers = arena_alloc(exchange->lent, sizeof *headers * HEADERS);
    struct buffer body = buffer_in(exchange->lent);
    encode_request(exchange, &body);
    struct kafka_record record = {.topic = TOPIC_REQUESTS.kafka_names[lane_of(exchange)],
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
    if (!exchange->wait_ms)
        return;
    log_info("request_accepted", log_request(exchange->request_id, exchange->trace.id),
        log_string("task_type", exchange->task_type));
    wait_for_result(exchange);
}

/* The key's request has its result: it is told, without any work. */
static void answer_known(struct exchange *exchange, const char *status) {
    exchange->published = exchange->acknowledged = true;
    if (!exchange->wait_ms) {
        answer_accepted(
            exchange, strcmp(status, "failed") == 0 ? ACCEPTED_STATUS_FAILED : ACCEPTED_STATUS_SUCCEEDED);
        return;
    }
    wait_for_result(exchange);
    exchange->waiting_since = 0; /* the row is there: it need not be waited for */
    waiters_ask(exchange->gateway->waiters);
}

static void on_key(void *context, enum key_found found, const char *request_id, const char *status) {
    struct exchange *exchange = context;
    exchange->sent = false;
    if (!exchange->http) {
        exchange_release(exchange);
        return;
    }
    switch (found) {
    case KEY_AWAY:
        answer_problem(exchange, 503, "Postgres, which keeps idempotency keys, is away. Send it again later.",
            "unavailable");
        return;
    case KEY_OTHER_BODY:
        answer_problem(exchange, 422,
            "This Idempotency-Key was used with another body. Take a new key for a new request.", "rejected");
        return;
    case KEY_SAME:
        memcpy(exchange->request_id, request_id, UUID_TEXT_BYTES);
        if (status) {
            answer_known(exchange, status);
            return;
        }
        /* The first copy may never have been acknowledged; who serves it recognises the second. */
        publish(exchange);
        return;
    case KEY_NEW:
        publish(exchange);
        return;
    }
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
    else if (exchange->key && !pg_ready(exchange->gateway->pg))
        on_key(exchange, KEY_AWAY, exchange->request_id, NULL);
    else if (exchange->key) {
        exchange->sent = true; /* keeps it alive while Postgres is asked for its key */
        keys_ask(exchange->gateway->keys, TENANT, exchange->key, exchange->task_type, exchange->user_input,
            exchange->model, exchange->request_id, on_key, exchange);
    } else
        publish(exchange);
}

static struct exchange *exchange_create(
    struct gateway *gateway, struct http_request *http, const struct submission *body) {
    struct arena *arena = arena_create(EXCHANGE_BYTES);
    struct exchange *exchange = arena_alloc(arena, sizeof *exchange);
    exchange->arena = arena;
    exchange->lent = arena_create(strlen(body->user_input) * 3 + LENT_BYTES);
    exchange->gateway = gateway;
    exchange->http = http;
    exchange->started = uv_hrtime();
    exchange->user_input = arena_string(exchange->lent, body->user_input);
    exchange->task_type = arena_string(arena, body->task_type);
    exchange->model = arena_string(arena, body->model);
    request_id_create(exchange->request_id);
    trace_continue(&exchange->trace, http_header(http, "traceparent"));
    exchange->span = request_span_begin(arena, http, &exchange->trace);
    return exchange;
}

/* False when the request was answered with why it cannot be taken. */
static bool read_head(struct http_request *http, struct gateway *gateway, const struct submission *body,
    char **key, int64_t wait_ms) {
    const char *header = http_header(http, "Idempotency-Key"), *broken = kafka_broken(gateway->kafka);
    *key = header ? key_read(http_arena(http), header) : NULL;
    if (header && !*key) {
        http_problem(http, 400,
            "An Idempotency-Key is 1 to 255 visible ASCII characters, plain or in double quotes.", NULL,
            NULL);
        count_request(gateway, NULL, "rejected", 0);
        return false;
    }
    if (!broken && wait_ms && waiters_count(gateway->waiters) >= (size_t)gateway_settings.waiting_max)
        broken = "Too many callers wait for results. Send it again later, or without waiting.";
    if (!broken)
        return true;
    http_add_header(http, "Retry-After", "1");
    http_problem(http, 503, broken, NULL, NULL);
    count_request(gateway, body->task_type, "unavailable", 0);
    return false;
}

static void submit(struct http_request *http, struct gateway *gateway, bool synchronous, int64_t wait_ms) {
    struct submission body;
    struct json_errors errors = {0};
    size_t length;
    char *key;
    const char *bytes = http_body(http, &length);
    if (!submission_decode(http_arena(http), bytes, length, &body, &errors)) {
        http_problem(http, 400, "The body is not a request: see errors.", NULL, &errors);
        count_request(gateway, NULL, "rejected", 0);
        return;
    }
    const char *unknown = models_refusal(gateway->models, body.model);
    if (unknown) {
        http_problem(http, 422, unknown, NULL, NULL);
        count_request(gateway, body.task_type, "rejected", 0);
        return;
    }
    if (!read_head(http, gateway, &body, &key, wait_ms))
        return;
    struct exchange *exchange = exchange_create(gateway, http, &body);
    exchange->key = key ? arena_string(exchange->arena, key) : NULL;
    exchange->wait_ms = wait_ms;
    exchange->synchronous = synchronous;
    http_on_leave(http, on_left, exchange);
    exchange->sent = true; /* keeps it alive while Postgres is asked about its task type */
    task_types_check(gateway->task_types, exchange->task_type, on_known, exchange);
}

void submit_synchronous(struct http_request *http, void *context) {
    submit(http, context, true, gateway_settings.request_timeout_ms);
}

void submit_asynchronous(struct http_request *http, void *context) {
    submit(http, context, false, prefer_wait_ms(http_header(http, "Prefer")));
}
