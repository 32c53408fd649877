/* The topic deferred: a job whose next try is some time away is put there, and its offset is finished; the
 * worker that put it there reads it back and has it wait here, in bounds, until it is due. */
#include <string.h>

#include "schemas/deferred.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "workers/run_private.h"

enum {
    WAITING_MAX = 10000,
    WAITING_BYTES_MAX = 32 << 20,
    AGAIN_MS = 20, /* where a partition does not let a job begin that is due */
    AHEAD_MAX_MS = 3600000,
    REASON_MAX = 500,
};

/* What deferred_put adds, in this order, behind the headers of the original. */
static const struct header_field FIELDS[] = {
    {"source-topic", false},
    {"source-partition", true},
    {"source-offset", true},
    {"lane", false},
    {"reason", false},
    {"attempts", true},
    {"due-at", true},
    {"stage", false},
    {0},
};
enum { FIELD_COUNT = sizeof FIELDS / sizeof *FIELDS - 1 };

bool deferred_put(struct job *job, const char *reason, uint64_t wait_ms) {
    struct job_internal *internal = job->internal;
    struct arena *arena = job->arena;
    if (!job->run->defers || !internal->partition || job->header_count + FIELD_COUNT > KAFKA_HEADERS_MAX)
        return false;
    struct kafka_record *record = job_put_original(job, TOPIC_DEFERRED.kafka_names[0]);
    job_add_source(job, record);
    record_add_header(record, "lane", lane_name(job->lane));
    record_add_header(record, "reason", arena_format(arena, "%.*s", REASON_MAX, reason));
    record_add_header(record, "attempts", arena_format(arena, "%d", job->attempt - 1));
    record_add_header(
        record, "due-at", arena_format(arena, "%lld", (long long)run_now_ms() + (long long)wait_ms));
    record_add_header(record, "stage", job->run->worker->service);
    metric_count(metric_deferred, 1, job->run->worker->service);
    internal->deferring = true;
    internal->retry_ms = wait_ms;
    job_send(job);
    return true;
}

static bool headers_are_ours(const struct job *job) {
    if (job->header_count < FIELD_COUNT)
        return false;
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(job->headers[job->header_count - FIELD_COUNT + i].name, FIELDS[i].name) != 0)
            return false;
    return true;
}

static const char *input_named(const struct run *run, const char *topic) {
    for (int i = 0; run->topics[i]; i++)
        if (run->queues[i] != QUEUE_DEFERRED && strcmp(run->topics[i], topic) == 0)
            return run->topics[i];
    return NULL;
}

/* Makes the job what it was before it was deferred. False when its headers do not tell, though they name this
 * worker. */
static bool restore(struct run *run, struct job *job, struct deferred *deferred) {
    struct json_errors errors = {0};
    struct buffer json = buffer_in(job->arena);
    if (!headers_are_ours(job))
        return false;
    job_headers_json(job, FIELDS, &json);
    if (!deferred_decode(job->arena, json.data, json.length, deferred, &errors))
        return false;
    const char *topic = input_named(run, deferred->source_topic);
    if (!topic)
        return false;
    job->topic = topic;
    job->lane = deferred->lane;
    job->partition = (int)deferred->source_partition;
    job->offset = deferred->source_offset;
    job->attempt = (int)deferred->attempts + 1;
    job->header_count -= FIELD_COUNT;
    return true;
}

static void start_timer(struct run *run);

void deferred_take(struct run *run, struct job *job) {
    struct deferred deferred;
    const char *stage = job_header(job, "stage");
    if (!stage || strcmp(stage, run->worker->service) != 0) {
        if (!stage)
            log_warn("deferred_by_nobody", log_job(job), log_integer("partition", job->partition),
                log_integer("offset", job->offset));
        job_skip(job);
        return;
    }
    int64_t now = run_now_ms();
    job->internal->understood = restore(run, job, &deferred);
    int64_t due = job->internal->understood ? deferred.due_at : now;
    /* It holds a place here: no clock may make that last. */
    if (due > now + AHEAD_MAX_MS)
        due = now + AHEAD_MAX_MS;
    job->internal->waited = true;
    positions_begin(job->internal->partition->positions, job->internal->offset);
    run->waiting_bytes += job->internal->bytes;
    due_heap_push(&run->waiting[job->lane], due, job);
    if (due > now)
        start_timer(run);
    else
        run_wake(run);
}

bool deferred_room(const struct run *run) {
    size_t waiting = 0;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        waiting += run->waiting[lane].count;
    return waiting < WAITING_MAX && run->waiting_bytes < WAITING_BYTES_MAX;
}

/* Takes the earliest job of the lane if it is due and there is room for it. */
static bool begin_first(struct run *run, enum lane lane, int64_t now) {
    int64_t due;
    struct job *job = due_heap_top(&run->waiting[lane], &due);
    if (!job || due > now)
        return false;
    if (!run_lane_room(run, lane)) {
        run->full = true;
        return false;
    }
    due_heap_pop(&run->waiting[lane]);
    if (!gate_open(run, job->internal->partition, job->internal->offset)) {
        due_heap_push(&run->waiting[lane], now + AGAIN_MS, job);
        return true;
    }
    run->waiting_bytes -= job->internal->bytes;
    job_begin(job);
    return true;
}

void deferred_begin_due(struct run *run) {
    int64_t now = run_now_ms();
    for (int lane = 0; lane < LANE_COUNT; lane++)
        while (begin_first(run, (enum lane)lane, now))
            ;
    start_timer(run);
}

static void on_due(uv_timer_t *timer) {
    run_wake(timer->data);
}

/* For the earliest of those that are not due: what is due already waits for room, which wakes the loop. */
static void start_timer(struct run *run) {
    int64_t now = run_now_ms(), next = INT64_MAX, due;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        if (due_heap_top(&run->waiting[lane], &due) && due > now && due < next)
            next = due;
    if (next != INT64_MAX)
        uv_timer_start(&run->due_timer, on_due, (uint64_t)(next - now), 0);
}

static bool drop(void *context, void *item) {
    struct job *job = item;
    struct run *run = job->run;
    const bool *all = context;
    if (!*all && !job->internal->partition->leaving)
        return false;
    run->waiting_bytes -= job->internal->bytes;
    struct arena *arena = job->arena;
    arena_destroy(&arena);
    return true;
}

void deferred_drop(struct run *run, bool all) {
    for (int lane = 0; lane < LANE_COUNT; lane++)
        due_heap_drop(&run->waiting[lane], drop, &all);
}

void deferred_open(struct run *run) {
    uv_timer_init(&run->loop, &run->due_timer);
    run->due_timer.data = run;
}
