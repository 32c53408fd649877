/* The group consumer: partitions are forwarded to queues of ours before they are assigned, rebalances are
 * answered later, what blocks (the committed offsets) is asked in libuv's thread pool, and a membership that
 * a fatal error has ended is begun anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/kafka_private.h"
#include "shared/log.h"

enum {
    COMMITTED_TIMEOUT_MS = 5000,
    READ_BATCH = 64,
    SERVE_MS = 1000,
    REOPEN_FIRST_MS = 1000,
    REOPEN_MAX_MS =
        4000, /* so that LOSSES_MAX of two processes that fence each other come within LOSSES_MS */
    /* So many losses in such a time are no outage. */
    LOSSES_MAX = 5,
    LOSSES_MS = 60000,
};

/* One rebalance that librdkafka waits to see answered; they are answered one after the other. */
struct rebalance {
    struct rebalance *next;
    rd_kafka_topic_partition_list_t *partitions;
    bool assign, lost;
};

struct kafka_consumer {
    uv_loop_t *loop;
    struct kafka_consumer_options options;
    struct kafka_member *member; /* NULL after it was lost, until the next one is opened */
    struct kafka_wake wake;
    /* Serves the group also when no queue wakes us, so that slow work throws nobody out; without a member it
     * opens the next one. */
    uv_timer_t *timer;
    struct rebalance *first, *last;
    bool answering;  /* the first one was shown to the owner, or waits for its offsets */
    bool committing; /* a commit of kafka_consumer_commit is under way */
    bool releasing;  /* the last commit of revoked partitions is under way */
    bool leaving, closed;
    uint64_t lost_at[LOSSES_MAX]; /* loop times of the last losses, a ring; 0: none */
    size_t losses;
};

struct committed_query {
    uv_work_t work;
    struct kafka_consumer *consumer;
    struct kafka_member *member;                 /* of then */
    rd_kafka_topic_partition_list_t *partitions; /* a copy of its own, with offsets once it is done */
    rd_kafka_resp_err_t error;
};

static void answer_next(struct kafka_consumer *consumer);

static void committed_work(uv_work_t *work) {
    struct committed_query *query = work->data;
    query->error = rd_kafka_committed(query->member->handle, query->partitions, COMMITTED_TIMEOUT_MS);
}

static void query_committed(struct kafka_consumer *consumer);

static void committed_done(uv_work_t *work, int status) {
    struct committed_query *query = work->data;
    struct kafka_consumer *consumer = query->consumer;
    struct kafka_position *positions = kafka_positions_of(query->partitions);
    bool lost = query->member != consumer->member;
    kafka_member_unuse(query->member);
    if (lost) {
        /* What these partitions were given to is no more. */
    } else if (query->error || status) {
        static uint64_t last_ms;
        if (log_due(&last_ms, 1000))
            log_warn("kafka_waiting", log_string("for", "committed offsets"),
                log_string("reason", rd_kafka_err2str(query->error)));
        query_committed(consumer);
    } else {
        consumer->options.assigned(consumer->options.context, positions, query->partitions->cnt);
    }
    free(positions);
    rd_kafka_topic_partition_list_destroy(query->partitions);
    free(query);
}

static void query_committed(struct kafka_consumer *consumer) {
    struct committed_query *query = calloc(1, sizeof *query);
    if (!query)
        abort();
    query->consumer = consumer;
    query->member = consumer->member;
    kafka_member_use(query->member);
    query->partitions = rd_kafka_topic_partition_list_copy(consumer->first->partitions);
    query->work.data = query;
    if (uv_queue_work(consumer->loop, &query->work, committed_work, committed_done) != 0)
        abort();
}

static void show_revoked(struct kafka_consumer *consumer) {
    struct rebalance *rebalance = consumer->first;
    struct kafka_position *positions = kafka_positions_of(rebalance->partitions);
    consumer->options.revoked(
        consumer->options.context, positions, rebalance->partitions->cnt, rebalance->lost);
    free(positions);
}

static void answer_next(struct kafka_consumer *consumer) {
    if (consumer->answering || !consumer->first)
        return;
    consumer->answering = true;
    if (!consumer->first->assign)
        show_revoked(consumer);
    else if (consumer->first->partitions->cnt)
        query_committed(consumer);
    else
        consumer->options.assigned(consumer->options.context, NULL, 0); /* more members than partitions */
}

