/* The run-loop: one event loop on which Kafka, Postgres, HTTP, timers and signals meet; reads lanes as far as
 * there is room for jobs, and ends in the mirror of its start. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/log_loop.h"
#include "shared/operations.h"
#include "shared/pg.h"
#include "shared/replies.h"
#include "shared/span.h"
#include "workers/run_private.h"
#include "workers/usage.h"

/* How long the group may take to let us go. */
enum { LEAVE_MS = 5000 };

/* Messages a lane may give in one turn of the loop: a backlog of bulk work leaves the first places to who
 * waits. */
static const int TURN[LANE_COUNT] = {[LANE_HIGH] = 256, [LANE_NORMAL] = 64, [LANE_LOW] = 16};
/* The share of all places that other lanes leave free for a lane, as a divisor. */
static const int RESERVED[LANE_COUNT] = {[LANE_HIGH] = 4, [LANE_NORMAL] = 8, [LANE_LOW] = 16};

size_t run_lane_room(const struct run *run, enum lane lane) {
    size_t max = (size_t)run_settings.in_flight_max, taken = 0;
    if (run->in_flight_bytes >= (size_t)run_settings.in_flight_bytes_max &&
        run->in_flight[lane] + run->held[lane])
        return 0;
    for (int other = 0; other < LANE_COUNT; other++) {
        size_t reserved = other == (int)lane ? 0 : max / (size_t)RESERVED[other];
        size_t its = run->in_flight[other] + run->held[other];
        taken += its > reserved ? its : reserved;
    }
    return taken < max ? max - taken : 0;
}

static void on_message(void *context, int queue, const struct kafka_message *message) {
    struct run *run = context;
    struct partition *partition = partition_find(run, message->topic, message->partition);
    (void)queue;
    if (!partition || partition->leaving || positions_finished(partition->positions, message->offset))
        return;
    gate_take(run, job_from_message(run, partition, message));
}

static bool may_read(const struct run *run) {
    return run->consumer && !run->draining && (!run->pg || pg_ready(run->pg));
}

static const char *away(void *context) {
    const struct run *run = context;
    return run->worker->away ? run->worker->away(run) : NULL;
}

/* Who waits is told of what is away; other work waits for it where it is safe, in Kafka. */
static bool may_read_lane(struct run *run, enum lane lane) {
    return may_read(run) && (lane == LANE_HIGH || !away(run));
}

/* Reads a lane's share of this turn; true when there may be more. */
static bool read_lane(struct run *run, enum lane lane) {
    int turn = TURN[lane];
    while (turn > 0) {
        size_t room = run_lane_room(run, lane);
        run->full = run->full || !room;
        int most = room < (size_t)turn ? (int)room : turn;
        int count = room ? kafka_consumer_read(run->consumer, lane, most, on_message) : 0;
        if (!count)
            return false;
        turn -= count;
    }
    return true;
}

static bool read_deferred(struct run *run) {
    if (run->held[QUEUE_DEFERRED] || !deferred_room(run))
        return false;
    return kafka_consumer_read(run->consumer, QUEUE_DEFERRED, TURN[LANE_LOW], on_message) > 0;
}

static void on_readable(void *context) {
    struct run *run = context;
    bool more = false;
    run->full = false;
    if (!may_read(run))
        return;
    gate_begin_held(run);
    if (!away(run))
        deferred_begin_due(run);
    for (int lane = 0; lane < LANE_COUNT && may_read_lane(run, (enum lane)lane); lane++)
        more = read_lane(run, lane) || more;
    if (run->defers && may_read_lane(run, LANE_LOW))
        more = read_deferred(run) || more;
    gate_begin_held(run);
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        run->full = run->full || run->held[queue];
    if (more)
        kafka_consumer_wake(run->consumer);
}

void run_wake(struct run *run) {
    if (run->consumer)
        kafka_consumer_wake(run->consumer);
}

void run_resume(struct run *run) {
    run_wake(run);
}

static size_t in_flight(const struct run *run) {
    size_t sum = run->direct + run->emissions;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        sum += run->in_flight[lane];
    return sum;
}

static void on_grace_timer(uv_timer_t *timer);

