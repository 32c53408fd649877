/* The life of a job: its tries, its outputs, their acknowledgements, and its dead letter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/arena.h"
#include "shared/backoff.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/request_id.h"
#include "shared/span.h"
#include "workers/run_private.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10000,
    RETRY_AFTER_MAX_MS = 60000, /* of what waits here */
    DEFERRED_MAX_MS = 600000,
    DEFER_FROM_MS = 5000,
    RESEND_FIRST_MS = 100,
    RESEND_MAX_MS = 10000,
    AWAY_MS = 50,
    OUTPUT_HEADERS_MAX = KAFKA_HEADERS_MAX + 12,
    ARENA_BYTES = 2048,
    REASON_MAX = 500,
};

static void send_outputs(struct job *job);

static void link_job(struct job *job) {
    struct run *run = job->run;
    /* A message that continues no trace, such as usage, begins none. */
    bool traced = (*job->trace.from || !job->topic) && span_wanted(&job->trace);
    job->internal->began = traced ? uv_hrtime() : 0;
    job->internal->next = run->jobs;
    if (run->jobs)
        run->jobs->internal->previous = job;
    run->jobs = job;
}

static void unlink_job(struct job *job) {
    struct job_internal *internal = job->internal;
    if (internal->previous)
        internal->previous->internal->next = internal->next;
    else
        job->run->jobs = internal->next;
    if (internal->next)
        internal->next->internal->previous = internal->previous;
}

static struct job *job_create(struct run *run, struct arena *arena) {
    struct job *job = arena_alloc(arena, sizeof *job);
    job->internal = arena_alloc(arena, sizeof *job->internal);
    job->arena = arena;
    job->run = run;
    job->attempt = 1;
    job->key = job->request_id = job->task_type = "";
    return job;
}

const char *job_header(const struct job *job, const char *name) {
    struct kafka_message message = {.headers = job->headers, .header_count = job->header_count};
    const struct kafka_header *header = kafka_header(&message, name);
    if (!header || memchr(header->value, '\0', header->length))
        return NULL;
    return arena_copy(job->arena, header->value, header->length);
}

static void copy_headers(struct job *job, const struct kafka_message *message) {
    struct kafka_header *headers = arena_alloc(job->arena, sizeof *headers * (size_t)message->header_count);
    for (int i = 0; i < message->header_count; i++)
        headers[i] = (struct kafka_header){arena_string(job->arena, message->headers[i].name),
            arena_copy(job->arena, message->headers[i].value, message->headers[i].length),
            message->headers[i].length};
    job->headers = headers;
    job->header_count = message->header_count;
}

struct job *job_from_message(
    struct run *run, struct partition *partition, const struct kafka_message *message) {
    /* With room for the message, its members, and a text of its length. */
    struct job *job = job_create(run, arena_create(ARENA_BYTES + 3 * message->length));
    job->topic = partition->topic;
    job->lane = partition->queue == QUEUE_DEFERRED ? LANE_LOW : (enum lane)partition->queue;
    job->partition = message->partition;
    job->offset = message->offset;
    if (message->key && !memchr(message->key, '\0', message->key_length))
        job->key = arena_copy(job->arena, message->key, message->key_length);
    /* The copy lets go of librdkafka's buffer, which holds a whole fetch. */
    job->value = arena_copy(job->arena, message->value, message->length);
    job->length = message->length;
    copy_headers(job, message);
    trace_continue(&job->trace, job_header(job, "traceparent"));
    job->reply_to = job_header(job, "reply-to");
    if (uuid_valid(job->key))
        job->request_id = job->key;
    job->internal->partition = partition;
    job->internal->offset = message->offset;
    job->internal->bytes = message->length;
    return job;
}

static void reject_killer(struct job *job) {
    job_reject(
        job, "the worker ended each time while it worked on this message, the last time on nothing else");
}

void job_begin(struct job *job) {
    struct run *run = job->run;
    link_job(job);
    run->in_flight[job->lane]++;
    run->in_flight_bytes += job->internal->bytes;
    if (!job->internal->waited)
        positions_begin(job->internal->partition->positions, job->internal->offset);
    gate_job_began(job);
    if (job->internal->offset == positions_killer(job->internal->partition->positions))
        reject_killer(job);
    else if (job->internal->waited && !job->internal->understood)
        job_reject(job, "a deferred message whose headers do not tell where it came from");
    else
        run->worker->handle(job);
}