static void on_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t error,
    rd_kafka_topic_partition_list_t *partitions, void *opaque) {
    struct kafka_consumer *consumer = opaque;
    struct rebalance *rebalance = calloc(1, sizeof *rebalance);
    if (!rebalance)
        abort();
    rebalance->partitions = rd_kafka_topic_partition_list_copy(partitions);
    rebalance->assign = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    rebalance->lost = rd_kafka_assignment_lost(handle);
    *(consumer->last ? &consumer->last->next : &consumer->first) = rebalance;
    consumer->last = rebalance;
    log_info("kafka_rebalance", log_string("group", consumer->options.group),
        log_string("what", rebalance->assign ? "assigned"
                           : rebalance->lost ? "lost"
                                             : "revoked"),
        log_integer("partitions", partitions->cnt));
}

static void drop_first(struct kafka_consumer *consumer) {
    struct rebalance *rebalance = consumer->first;
    consumer->first = rebalance->next;
    if (!consumer->first)
        consumer->last = NULL;
    rd_kafka_topic_partition_list_destroy(rebalance->partitions);
    free(rebalance);
    consumer->answering = false;
}

static void rebalance_answered(struct kafka_consumer *consumer) {
    drop_first(consumer);
    kafka_consumer_wake(consumer);
}

static bool cooperative(const struct kafka_consumer *consumer) {
    const char *protocol = rd_kafka_rebalance_protocol(consumer->member->handle);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

/* NULL partitions means all of them, in the eager protocol. */
static void change_assignment(
    struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list, bool add) {
    const char *reason = NULL;
    rd_kafka_error_t *error = NULL;
    if (cooperative(consumer)) {
        error = add ? rd_kafka_incremental_assign(consumer->member->handle, list)
                    : rd_kafka_incremental_unassign(consumer->member->handle, list);
        reason = error ? rd_kafka_error_string(error) : NULL;
    } else {
        rd_kafka_resp_err_t code = rd_kafka_assign(consumer->member->handle, add ? list : NULL);
        reason = code ? rd_kafka_err2str(code) : NULL;
    }
    if (reason)
        log_warn("kafka_assignment_refused", log_string("reason", reason));
    if (error)
        rd_kafka_error_destroy(error);
}

static int queue_for(const struct kafka_consumer *consumer, const char *topic) {
    for (int i = 0; consumer->options.topics[i]; i++)
        if (strcmp(consumer->options.topics[i], topic) == 0)
            return consumer->options.queues[i];
    return 0;
}

void kafka_consumer_start(
    struct kafka_consumer *consumer, const struct kafka_position *positions, int count) {
    rd_kafka_topic_partition_list_t *list = kafka_list_of(positions, count);
    for (int i = 0; i < count; i++) {
        rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(
            consumer->member->handle, positions[i].topic, positions[i].partition);
        if (queue) {
            rd_kafka_queue_forward(queue, consumer->member->queues[queue_for(consumer, positions[i].topic)]);
            rd_kafka_queue_destroy(queue);
        }
    }
    change_assignment(consumer, list, true);
    rd_kafka_topic_partition_list_destroy(list);
    rebalance_answered(consumer);
}

static void give_up(struct kafka_consumer *consumer) {
    consumer->releasing = false;
    change_assignment(consumer, consumer->first->partitions, false);
    rebalance_answered(consumer);
}

void kafka_consumer_release(
    struct kafka_consumer *consumer, const struct kafka_position *positions, int count) {
    if (count && !consumer->first->lost) {
        rd_kafka_topic_partition_list_t *list = kafka_list_of(positions, count);
        consumer->releasing =
            rd_kafka_commit(consumer->member->handle, list, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_topic_partition_list_destroy(list);
        if (consumer->releasing)
            return; /* on_commit gives them up */
    }
    give_up(consumer);
}

static void on_commit(
    rd_kafka_t *handle, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list, void *opaque) {
    struct kafka_consumer *consumer = opaque;
    (void)handle;
    (void)list;
    /* Commits end in the order they were sent: the one under way first, then the last of revoked partitions.
     */
    if (consumer->committing) {
        consumer->committing = false;
        consumer->options.committed(consumer->options.context, error ? rd_kafka_err2str(error) : NULL);
    } else if (consumer->releasing) {
        if (error)
            log_warn("kafka_commit_failed", log_string("reason", rd_kafka_err2str(error)));
        give_up(consumer);
    }
}

bool kafka_consumer_commit(
    struct kafka_consumer *consumer, const struct kafka_position *positions, int count) {
    if (!consumer->member || consumer->committing || consumer->releasing || consumer->first ||
        consumer->closed)
        return false;
    rd_kafka_topic_partition_list_t *list = kafka_list_of(positions, count);
    consumer->committing = rd_kafka_commit(consumer->member->handle, list, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    return consumer->committing;
}

/* Fatal ones are seen to in serve_group; a broker that has just come back may refuse a login that it takes a
 * moment later, and librdkafka tries again. */
static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque) {
    static uint64_t last_ms;
    (void)handle;
    (void)opaque;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION && log_due(&last_ms, 1000))
        log_warn("kafka_consumer_error", log_string("reason", reason));
}

/* Errors that come in place of a message. */
static void show_error(struct kafka_consumer *consumer, const rd_kafka_message_t *message) {
    static uint64_t last_ms;
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__FATAL: /* serve_group sees to it, at a place where no message is at hand */
        return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        consumer->options.failed(consumer->options.context, rd_kafka_message_errstr(message));
        return;
    default:
        if (log_due(&last_ms, 1000))
            log_warn("kafka_consumer_error", log_string("reason", rd_kafka_message_errstr(message)));
    }
}

