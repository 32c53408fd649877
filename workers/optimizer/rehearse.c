/* Rehearses: publishes requests with a prompt of their own, and hears how they did by reply or, a second
 * late, from Postgres. */
#include "workers/optimizer/rehearse.h"

#include <stdlib.h>
#include <string.h>

#include "schemas/reply.h"
#include "schemas/request.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/request_id.h"
#include "shared/span.h"
#include "shared/span_names.h"
#include "shared/trace.h"

enum { ASK_MS = 1000, CHECK_MS = 250 };

struct waiting {
    struct waiting *next;
    struct rehearsals *owner;
    char request_id[UUID_TEXT_BYTES];
    struct trace trace;
    int64_t optimization_id;
    uint64_t began;                 /* uv_hrtime */
    uint64_t since_ms, deadline_ms; /* by uv_now */
    rehearsal_done done;
    void *context;
};

struct rehearsals {
    struct optimizer *optimizer;
    struct waiting *waiting;
    uv_timer_t timer;
    bool asking; /* Postgres is being asked */
};

static const struct pg_statement LATE = {
    "late_rehearsals",
    "SELECT request_id, score, passed, error FROM rehearsals WHERE request_id = ANY($1::uuid[])",
};

static struct waiting **find(struct rehearsals *rehearsals, const char *request_id) {
    struct waiting **link = &rehearsals->waiting;
    while (*link && strcmp((*link)->request_id, request_id) != 0)
        link = &(*link)->next;
    return link;
}

/* The first hop of a rehearsal's trace: from its request to its reply. */
static void record_span(const struct waiting *waiting, bool valid) {
    if (!span_wanted(&waiting->trace))
        return;
    span_record(&(struct span){.trace = &waiting->trace,
        .kind = SPAN_PRODUCER,
        .name = "rehearse",
        .began_ns = span_unix_ns(waiting->began),
        .ended_ns = span_unix_ns(0),
        .error_type = valid ? NULL : "failed",
        .attributes = span_attributes(span_string(SPAN_MESSAGING_SYSTEM, "kafka"),
            span_string(SPAN_MESSAGING_OPERATION_NAME, "send"),
            span_string(SPAN_MESSAGING_OPERATION_TYPE, "send"),
            span_string(SPAN_MESSAGING_DESTINATION, TOPIC_REQUESTS.kafka_names[LANE_HIGH]),
            span_string(SPAN_REQUEST_ID, waiting->request_id),
            span_integer(SPAN_OPTIMIZATION_ID, waiting->optimization_id))});
}

/* Takes it out of the list, then tells. */
static void end(struct waiting **link, bool valid, double score, bool passed, const char *reason) {
    struct waiting *waiting = *link;
    *link = waiting->next;
    record_span(waiting, valid);
    waiting->done(waiting->context, valid, score, passed, reason);
    free(waiting);
}

static void on_late(void *context, const struct pg_result *rows) {
    struct rehearsals *rehearsals = context;
    rehearsals->asking = false;
    for (int row = 0; pg_status(rows) == PG_OK && row < pg_rows(rows); row++) {
        struct waiting **link = find(rehearsals, pg_value(rows, row, 0));
        const char *score = pg_value(rows, row, 1), *passed = pg_value(rows, row, 2),
                   *error = pg_value(rows, row, 3);
        if (*link)
            end(link, score != NULL, score ? strtod(score, NULL) : 0, passed && *passed == 't',
                error ? error : "it was not judged");
    }
}

static void ask_postgres(struct rehearsals *rehearsals, uint64_t now) {
    struct arena *arena = arena_create(0);
    struct buffer ids = buffer_in(arena);
    int count = 0;
    pg_array_begin(&ids);
    for (const struct waiting *waiting = rehearsals->waiting; waiting; waiting = waiting->next)
        if (now - waiting->since_ms >= ASK_MS) {
            pg_array_add(&ids, waiting->request_id);
            count++;
        }
    pg_array_end(&ids);
    if (count) {
        rehearsals->asking = true;
        pg_query(run_pg(rehearsals->optimizer->run), &LATE, 1, (const char *const[]){buffer_text(&ids)},
            on_late, rehearsals);
    }
    arena_destroy(&arena);
}

