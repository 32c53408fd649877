/* The recorder's positions stand in Postgres, beside the results: what is recorded and where to go on cannot
 * differ. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/recorder/recorder.h"

static const struct pg_statement ADD = {
    "add_positions",
    "INSERT INTO positions (consumer, topic, partition, cluster_id, next) "
    "SELECT 'recorder', topic, partition, $3, -1 FROM unnest($1::text[], $2::int[]) AS asked(topic, "
    "partition) "
    "ON CONFLICT (consumer, topic, partition) DO NOTHING",
};

/* Positions of another cluster mean nothing here: they are set back, and told by the old cluster's id. */
static const struct pg_statement READ = {
    "read_positions",
    "WITH old AS (SELECT topic, partition, cluster_id, next FROM positions WHERE consumer = 'recorder' AND "
    "(topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[])) FOR UPDATE), "
    "reset AS (UPDATE positions SET cluster_id = $3, next = -1 FROM old WHERE positions.consumer = "
    "'recorder' AND positions.topic = old.topic AND positions.partition = old.partition AND old.cluster_id "
    "<> $3) "
    "SELECT topic, partition, CASE WHEN cluster_id = $3 THEN next ELSE -1 END, cluster_id FROM old",
};

struct query {
    struct recorder *recorder;
    struct arena *arena;
    const char *values[3];
    struct run_position *asked; /* of an assignment; NULL when all are read again */
    int count;
    void (*done)(struct recorder *recorder, bool read);
    uv_timer_t *timer;
};

static void on_positions(void *context, const struct pg_result *result);

static void send_query(struct query *query) {
    const struct pg_step steps[] = {{&ADD, 3, query->values}, {&READ, 3, query->values}};
    pg_transaction(run_pg(query->recorder->run), steps, 2, on_positions, query);
}

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void on_timer(uv_timer_t *timer) {
    send_query(timer->data);
}

/* An assignment waits for Postgres for as long as it takes: the group is served meanwhile. */
static void ask_again(struct query *query) {
    if (!query->timer) {
        query->timer = malloc(sizeof *query->timer);
        if (!query->timer)
            abort();
        uv_timer_init(run_loop(query->recorder->run), query->timer);
        query->timer->data = query;
    }
    uv_timer_start(query->timer, on_timer, 200, 0);
}

static void query_free(struct query *query) {
    if (query->timer)
        uv_close((uv_handle_t *)query->timer, free_timer);
    struct arena *arena = query->arena;
    arena_destroy(&arena);
}

/* The earliest offset of the partition that is still in memory; -1: none. */
static int64_t first_in_memory(const struct recorder *recorder, const struct tracked *tracked) {
    for (const struct item *item = recorder->waiting; item; item = item->next)
        if (item->job->partition == tracked->partition && strcmp(item->job->topic, tracked->topic) == 0)
            return item->job->offset;
    return -1;
}

static void take_row(struct query *query, const struct pg_result *result, int row) {
    struct recorder *recorder = query->recorder;
    struct tracked *tracked =
        recorder_tracked(recorder, pg_value(result, row, 0), (int)strtol(pg_value(result, row, 1), NULL, 10));
    int64_t before = tracked->position;
    tracked->position = strtoll(pg_value(result, row, 2), NULL, 10);
    if (strcmp(pg_value(result, row, 3), run_cluster_id(recorder->run)) != 0)
        log_error("cluster_changed", log_string("topic", tracked->topic),
            log_integer("partition", tracked->partition), log_string("was", pg_value(result, row, 3)),
            log_string("is", run_cluster_id(recorder->run)),
            log_string("reason", "positions of another cluster mean nothing here: starting over"));
    /* Positions that went back, after a restore say, name messages that are no longer in memory. */
    if (!query->asked && tracked->position < before && first_in_memory(recorder, tracked) > tracked->position)
        run_fail(recorder->run, "positions in Postgres went back; they are read anew at the next start");
}

static void start_partitions(struct query *query) {
    for (int i = 0; i < query->count; i++)
        query->asked[i].next =
            recorder_tracked(query->recorder, query->asked[i].topic, query->asked[i].partition)->position;
    run_start(query->recorder->run, query->asked, query->count);
}

static void on_positions(void *context, const struct pg_result *result) {
    struct query *query = context;
    bool read = pg_status(result) == PG_OK;
    if (pg_status(result) == PG_FAILED)
        log_error("positions_not_read", log_string("reason", pg_message(result)));
    if (!read && query->asked) {
        ask_again(query);
        return;
    }
    for (int row = 0; read && row < pg_rows(result); row++)
        take_row(query, result, row);
    if (query->asked)
        start_partitions(query);
    else
        query->done(query->recorder, read);
    query_free(query);
}

static struct query *query_create(struct recorder *recorder) {
    struct arena *arena = arena_create(0);
    struct query *query = arena_alloc(arena, sizeof *query);
    query->recorder = recorder;
    query->arena = arena;
    return query;
}

static void put_values(struct query *query, const struct run_position *positions, int count) {
    struct buffer topics = buffer_in(query->arena), partitions = buffer_in(query->arena);
    pg_array_begin(&topics);
    pg_array_begin(&partitions);
    for (int i = 0; i < count; i++) {
        pg_array_add(&topics, positions[i].topic);
        pg_array_add(&partitions, arena_format(query->arena, "%d", positions[i].partition));
    }
    pg_array_end(&topics);
    pg_array_end(&partitions);
    query->values[0] = buffer_text(&topics);
    query->values[1] = buffer_text(&partitions);
    query->values[2] = arena_string(query->arena, run_cluster_id(query->recorder->run));
}

void recorder_assigned(struct run *run, const struct run_position *positions, int count) {
    struct query *query = query_create(run_state(run));
    query->count = count;
    query->asked = arena_alloc(query->arena, sizeof *query->asked * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        query->asked[i] =
            (struct run_position){arena_string(query->arena, positions[i].topic), positions[i].partition, -1};
    put_values(query, query->asked, count);
    send_query(query);
}

void recorder_read_positions(struct recorder *recorder, void (*done)(struct recorder *recorder, bool read)) {
    struct query *query = query_create(recorder);
    int count = 0;
    for (struct tracked *tracked = recorder->tracked; tracked; tracked = tracked->next)
        count++;
    struct run_position *all = arena_alloc(query->arena, sizeof *all * (size_t)(count + 1));
    count = 0;
    for (struct tracked *tracked = recorder->tracked; tracked; tracked = tracked->next)
        all[count++] = (struct run_position){tracked->topic, tracked->partition, -1};
    query->done = done;
    put_values(query, all, count);
    send_query(query);
}