static void end_closed(struct kafka_consumer *consumer) {
    consumer->closed = true;
    consumer->options.closed(consumer->options.context);
}

static int recent_losses(const struct kafka_consumer *consumer) {
    uint64_t now = uv_now(consumer->loop);
    int count = 0;
    for (int i = 0; i < LOSSES_MAX; i++)
        count += consumer->lost_at[i] && now - consumer->lost_at[i] < LOSSES_MS;
    return count;
}

static void give_up_group(struct kafka_consumer *consumer, bool fenced, const char *why) {
    char reason[768];
    if (fenced)
        snprintf(reason, sizeof reason,
            "fenced %d times in %d s: another process runs with the same INSTANCE_ID, %.200s, in the group "
            "%.100s: stop it, or give each process an INSTANCE_ID of its own",
            LOSSES_MAX, LOSSES_MS / 1000, kafka_config.instance_id, consumer->options.group);
    else
        snprintf(reason, sizeof reason, "membership of the group %.100s was lost %d times in %d s: %s",
            consumer->options.group, LOSSES_MAX, LOSSES_MS / 1000, why);
    consumer->options.failed(consumer->options.context, reason);
}

static void on_reopen(uv_timer_t *timer);

/* Full jitter, so that those who lost it together do not come back together. */
static uint64_t reopen_ms(int losses) {
    uint64_t bound = REOPEN_FIRST_MS, random;
    for (int i = 1; i < losses && bound < REOPEN_MAX_MS; i++)
        bound *= 2;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = uv_hrtime();
    return random % (bound < REOPEN_MAX_MS ? bound : REOPEN_MAX_MS) + 1;
}

/* The handle is of no use any more: what it gave and asked is void, and another one takes its place. */
static void lose(struct kafka_consumer *consumer, bool fenced, const char *reason) {
    while (consumer->first)
        drop_first(consumer);
    consumer->committing = consumer->releasing = false;
    kafka_member_retire(&consumer->member);
    consumer->lost_at[consumer->losses++ % LOSSES_MAX] = uv_now(consumer->loop);
    int recent = recent_losses(consumer);
    uint64_t wait_ms = reopen_ms(recent);
    log_warn("kafka_consumer_lost", log_string("group", consumer->options.group),
        log_string("reason", reason), log_integer("losses", recent),
        log_integer("wait_ms", (int64_t)wait_ms));
    consumer->options.lost(consumer->options.context);
    if (consumer->leaving)
        end_closed(consumer);
    else if (recent == LOSSES_MAX)
        give_up_group(consumer, fenced, reason);
    else
        uv_timer_start(consumer->timer, on_reopen, wait_ms, 0);
}