void job_skip(struct job *job) {
    struct partition *partition = job->internal->partition;
    positions_begin(partition->positions, job->internal->offset);
    positions_finish(partition->positions, job->internal->offset);
    partition->dirty = true;
    struct arena *arena = job->arena;
    arena_destroy(&arena);
}

struct job *job_direct(struct run *run, const char *request_id, const char *traceparent, void *state,
    void (*finished)(struct job *job, const char *reason)) {
    struct job *job = job_create(run, arena_create(ARENA_BYTES));
    job->request_id = arena_string(job->arena, request_id);
    trace_continue(&job->trace, traceparent);
    job->state = state;
    job->internal->finished = finished;
    link_job(job);
    run->direct++;
    return job;
}

void *job_worker(const struct job *job) {
    return job->run->state;
}

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void stop_timer(struct job *job) {
    if (!job->internal->timer)
        return;
    uv_close((uv_handle_t *)job->internal->timer, free_timer);
    job->internal->timer = NULL;
}

static void start_timer(struct job *job, uint64_t ms, uv_timer_cb expired) {
    uv_timer_t *timer = malloc(sizeof *timer);
    if (!timer)
        abort();
    stop_timer(job);
    uv_timer_init(&job->run->loop, timer);
    timer->data = job;
    job->internal->timer = timer;
    uv_timer_start(timer, expired, ms, 0);
}

static void job_end(struct job *job, const char *reason);

void job_join(struct job *job, struct job *first) {
    job->internal->next_joined = first->internal->joined;
    first->internal->joined = job;
}

static void end_joined(struct job *job) {
    while (job) {
        struct job *next = job->internal->next_joined;
        job_end(job, NULL);
        job = next;
    }
}

static void end_from_topic(struct job *job) {
    struct run *run = job->run;
    struct job_internal *internal = job->internal;
    if (run->worker->ended)
        run->worker->ended(job);
    run->in_flight[job->lane]--;
    run->in_flight_bytes -= internal->bytes;
    run->unsent -= internal->unsent;
    positions_finish(internal->partition->positions, internal->offset);
    gate_job_ended(run, internal->partition);
}

static void job_end(struct job *job, const char *reason) {
    struct run *run = job->run;
    struct partition *partition = job->internal->partition;
    struct job *joined = job->internal->joined;
    stop_timer(job);
    unlink_job(job);
    job_span(job, reason);
    if (partition) {
        end_from_topic(job);
    } else {
        job->internal->finished(job, reason);
        run->direct--;
    }
    struct arena *arena = job->arena;
    arena_destroy(&arena);
    if (partition)
        partition_ended(run, partition);
    end_joined(joined);
    run_job_ended(run);
}

void event_headers(struct run *run, struct arena *arena, const struct event *event,
    struct kafka_header *headers, int *count) {
    struct timespec now;
    struct tm utc;
    char time_text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(time_text + length, sizeof time_text - length, ".%03ldZ", now.tv_nsec / 1000000);
    const struct {
        const char *name, *value;
    } fields[] = {
        {"ce_specversion", "1.0"},
        {"ce_type", event->type},
        {"ce_source", arena_format(arena, "/moru/%s", run->worker->service)},
        {"ce_id", event->id},
        {"ce_time", arena_string(arena, time_text)},
        {"traceparent", event->traceparent},
        {"reply-to", event->reply_to},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].value)
            headers[(*count)++] =
                (struct kafka_header){fields[i].name, fields[i].value, strlen(fields[i].value)};
}

/* The id is the same for each repetition of the same piece of work. */
static void put_event_headers(struct job *job, const char *type, struct kafka_header *headers, int *count) {
    const struct event event = {.type = type,
        .id = arena_format(job->arena, "%s/%s/%s/%d/%lld", *job->request_id ? job->request_id : "none",
            job->run->worker->service, job->topic, job->partition, (long long)job->offset),
        .traceparent = arena_string(job->arena, job->trace.parent),
        .reply_to = job->reply_to};
    event_headers(job->run, job->arena, &event, headers, count);
}

static struct output *add_output(struct job *job) {
    struct output *output = arena_alloc(job->arena, sizeof *output);
    struct output **end = &job->internal->outputs;
    while (*end)
        end = &(*end)->next;
    *end = output;
    output->job = job;
    job->internal->output_count++;
    return output;
}