static void on_timer(uv_timer_t *timer) {
    struct rehearsals *rehearsals = timer->data;
    uint64_t now = uv_now(timer->loop);
    /* done may begin new ones, which come first in the list: one at a time, from the front. */
    for (struct waiting **link = &rehearsals->waiting; *link;) {
        if ((*link)->deadline_ms > now) {
            link = &(*link)->next;
            continue;
        }
        end(link, false, 0, false, "it took too long");
        link = &rehearsals->waiting;
    }
    if (rehearsals->waiting && !rehearsals->asking && pg_ready(run_pg(rehearsals->optimizer->run)))
        ask_postgres(rehearsals, now);
}

struct rehearsals *rehearsals_open(struct optimizer *optimizer) {
    struct rehearsals *rehearsals = calloc(1, sizeof *rehearsals);
    if (!rehearsals)
        abort();
    rehearsals->optimizer = optimizer;
    uv_timer_init(run_loop(optimizer->run), &rehearsals->timer);
    rehearsals->timer.data = rehearsals;
    uv_timer_start(&rehearsals->timer, on_timer, CHECK_MS, CHECK_MS);
    return rehearsals;
}

static void publish(
    struct rehearsals *rehearsals, const struct rehearsal *rehearsal, const struct waiting *waiting) {
    const char *request_id = waiting->request_id;
    struct arena *arena = arena_create(strlen(rehearsal->prompt) + strlen(rehearsal->user_input) + 1024);
    int64_t now = optimizer_now_ms();
    struct request request = {
        .envelope = {.request_id = request_id,
            .tenant = "default",
            .lane = LANE_HIGH,
            .purpose = PURPOSE_REHEARSE,
            .run = 1,
            .origin_id = rehearsal->origin_id,
            .accepted_at = now,
            .expires_at = now + optimizer_settings.rehearsal_timeout_ms},
        .task_type = rehearsal->task_type,
        .user_input = rehearsal->user_input,
        .prompt = rehearsal->prompt,
        .has_optimization_id = true,
        .optimization_id = rehearsal->optimization_id,
        .has_candidate = true,
        .candidate = rehearsal->candidate,
    };
    struct buffer body = buffer_in(arena);
    request_encode(&body, &request);
    run_emit(rehearsals->optimizer->run,
        &(struct run_record){.topic = TOPIC_REQUESTS.kafka_names[LANE_HIGH],
            .key = request_id,
            .value = body.data,
            .length = body.length,
            .type = "moru.request.v1",
            .trace = &waiting->trace,
            .wants_reply = true},
        NULL, NULL);
    arena_destroy(&arena);
}

void rehearse(
    struct rehearsals *rehearsals, const struct rehearsal *rehearsal, rehearsal_done done, void *context) {
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (!waiting)
        abort();
    uint64_t now = uv_now(run_loop(rehearsals->optimizer->run));
    request_id_unsigned(waiting->request_id);
    waiting->owner = rehearsals;
    waiting->since_ms = now;
    waiting->deadline_ms = now + (uint64_t)optimizer_settings.rehearsal_timeout_ms;
    waiting->done = done;
    waiting->context = context;
    waiting->began = uv_hrtime();
    waiting->optimization_id = rehearsal->optimization_id;
    trace_continue(&waiting->trace, NULL);
    waiting->next = rehearsals->waiting;
    rehearsals->waiting = waiting;
    publish(rehearsals, rehearsal, waiting);
}

void rehearsals_replied(struct rehearsals *rehearsals, const char *key, const char *value, size_t length) {
    struct waiting **link = find(rehearsals, key);
    if (!*link)
        return; /* for others that share the partition, or answered already */
    struct arena *arena = arena_create(2 * length + 1024);
    struct json_errors errors = {0};
    struct reply reply;
    if (!reply_decode(arena, value, length, &reply, &errors))
        log_warn("reply_not_understood", log_string("request_id", key),
            log_string("reason", errors.items[0].detail));
    else
        end(link, reply.result.has_evaluation_score, reply.result.evaluation_score,
            reply.result.has_evaluation_passed && reply.result.evaluation_passed,
            reply.result.error ? reply.result.error : "it was not judged");
    arena_destroy(&arena);
}

void rehearsals_close(struct rehearsals **closing) {
    struct rehearsals *rehearsals = *closing;
    *closing = NULL;
    uv_timer_stop(&rehearsals->timer);
    while (rehearsals->waiting) {
        struct waiting *next = rehearsals->waiting->next;
        free(rehearsals->waiting);
        rehearsals->waiting = next;
    }
    /* Postgres may still be asked; it is closed after this. */
}
