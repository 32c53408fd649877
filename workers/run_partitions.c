/* The partitions that are ours: where they begin, what of them is committed, and how they are given up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "workers/run_private.h"

enum { ASK_AGAIN_MS = 200 };

struct partition *partition_find(struct run *run, const char *topic, int number) {
    for (struct partition *partition = run->partitions; partition; partition = partition->next)
        if (partition->partition == number && !partition->gone && strcmp(partition->topic, topic) == 0)
            return partition;
    return NULL;
}

static int queue_of(const struct run *run, const char *topic) {
    for (int i = 0; run->topics[i]; i++)
        if (strcmp(run->topics[i], topic) == 0)
            return run->queues[i];
    return LANE_LOW;
}

/* next -1: from the beginning; the first message read then moves the lowest offset to its own. */
static struct partition *partition_add(struct run *run, const char *topic, int number, int64_t next) {
    struct partition *partition = calloc(1, sizeof *partition);
    if (!partition || !(partition->topic = strdup(topic)))
        abort();
    partition->partition = number;
    partition->queue = queue_of(run, topic);
    partition->alone = -1;
    partition->positions = positions_create(next < 0 ? 0 : next);
    partition->next = run->partitions;
    run->partitions = partition;
    return partition;
}

static void partition_free(struct run *run, struct partition *partition) {
    struct partition **link = &run->partitions;
    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
    positions_destroy(&partition->positions);
    free(partition->topic);
    free(partition);
}

void partition_ended(struct run *run, struct partition *partition) {
    if (partition->gone && !partition->running)
        partition_free(run, partition);
}

static void begin_with_kafka(struct run *run, const struct kafka_position *positions, int count) {
    int from_beginning = 0;
    for (int i = 0; i < count; i++) {
        struct partition *partition =
            partition_add(run, positions[i].topic, positions[i].partition, positions[i].offset);
        bool restored =
            positions[i].metadata && positions_restore(partition->positions, positions[i].metadata);
        /* After a membership was lost this process may find what it wrote itself. */
        positions_forgive(partition->positions, run->writer);
        from_beginning += positions[i].offset < 0;
        if (positions[i].metadata && !restored)
            log_warn("positions_not_understood", log_string("topic", positions[i].topic),
                log_integer("partition", positions[i].partition), log_integer("offset", positions[i].offset));
    }
    if (from_beginning)
        log_info("partitions_from_beginning", log_integer("partitions", from_beginning),
            log_string("reason", "they have no committed offset"));
    kafka_consumer_start(run->consumer, positions, count);
    run->joined = true;
    run_wake(run);
}

static void ask_worker(struct run *run) {
    struct run_position *asked = calloc((size_t)run->assigned_count + 1, sizeof *asked);
    if (!asked)
        abort();
    for (int i = 0; i < run->assigned_count; i++)
        asked[i] = (struct run_position){run->assigned[i].topic, run->assigned[i].partition, -1};
    run->asked_next = false;
    run->asking = true;
    run->worker->assigned(run, asked, run->assigned_count);
    free(asked);
}

void partitions_assigned(void *context, const struct kafka_position *positions, int count) {
    struct run *run = context;
    if (!run->worker->assigned || !count) {
        begin_with_kafka(run, positions, count);
        return;
    }
    arena_destroy(&run->assigned_arena);
    run->assigned_arena = arena_create(0);
    run->assigned = arena_alloc(run->assigned_arena, sizeof *run->assigned * (size_t)count);
    run->assigned_count = count;
    for (int i = 0; i < count; i++) {
        run->assigned[i] = positions[i];
        run->assigned[i].topic = arena_string(run->assigned_arena, positions[i].topic);
        run->assigned[i].metadata = arena_string(run->assigned_arena, positions[i].metadata);
    }
    if (run->asking)
        run->asked_next = true;
    else
        ask_worker(run);
}

/* What was committed to Kafka with this position: there the worker's own tells nothing of starts. NULL when
 * the worker has come further since. */
