/* Who waits for which request: answered by our partition of replies, and, a second late, by Postgres, which
 * is the truth. */
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "schemas/reply.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/replies.h"

enum { BUCKETS = 16384, ASK_MS = 1000, ASKED_MAX = 10000 };

struct waiters {
    struct gateway *gateway;
    struct exchange *buckets[BUCKETS];
    size_t count;
    uv_timer_t timer;
    bool asking; /* Postgres is being asked */
    bool again;  /* and is to be asked once more after that */
};

/* The ids are ours, so nobody can choose them to fall into one bucket. */
static size_t bucket_of(const char *request_id) {
    uint64_t hash = 14695981039346656037u;
    for (; *request_id; request_id++)
        hash = (hash ^ (unsigned char)*request_id) * 1099511628211u;
    return hash % BUCKETS;
}

void waiters_add(struct waiters *waiters, struct exchange *exchange) {
    struct exchange **bucket = &waiters->buckets[bucket_of(exchange->request_id)];
    exchange->next = *bucket;
    *bucket = exchange;
    metric_set(&gateway_metrics[2], (double)++waiters->count);
}

void waiters_remove(struct waiters *waiters, struct exchange *exchange) {
    struct exchange **link = &waiters->buckets[bucket_of(exchange->request_id)];
    while (*link != exchange)
        link = &(*link)->next;
    *link = exchange->next;
    metric_set(&gateway_metrics[2], (double)--waiters->count);
}

struct exchange *waiters_find(struct waiters *waiters, const char *request_id) {
    struct exchange *exchange = waiters->buckets[bucket_of(request_id)];
    while (exchange && strcmp(exchange->request_id, request_id) != 0)
        exchange = exchange->next;
    return exchange;
}

/* False: the reply is not for us. */
static bool take_reply(
    struct gateway *gateway, struct exchange *exchange, const char *key, const char *value, size_t length) {
    struct reply reply;
    struct json_errors errors = {0};
    if (!reply_decode(exchange->arena, value, length, &reply, &errors)) {
        log_warn("reply_not_understood", log_request(key, exchange->trace.id),
            log_string("pointer", errors.items[0].pointer), log_string("reason", errors.items[0].detail));
        return false;
    }
    if (strcmp(reply.to, replies_name(gateway->replies)) != 0 || strcmp(reply.result.request_id, key) != 0)
        return false;
    exchange_finish(exchange, &reply.result);
    return true;
}

void waiters_replied(void *context, const char *key, const char *value, size_t length) {
    struct gateway *gateway = context;
    struct exchange *exchange;
    /* Callers with the same idempotency key wait for the same request. Where none does, the reply is for
     * others that share the partition, or was answered already. */
    while (
        (exchange = waiters_find(gateway->waiters, key)) && take_reply(gateway, exchange, key, value, length))
        ;
}

static void on_stored(void *context, const struct pg_result *rows) {
    struct gateway *gateway = context;
    gateway->waiters->asking = false;
    if (pg_status(rows) != PG_OK)
        return; /* the timer asks again */
    for (int row = 0; row < pg_rows(rows); row++) {
        struct exchange *exchange;
        while ((exchange = waiters_find(gateway->waiters, pg_value(rows, row, 0)))) {
            struct result result;
            result_from_row(exchange->arena, rows, row, &result);
            exchange_finish(exchange, &result);
        }
    }
    if (gateway->waiters->again)
        waiters_ask(gateway->waiters);
}

static void ask_postgres(struct gateway *gateway) {
    static struct pg_statement statement = {"waiting_results", NULL};
    struct waiters *waiters = gateway->waiters;
    struct arena *arena = arena_create(0);
    struct buffer ids = buffer_in(arena);
    uint64_t now = uv_now(&gateway->loop);
    int asked = 0;
    if (!statement.sql)
        statement.sql = arena_format(arena_create(2048),
            "SELECT DISTINCT ON (request_id) %s FROM results "
            "WHERE request_id = ANY($1::uuid[]) ORDER BY request_id, run DESC",
            RESULT_COLUMNS);
    pg_array_begin(&ids);
    for (int i = 0; i < BUCKETS && asked < ASKED_MAX; i++)
        for (struct exchange *exchange = waiters->buckets[i]; exchange; exchange = exchange->next)
            if (now - exchange->waiting_since >= ASK_MS) {
                pg_array_add(&ids, exchange->request_id);
                asked++;
            }
    pg_array_end(&ids);
    if (asked) {
        waiters->asking = true;
        pg_query(gateway->pg, &statement, 1, (const char *const[]){buffer_text(&ids)}, on_stored, gateway);
    }
    arena_destroy(&arena);
}

void waiters_ask(struct waiters *waiters) {
    waiters->again = waiters->asking;
    if (waiters->count && !waiters->asking && pg_ready(waiters->gateway->pg))
        ask_postgres(waiters->gateway);
}

static void on_timer(uv_timer_t *timer) {
    waiters_ask(timer->data);
}

size_t waiters_count(const struct waiters *waiters) {
    return waiters->count;
}

struct waiters *waiters_open(struct gateway *gateway) {
    struct waiters *waiters = calloc(1, sizeof *waiters);
    if (!waiters)
        abort();
    waiters->gateway = gateway;
    uv_timer_init(&gateway->loop, &waiters->timer);
    waiters->timer.data = waiters;
    uv_timer_start(&waiters->timer, on_timer, ASK_MS, ASK_MS);
    return waiters;
}

void waiters_close(struct waiters **waiters) {
    uv_timer_stop(&(*waiters)->timer);
    *waiters = NULL;
}