static void leave_when_idle(struct run *run, bool at_once) {
    if (!run->draining || run->leaving || (!at_once && in_flight(run)))
        return;
    if (at_once && in_flight(run))
        log_warn("jobs_unfinished", log_integer("jobs", (int64_t)in_flight(run)));
    run->leaving = true;
    uv_timer_start(&run->grace_timer, on_grace_timer, LEAVE_MS, 0);
    if (run->consumer)
        kafka_consumer_leave(run->consumer);
    else
        uv_stop(&run->loop);
}

void run_job_ended(struct run *run) {
    partitions_release(run, false);
    leave_when_idle(run, false);
    if (!run->full)
        return;
    run->full = false;
    run_wake(run);
}

static void on_closed(void *context) {
    struct run *run = context;
    uv_stop(&run->loop);
}

static void on_failed(void *context, const char *reason) {
    run_fail(context, reason);
}

static void on_lost(void *context) {
    struct run *run = context;
    metric_count(metric_reopened, 1, run->worker->service);
    partitions_lost(run);
}

void run_fail(struct run *run, const char *reason) {
    log_error("stopped", log_string("reason", reason));
    run->exit_code = 1;
    uv_stop(&run->loop);
}

static void on_commit_timer(uv_timer_t *timer) {
    struct run *run = timer->data;
    if (run->consumer)
        partitions_commit(run);
}

static void on_grace_timer(uv_timer_t *timer) {
    struct run *run = timer->data;
    if (run->leaving) {
        log_warn("left_without_answer", log_string("reason", "the group did not answer in time"));
        uv_stop(&run->loop);
        return;
    }
    leave_when_idle(run, true);
    partitions_release(run, true);
}

static void drain(struct run *run, const char *cause) {
    if (run->draining)
        return;
    run->draining = true;
    log_info("stopping", log_string("signal", cause), log_integer("jobs", (int64_t)in_flight(run)));
    http_server_stop_accepting(run->http);
    gate_drop(run, true);
    uv_timer_start(&run->grace_timer, on_grace_timer, (uint64_t)run_settings.grace_ms, 0);
    leave_when_idle(run, false);
}