static struct output *emit(struct job *job, const char *topic, int partition, const char *key,
    const char *value, size_t length, const char *type) {
    struct kafka_header *headers = arena_alloc(job->arena, sizeof *headers * OUTPUT_HEADERS_MAX);
    struct output *output = add_output(job);
    output->record = (struct kafka_record){.topic = topic,
        .partition = partition,
        .key = key,
        .value = value,
        .length = length,
        .headers = headers};
    put_event_headers(job, type, headers, &output->record.header_count);
    return output;
}

void job_emit(struct job *job, const char *topic, int partition, const char *key, const char *value,
    size_t length, const char *type) {
    emit(job, topic, partition, key, value, length, type);
}

void job_emit_reply(struct job *job, int partition, const char *key, const char *value, size_t length) {
    emit(job, TOPIC_REPLIES.kafka_names[0], partition, key, value, length, "moru.reply.v1")->optional = true;
}

static void on_resend(uv_timer_t *timer) {
    struct job *job = timer->data;
    stop_timer(job);
    send_outputs(job);
}

/* Again after a back-off, which doubles; one line of the log each time. */
static void resend_later(struct job *job) {
    struct job_internal *internal = job->internal;
    uint64_t wait_ms = internal->resend_ms ? internal->resend_ms : RESEND_FIRST_MS;
    internal->resend_ms = wait_ms * 2 < RESEND_MAX_MS ? wait_ms * 2 : RESEND_MAX_MS;
    if (internal->resend_reason)
        log_warn("output_not_acknowledged", log_job(job), log_string("reason", internal->resend_reason),
            log_bool("dead_letter", internal->rejected), log_integer("wait_ms", (int64_t)wait_ms));
    if (internal->rejected && !internal->unsent && internal->resend_reason) {
        internal->unsent = true;
        job->run->unsent++;
    }
    start_timer(job, wait_ms, on_resend);
}

static void on_retry(uv_timer_t *timer);

/* An output that Kafka will never take. */
static void on_refused(struct job *job, struct output *output, const char *reason) {
    struct job_internal *internal = job->internal;
    log_warn("output_refused", log_job(job), log_string("topic", output->record.topic),
        log_string("reason", reason));
    output->record.topic = NULL;
    if (output->optional)
        return;
    if (!internal->deferring) {
        job_reject(job, arena_format(job->arena, "the result was refused by Kafka: %s", reason));
        return;
    }
    internal->deferring = false;
    start_timer(job, internal->retry_ms, on_retry);
}

static bool any_unsent(const struct job *job) {
    for (const struct output *output = job->internal->outputs; output; output = output->next)
        if (output->record.topic)
            return true;
    return false;
}

static void on_acknowledged(void *context, enum kafka_outcome outcome, const char *reason) {
    struct output *output = context;
    struct job *job = output->job;
    struct job_internal *internal = job->internal;
    uint64_t sent_at = output->sent_at;
    internal->unacknowledged--;
    output->sent_at = 0;
    if (outcome == KAFKA_DELIVERED) {
        metric_observe(metric_round_trip, (double)(uv_hrtime() - sent_at) / 1e9, job->run->worker->service);
        output->record.topic = NULL; /* sent: not again, should another one fail */
    } else if (outcome == KAFKA_REFUSED && (output->optional || !internal->rejected)) {
        on_refused(job, output, reason);
        if (!output->optional)
            return;
    } else if (!internal->resend_reason || strcmp(internal->resend_reason, reason) != 0) {
        internal->resend_reason = arena_string(job->arena, reason);
    }
    if (internal->unacknowledged || internal->timer)
        return;
    if (any_unsent(job))
        resend_later(job);
    else
        job_end(job, NULL);
}

static void send_outputs(struct job *job) {
    struct job_internal *internal = job->internal;
    bool full = false;
    for (struct output *output = internal->outputs; output; output = output->next) {
        if (!output->record.topic || output->sent_at)
            continue;
        if (kafka_produce(job->run->kafka, &output->record, on_acknowledged, output)) {
            output->sent_at = uv_hrtime();
            internal->unacknowledged++;
        } else {
            full = true;
        }
    }
    if (full && !internal->unacknowledged)
        start_timer(job, RESEND_FIRST_MS, on_resend);
}

void job_send(struct job *job) {
    send_outputs(job);
}

void job_done(struct job *job) {
    if (!job->internal->outputs)
        job_end(job, NULL);
    else
        send_outputs(job);
}

