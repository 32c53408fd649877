/* Records that belong to no job: sent until Kafka has them, in a copy of their own. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/replies.h"
#include "shared/request_id.h"
#include "workers/run_private.h"

enum { RESEND_MS = 100, HEADERS_MAX = 8 };

struct emission {
    struct run *run;
    struct arena *arena;
    struct kafka_record record;
    void (*done)(void *context, const char *reason);
    void *context;
    uint64_t sent_at; /* uv_hrtime */
    uv_timer_t timer; /* until it is sent again */
};

static void free_emission(uv_handle_t *handle) {
    struct emission *emission = handle->data;
    struct arena *arena = emission->arena;
    arena_destroy(&arena);
}

static void end(struct emission *emission, const char *reason) {
    struct run *run = emission->run;
    if (emission->done)
        emission->done(emission->context, reason);
    uv_close((uv_handle_t *)&emission->timer, free_emission);
    run->emissions--;
    run_job_ended(run);
}

static void send_again(uv_timer_t *timer);

static void on_acknowledged(void *context, enum kafka_outcome outcome, const char *reason) {
    struct emission *emission = context;
    const char *service = emission->run->worker->service;
    if (outcome == KAFKA_DELIVERED) {
        metric_observe(metric_round_trip, (double)(uv_hrtime() - emission->sent_at) / 1e9, service);
        end(emission, NULL);
        return;
    }
    log_warn(
        "record_not_acknowledged", log_string("topic", emission->record.topic), log_string("reason", reason));
    if (outcome == KAFKA_REFUSED)
        end(emission, reason);
    else
        uv_timer_start(&emission->timer, send_again, RESEND_MS, 0);
}

static void send_record(struct emission *emission) {
    emission->sent_at = uv_hrtime();
    if (!kafka_produce(emission->run->kafka, &emission->record, on_acknowledged, emission))
        uv_timer_start(&emission->timer, send_again, RESEND_MS, 0);
}

static void send_again(uv_timer_t *timer) {
    send_record(timer->data);
}

void run_emit(struct run *run, const struct run_record *record,
    void (*done)(void *context, const char *reason), void *context) {
    struct arena *arena = arena_create(1024 + record->length);
    struct emission *emission = arena_alloc(arena, sizeof *emission);
    struct kafka_header *headers = arena_alloc(arena, sizeof *headers * HEADERS_MAX);
    char id[UUID_TEXT_BYTES];
    uuid_random(id);
    *emission = (struct emission){.run = run, .arena = arena, .done = done, .context = context};
    emission->record = (struct kafka_record){.topic = record->topic,
        .partition = -1,
        .key = arena_string(arena, record->key),
        .value = arena_copy(arena, record->value, record->length),
        .length = record->length,
        .headers = headers};
    const struct event event = {.type = arena_string(arena, record->type),
        .id = arena_format(arena, "%s/%s/%s", record->key, run->worker->service, id),
        .traceparent = record->trace ? arena_string(arena, record->trace->parent) : NULL,
        .reply_to = record->wants_reply ? replies_address(run->replies) : NULL};
    event_headers(run, arena, &event, headers, &emission->record.header_count);
    uv_timer_init(&run->loop, &emission->timer);
    emission->timer.data = emission;
    run->emissions++;
    send_record(emission);
}

bool run_replies_ready(const struct run *run) {
    return run->replies && replies_address(run->replies);
}