static void serve_group(struct kafka_consumer *consumer) {
    char reason[512];
    rd_kafka_message_t *message;
    while (!consumer->closed && (message = rd_kafka_consumer_poll(consumer->member->handle, 0))) {
        if (message->err)
            show_error(consumer, message);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(consumer->member->handle, reason, sizeof reason);
    if (fatal) {
        lose(consumer, fatal == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, reason);
        return;
    }
    answer_next(consumer);
    if (consumer->leaving && !consumer->closed && !consumer->first &&
        rd_kafka_consumer_closed(consumer->member->handle))
        end_closed(consumer);
}

static void on_wake(void *context) {
    struct kafka_consumer *consumer = context;
    if (!consumer->member || consumer->closed)
        return;
    serve_group(consumer);
    if (consumer->member && !consumer->closed)
        consumer->options.readable(consumer->options.context);
}

static void on_timer(uv_timer_t *timer) {
    on_wake(timer->data);
}

int kafka_consumer_read(struct kafka_consumer *consumer, int queue, int max,
    void (*show)(void *context, int queue, const struct kafka_message *message)) {
    rd_kafka_message_t *batch[READ_BATCH];
    struct kafka_header headers[KAFKA_HEADERS_MAX];
    if (!consumer->member || consumer->closed)
        return 0;
    ssize_t count = rd_kafka_consume_batch_queue(
        consumer->member->queues[queue], 0, batch, (size_t)(max < READ_BATCH ? max : READ_BATCH));
    for (ssize_t i = 0; i < count; i++) {
        if (batch[i]->err) {
            show_error(consumer, batch[i]);
        } else {
            struct kafka_message message;
            kafka_message_from(batch[i], &message, headers);
            show(consumer->options.context, queue, &message);
        }
        rd_kafka_message_destroy(batch[i]);
    }
    return count < 0 ? 0 : (int)count;
}

void kafka_consumer_wake(struct kafka_consumer *consumer) {
    kafka_wake_now(&consumer->wake);
}

int64_t kafka_consumer_end(struct kafka_consumer *consumer, const char *topic, int partition) {
    int64_t low, high;
    if (!consumer->member ||
        rd_kafka_get_watermark_offsets(consumer->member->handle, topic, partition, &low, &high) || high < 0)
        return -1;
    return high;
}

static void add_callbacks(rd_kafka_conf_t *conf, void *consumer) {
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    rd_kafka_conf_set_error_cb(conf, on_error);
}

static void join(struct kafka_consumer *consumer) {
    consumer->member =
        kafka_member_open(consumer->loop, &consumer->options, &consumer->wake, add_callbacks, consumer);
    uv_timer_start(consumer->timer, on_timer, SERVE_MS, SERVE_MS);
    rd_kafka_resp_err_t error = kafka_member_join(consumer->member, consumer->options.topics);
    if (error)
        consumer->options.failed(consumer->options.context, rd_kafka_err2str(error));
}

static void on_reopen(uv_timer_t *timer) {
    struct kafka_consumer *consumer = timer->data;
    log_info("kafka_consumer_reopened", log_string("group", consumer->options.group));
    join(consumer);
}

struct kafka_consumer *kafka_consumer_open(uv_loop_t *loop, const struct kafka_consumer_options *options) {
    struct kafka_consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer || !(consumer->timer = malloc(sizeof *consumer->timer)))
        abort();
    consumer->loop = loop;
    consumer->options = *options;
    kafka_wake_open(&consumer->wake, loop, on_wake, consumer);
    uv_timer_init(loop, consumer->timer);
    consumer->timer->data = consumer;
    join(consumer);
    return consumer;
}

void kafka_consumer_leave(struct kafka_consumer *consumer) {
    if (consumer->leaving)
        return;
    consumer->leaving = true;
    if (!consumer->member) {
        uv_timer_stop(consumer->timer);
        end_closed(consumer);
        return;
    }
    rd_kafka_queue_t *group = rd_kafka_queue_get_consumer(consumer->member->handle);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->member->handle, group);
    rd_kafka_queue_destroy(group);
    if (error) {
        log_warn("kafka_leave_failed", log_string("reason", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        end_closed(consumer);
    }
    kafka_consumer_wake(consumer);
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

void kafka_consumer_close(struct kafka_consumer **consumer_pointer) {
    struct kafka_consumer *consumer = *consumer_pointer;
    *consumer_pointer = NULL;
    if (!consumer)
        return;
    uv_timer_stop(consumer->timer);
    uv_close((uv_handle_t *)consumer->timer, free_handle);
    /* Closing a member that has not left may hang in old librdkafka: the process is ending, the group finds
     * out. */
    kafka_member_close(&consumer->member, consumer->closed);
    kafka_wake_close(&consumer->wake);
    while (consumer->first)
        drop_first(consumer);
    free(consumer);
}

struct kafka_member *kafka_consumer_member(const struct kafka_consumer *consumer) {
    return consumer->member;
}

uv_loop_t *kafka_consumer_loop(const struct kafka_consumer *consumer) {
    return consumer->loop;
}