static void on_retry(uv_timer_t *timer) {
    struct job *job = timer->data;
    stop_timer(job);
    job->run->worker->handle(job);
}

static void come_again(struct job *job, const char *reason, int64_t retry_after_ms) {
    uint64_t wait_ms = backoff_ms(job->attempt, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, backoff_random());
    int64_t longest = job->run->defers && job->topic ? DEFERRED_MAX_MS : RETRY_AFTER_MAX_MS;
    if (retry_after_ms > longest)
        retry_after_ms = longest;
    if (retry_after_ms > 0 && (uint64_t)retry_after_ms > wait_ms)
        wait_ms = (uint64_t)retry_after_ms;
    metric_count(metric_retries, 1, job->run->worker->service);
    log_warn("job_retried", log_job(job), log_string("reason", reason), log_integer("attempt", job->attempt),
        log_integer("wait_ms", (int64_t)wait_ms));
    job->attempt++;
    if (wait_ms <= DEFER_FROM_MS || !deferred_put(job, reason, wait_ms))
        start_timer(job, wait_ms, on_retry);
}

void job_retry(struct job *job, const char *reason, int64_t retry_after_ms) {
    if (job->attempt >= run_settings.tries_max)
        job_reject(job, reason);
    else
        come_again(job, reason, retry_after_ms);
}

void job_come_again(struct job *job, const char *reason, int64_t retry_after_ms, int tries) {
    job->attempt = tries;
    come_again(job, reason, retry_after_ms);
}

static void on_away(uv_timer_t *timer) {
    struct job *job = timer->data;
    stop_timer(job);
    if (job->run->pg && !pg_ready(job->run->pg))
        start_timer(job, AWAY_MS, on_away);
    else
        job->run->worker->handle(job);
}

void job_postpone(struct job *job) {
    start_timer(job, AWAY_MS, on_away);
}

int64_t run_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void record_add_header(struct kafka_record *record, const char *name, const char *value) {
    struct kafka_header *headers = (struct kafka_header *)record->headers;
    headers[record->header_count++] = (struct kafka_header){name, value, strlen(value)};
}

struct kafka_record *job_put_original(struct job *job, const char *topic) {
    for (struct output *output = job->internal->outputs; output; output = output->next)
        if (!output->sent_at)
            output->record.topic = NULL;
    struct kafka_header *headers = arena_alloc(job->arena, sizeof *headers * OUTPUT_HEADERS_MAX);
    struct output *output = add_output(job);
    output->record = (struct kafka_record){.topic = topic,
        .partition = -1,
        .key = *job->key ? job->key : NULL,
        .value = job->value,
        .length = job->length,
        .headers = headers,
        .header_count = job->header_count};
    if (job->header_count)
        memcpy(headers, job->headers, sizeof *headers * (size_t)job->header_count);
    return &output->record;
}

void job_add_source(struct job *job, struct kafka_record *record) {
    record_add_header(record, "source-topic", job->topic);
    record_add_header(record, "source-partition", arena_format(job->arena, "%d", job->partition));
    record_add_header(record, "source-offset", arena_format(job->arena, "%lld", (long long)job->offset));
}

/* The original bytes and headers, as they were; what we add comes last, so that it wins over what stood
 * there. */
static void add_dead_letter(struct job *job, const char *reason) {
    struct arena *arena = job->arena;
    struct kafka_record *record = job_put_original(job, TOPIC_DEAD_LETTERS.kafka_names[0]);
    record_add_header(record, "reason", arena_format(arena, "%.*s", REASON_MAX, reason));
    record_add_header(record, "stage", job->run->worker->service);
    record_add_header(record, "attempts", arena_format(arena, "%d", job->attempt));
    job_add_source(job, record);
    record_add_header(record, "failed-at", arena_format(arena, "%lld", (long long)run_now_ms()));
    record_add_header(record, "traceparent", job->trace.parent);
}

void job_reject(struct job *job, const char *reason) {
    struct job_internal *internal = job->internal;
    log_warn("job_rejected", log_job(job), log_string("topic", job->topic), log_string("reason", reason),
        log_integer("attempt", job->attempt));
    if (internal->finished) {
        job_end(job, reason);
        return;
    }
    metric_count(metric_dead_letters, 1, job->run->worker->service);
    internal->rejected = true;
    add_dead_letter(job, reason);
    send_outputs(job);
}