static const char *metadata_at(const struct run *run, const struct run_position *position) {
    for (int i = 0; i < run->assigned_count; i++)
        if (run->assigned[i].partition == position->partition && run->assigned[i].offset == position->next &&
            strcmp(run->assigned[i].topic, position->topic) == 0)
            return run->assigned[i].metadata;
    return NULL;
}

void run_start(struct run *run, const struct run_position *positions, int count) {
    run->asking = false;
    if (run->stale) {
        run->stale = false;
        if (run->asked_next)
            ask_worker(run);
        return;
    }
    struct kafka_position *start = calloc((size_t)count + 1, sizeof *start);
    if (!start)
        abort();
    for (int i = 0; i < count; i++)
        start[i] = (struct kafka_position){.topic = positions[i].topic,
            .partition = positions[i].partition,
            .offset = positions[i].next,
            .metadata = metadata_at(run, &positions[i])};
    begin_with_kafka(run, start, count);
    free(start);
}

/* A question to Kafka about offsets by time; asked again until there is an answer. */
struct offsets_asked {
    struct run *run;
    struct arena *arena;
    uv_timer_t timer; /* until it is asked again */
    struct kafka_position *positions;
    int count;
    int64_t time_ms;
    void (*done)(struct run *run, const struct run_position *positions, int count);
};

static void on_offsets(void *context, const struct kafka_position *found, int count);

static void ask_offsets(uv_timer_t *timer) {
    struct offsets_asked *asked = timer->data;
    kafka_consumer_offsets_at(
        asked->run->consumer, asked->positions, asked->count, asked->time_ms, on_offsets, asked);
}

static void free_asked(uv_handle_t *timer) {
    struct offsets_asked *asked = timer->data;
    struct arena *arena = asked->arena;
    arena_destroy(&arena);
}