static void on_signal(uv_signal_t *signal, int number) {
    drain(signal->data, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

void run_end(struct run *run, int exit_code) {
    run->exit_code = exit_code;
    drain(run, "none");
}

static void open_consumer(struct run *run) {
    run->consumer = kafka_consumer_open(
        &run->loop, &(struct kafka_consumer_options){
                        .group = arena_format(arena_create(64), "moru-%s", run->worker->service),
                        .topics = run->topics,
                        .queues = run->queues,
                        .queue_count = QUEUE_COUNT,
                        .assigned = partitions_assigned,
                        .revoked = partitions_revoked,
                        .readable = on_readable,
                        .committed = partitions_committed,
                        .lost = on_lost,
                        .failed = on_failed,
                        .closed = on_closed,
                        .context = run});
}

/* Tells the worker once that all it needs is there. */
static void begin(struct run *run) {
    if (run->began || run->draining || !run->kafka || kafka_broken(run->kafka) ||
        (run->pg && !pg_ready(run->pg)) || (run->replies && !replies_address(run->replies)))
        return;
    run->began = true;
    if (run->worker->began)
        run->worker->began(run);
}

static void on_kafka(void *context, bool ready) {
    struct run *run = context;
    if (!ready || run->draining)
        return;
    if (!run->consumer && run->topics[0])
        open_consumer(run);
    if (run->replies)
        replies_start(run->replies, run->kafka);
    begin(run);
}

static void on_replies(void *context) {
    begin(context);
}

static void on_reply(void *context, const char *key, const char *value, size_t length) {
    struct run *run = context;
    run->worker->replied(run, key, value, length);
}

static void on_postgres(void *context, bool ready) {
    struct run *run = context;
    if (!ready)
        return;
    begin(run);
    run_wake(run);
}

static const char *kafka_broken_check(void *context) {
    struct run *run = context;
    const char *broken = kafka_broken(run->kafka);
    if (broken || run->joined || !run->topics[0])
        return broken;
    return "the consumer group has not given out its partitions yet";
}

static const char *postgres_broken_check(void *context) {
    struct run *run = context;
    return pg_ready(run->pg) ? NULL : "no connection to Postgres";
}

static void before_scrape(void *context) {
    struct run *run = context;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        metric_set(
            metric_in_flight, (double)run->in_flight[lane], run->worker->service, lane_name((enum lane)lane));
    metric_count(metric_retries, 0, run->worker->service);
    metric_count(metric_dead_letters, 0, run->worker->service);
    metric_count(metric_deferred, 0, run->worker->service);
    metric_count(metric_reopened, 0, run->worker->service);
    metric_set(metric_unsent, (double)run->unsent, run->worker->service);
    size_t waiting = 0;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        waiting += run->waiting[lane].count;
    metric_set(metric_waiting, (double)waiting, run->worker->service);
    partitions_update_lag(run);
}

static int names_of(const struct topic *topic) {
    return topic->lanes ? LANE_COUNT : 1;
}

static int add_input(struct run *run, int count, const char *topic, int queue) {
    run->topics[count] = topic;
    run->queues[count] = queue;
    return count + 1;
}

/* Inputs with their queues, and all that must exist. A topic without lanes is read like the high one: what
 * comes there is small in number, and somebody may wait for it. */
static const char **collect_topics(struct run *run, struct arena *arena) {
    const struct topic *const *lists[] = {run->worker->inputs, run->worker->outputs};
    const char **all = arena_alloc(arena, sizeof *all * 64);
    run->topics = arena_alloc(arena, sizeof *all * 64);
    run->queues = arena_alloc(arena, sizeof *run->queues * 64);
    int inputs = 0, count = 0;
    for (int list = 0; list < 2; list++)
        for (int i = 0; lists[list][i] && count < 60; i++)
            for (int lane = 0; lane < names_of(lists[list][i]); lane++) {
                all[count++] = lists[list][i]->kafka_names[lane];
                if (list == 0)
                    inputs = add_input(run, inputs, lists[list][i]->kafka_names[lane], lane);
            }
    /* The positions of a worker that holds its own are not those of deferred. */
    run->defers = inputs && !run->worker->assigned;
    if (run->defers) {
        add_input(run, inputs, TOPIC_DEFERRED.kafka_names[0], QUEUE_DEFERRED);
        all[count++] = TOPIC_DEFERRED.kafka_names[0];
    }
    if (run->worker->usage)
        all[count++] = TOPIC_USAGE.kafka_names[0];
    if (run->worker->replied)
        all[count++] = TOPIC_REPLIES.kafka_names[0];
    all[count] = TOPIC_DEAD_LETTERS.kafka_names[0];
    return all;
}

static struct http_route *collect_routes(const struct worker *worker, struct arena *arena) {
    const struct http_route operations[] = {OPERATIONS_ROUTES};
    size_t count = sizeof operations / sizeof *operations, own = 0;
    while (worker->routes && worker->routes[own].method)
        own++;
    struct http_route *routes = arena_alloc(arena, sizeof *routes * (count + own + 1));
    memcpy(routes, operations, sizeof operations);
    if (own)
        memcpy(routes + count, worker->routes, sizeof *routes * own);
    return routes;
}

/* Of a worker that needs Postgres for the daily budget only, if one is set. */
static struct setting *optional_postgres(struct arena *arena) {
    int count = 0;
    while (pg_settings[count].name)
        count++;
    struct setting *rows = arena_alloc(arena, sizeof *rows * (size_t)(count + 1));
    memcpy(rows, pg_settings, sizeof *rows * (size_t)count);
    rows[0].otherwise = "";
    rows[0].min = 0;
    return rows;
}

static void load_settings(const struct worker *worker, struct arena *arena, int argc, char **argv) {
    struct setting **tables = arena_alloc(arena, sizeof *tables * 16);
    int count = 0;
    http_server_default_port(worker->port);
    run_default_settings(worker->in_flight_max);
    for (int i = 0; worker->settings && worker->settings[i]; i++)
        tables[count++] = worker->settings[i];
    tables[count++] = http_server_settings;
    tables[count++] = kafka_settings;
    tables[count++] = span_settings;
    if (worker->postgres)
        tables[count++] = pg_settings;
    else if (worker->usage)
        tables[count++] = optional_postgres(arena);
    if (worker->usage) {
        tables[count++] = usage_settings;
        metrics_add_table(usage_metrics);
    }
    tables[count++] = run_setting_rows;
    metrics_add_table(run_metrics);
    metrics_add_table(span_metrics);
    if (worker->metrics)
        metrics_add_table(worker->metrics);
    if (worker->more_metrics)
        metrics_add_table(worker->more_metrics);
    struct program program = {.name = arena_format(arena, "moru-%s", worker->service),
        .service = worker->service,
        .purpose = worker->purpose,
        .tables = tables};
    settings_load(&program, argc, argv);
}

static void start_timers(struct run *run) {
    uv_timer_init(&run->loop, &run->commit_timer);
    uv_timer_init(&run->loop, &run->revoke_timer);
    uv_timer_init(&run->loop, &run->grace_timer);
    deferred_open(run);
    run->commit_timer.data = run->revoke_timer.data = run->grace_timer.data = run;
    uint64_t interval = (uint64_t)run_settings.commit_interval_ms;
    uv_timer_start(&run->commit_timer, on_commit_timer, interval, interval);
    uv_signal_init(&run->loop, &run->sigterm);
    uv_signal_init(&run->loop, &run->sigint);
    run->sigterm.data = run->sigint.data = run;
    uv_signal_start(&run->sigterm, on_signal, SIGTERM);
    uv_signal_start(&run->sigint, on_signal, SIGINT);
}

static bool open_all(struct run *run, struct arena *arena) {
    const struct worker *worker = run->worker;
    spans_open(&run->loop, arena_format(arena, "moru-%s", worker->service), kafka_instance_id());
    struct dependency *dependencies = arena_alloc(arena, sizeof *dependencies * 4), *next = dependencies;
    *next++ = (struct dependency){"kafka", true, kafka_broken_check, run};
    if (worker->postgres) {
        *next++ = (struct dependency){"postgres", true, postgres_broken_check, run};
        run->pg = pg_open(&run->loop, on_postgres, run);
    }
    if (worker->away)
        *next = (struct dependency){worker->away_name, false, away, run};
    operations_open(worker->service, dependencies);
    metrics_before_scrape(before_scrape, run);
    run->state = worker->open(run);
    if (worker->replied)
        run->replies = replies_open(&run->loop, TOPIC_REPLIES.kafka_names[0], on_replies, on_reply, run);
    run->kafka = kafka_open(&run->loop,
        &(struct kafka_options){.topics = collect_topics(run, arena), .changed = on_kafka, .context = run});
    run->http = http_server_open(&run->loop, collect_routes(worker, arena), run->state);
    return run->state && run->http;
}

/* Nothing waits for these any more: what is still under way is repeated from its committed position. */
static void close_all(struct run *run) {
    http_server_close(&run->http);
    kafka_consumer_close(&run->consumer);
    replies_close(&run->replies);
    run->worker->close(run->state);
    if (run->pg)
        pg_close(&run->pg);
    if (!in_flight(run))
        kafka_close(&run->kafka);
    spans_close(run_settings.grace_ms < SPANS_CLOSE_MS ? run_settings.grace_ms : SPANS_CLOSE_MS);
}

int worker_main(const struct worker *worker, int argc, char **argv) {
    static struct run run;
    arena_keep_freed();
    struct arena *arena = arena_create(0);
    run.worker = worker;
    load_settings(worker, arena, argc, argv);
    /* A peer that has gone shows as EPIPE where it matters. */
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&run.loop) != 0)
        return 1;
    log_gather_on(&run.loop); /* first of all that prepares, so that it comes last */
    while (!run.writer)
        if (getrandom(&run.writer, sizeof run.writer, 0) != sizeof run.writer)
            run.writer = 0;
    start_timers(&run);
    log_info("starting", log_string("version", MORU_VERSION), log_string("instance", kafka_instance_id()));
    if (!open_all(&run, arena))
        return 1;
    uv_run(&run.loop, UV_RUN_DEFAULT);
    close_all(&run);
    log_info("stopped", log_integer("exit_code", run.exit_code));
    return run.exit_code;
}

void *run_state(const struct run *run) {
    return run->state;
}

uv_loop_t *run_loop(const struct run *run) {
    return (uv_loop_t *)&run->loop;
}

struct pg *run_pg(const struct run *run) {
    return run->pg;
}

const char *run_cluster_id(const struct run *run) {
    return kafka_cluster_id(run->kafka);
}

int run_partition_count(const struct run *run, const char *topic) {
    return kafka_partitions(run->kafka, topic);
}