static void on_offsets(void *context, const struct kafka_position *found, int count) {
    struct offsets_asked *asked = context;
    if (!count && asked->count) {
        uv_timer_start(&asked->timer, ask_offsets, ASK_AGAIN_MS, 0);
        return;
    }
    struct run_position *positions = arena_alloc(asked->arena, sizeof *positions * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        positions[i] = (struct run_position){found[i].topic, found[i].partition, found[i].offset};
    asked->done(asked->run, positions, count);
    uv_close((uv_handle_t *)&asked->timer, free_asked);
}

void run_positions_at(struct run *run, const struct run_position *positions, int count, int64_t time_ms,
    void (*done)(struct run *run, const struct run_position *positions, int count)) {
    struct arena *arena = arena_create(0);
    struct offsets_asked *asked = arena_alloc(arena, sizeof *asked);
    *asked =
        (struct offsets_asked){.run = run, .arena = arena, .count = count, .time_ms = time_ms, .done = done};
    uv_timer_init(&run->loop, &asked->timer);
    asked->timer.data = asked;
    asked->positions = arena_alloc(arena, sizeof *asked->positions * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        asked->positions[i] = (struct kafka_position){.topic = arena_string(arena, positions[i].topic),
            .partition = positions[i].partition,
            .offset = -1};
    ask_offsets(&asked->timer);
}

void partitions_revoked(void *context, const struct kafka_position *positions, int count, bool lost) {
    struct run *run = context;
    run->revoked = calloc((size_t)count + 1, sizeof *run->revoked);
    if (!run->revoked)
        abort();
    run->joined = run->joined && !lost;
    for (int i = 0; i < count; i++) {
        struct partition *partition = partition_find(run, positions[i].topic, positions[i].partition);
        if (!partition)
            continue;
        partition->leaving = true;
        run->revoked[run->revoked_count++] =
            (struct kafka_position){.topic = partition->topic, .partition = partition->partition};
    }
    gate_drop(run, false);
    partitions_release(run, lost);
}

static bool revoked_unfinished(struct run *run) {
    for (struct partition *partition = run->partitions; partition; partition = partition->next)
        if (partition->leaving && !partition->gone && partition->running)
            return true;
    return false;
}

/* After the answer what still runs there is nobody's: its job ends, and the partition is forgotten. */
static void forget_leaving(struct run *run) {
    for (struct partition *partition = run->partitions, *next; partition; partition = next) {
        next = partition->next;
        if (!partition->leaving || partition->gone)
            continue;
        partition->gone = true;
        partition_ended(run, partition);
    }
}

static void on_revoke_timer(uv_timer_t *timer) {
    partitions_release(timer->data, true);
}

/* What ends while its partition is given up in order kills no worker. */
static const struct positions_work PEACE = {.running = false, .alone = -1};

static struct kafka_position position_of(
    const struct partition *partition, const struct positions_work *work, struct arena *arena) {
    return (struct kafka_position){partition->topic, partition->partition,
        positions_lowest(partition->positions), positions_encode(partition->positions, work, arena)};
}

void partitions_release(struct run *run, bool at_once) {
    if (!run->revoked)
        return;
    if (!at_once && revoked_unfinished(run)) {
        if (!uv_is_active((uv_handle_t *)&run->revoke_timer))
            uv_timer_start(&run->revoke_timer, on_revoke_timer, (uint64_t)run_settings.revoke_hold_ms, 0);
        return;
    }
    uv_timer_stop(&run->revoke_timer);
    struct arena *arena = arena_create(0);
    struct kafka_position *commits = arena_alloc(arena, sizeof *commits * (size_t)(run->revoked_count + 1));
    int count = 0;
    for (int i = 0; i < run->revoked_count; i++) {
        struct partition *partition = partition_find(run, run->revoked[i].topic, run->revoked[i].partition);
        if (partition && (partition->dirty || partition->running))
            commits[count++] = position_of(partition, &PEACE, arena);
    }
    free(run->revoked);
    run->revoked = NULL;
    run->revoked_count = 0;
    kafka_consumer_release(run->consumer, commits, count);
    forget_leaving(run);
    arena_destroy(&arena);
}

void partitions_lost(struct run *run) {
    uv_timer_stop(&run->revoke_timer);
    free(run->revoked);
    run->revoked = NULL;
    run->revoked_count = 0;
    run->joined = false;
    run->stale = run->asking;
    run->asked_next = false;
    for (struct partition *partition = run->partitions; partition; partition = partition->next)
        partition->leaving = true;
    gate_drop(run, false);
    forget_leaving(run);
}

void partitions_commit(struct run *run) {
    struct arena *arena = arena_create(0);
    int total = 0, count = 0;
    for (struct partition *partition = run->partitions; partition; partition = partition->next)
        total++;
    struct kafka_position *commits = arena_alloc(arena, sizeof *commits * (size_t)(total + 1));
    for (struct partition *partition = run->partitions; partition; partition = partition->next)
        if (partition->dirty && !partition->leaving) {
            struct positions_work work = gate_work(partition);
            work.writer = run->writer;
            commits[count++] = position_of(partition, &work, arena);
        }
    if (count && kafka_consumer_commit(run->consumer, commits, count))
        for (struct partition *partition = run->partitions; partition; partition = partition->next) {
            partition->sent = partition->leaving ? 0 : partition->wanted;
            partition->dirty = partition->dirty && partition->leaving;
        }
    arena_destroy(&arena);
}

void partitions_committed(void *context, const char *reason) {
    struct run *run = context;
    static uint64_t last_ms;
    if (reason && log_due(&last_ms, 1000))
        log_warn("commit_failed", log_string("reason", reason));
    for (struct partition *partition = run->partitions; partition; partition = partition->next)
        partition->dirty = partition->dirty || reason;
    gate_committed(run, !reason);
}

void partitions_update_lag(struct run *run) {
    char number[16];
    for (struct partition *partition = run->partitions; partition; partition = partition->next) {
        int64_t end =
            run->consumer ? kafka_consumer_end(run->consumer, partition->topic, partition->partition) : -1;
        if (end < 0 || partition->gone)
            continue;
        int64_t lag = end - positions_lowest(partition->positions);
        snprintf(number, sizeof number, "%d", partition->partition);
        metric_set(metric_lag, lag > 0 ? (double)lag : 0, run->worker->service, partition->topic, number);
    }
}
