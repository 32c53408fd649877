/* The group consumer: partitions are forwarded to queues of ours before they are assigned, rebalances are
 * answered later, and what blocks (the committed offsets) is asked in libuv's thread pool. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/kafka_private.h"
#include "shared/log.h"

enum { COMMITTED_TIMEOUT_MS = 5000, READ_BATCH = 64, SERVE_MS = 1000 };

/* One rebalance that librdkafka waits to see answered; they are answered one after the other. */
struct rebalance {
    struct rebalance *next;
    rd_kafka_topic_partition_list_t *partitions;
    bool assign, lost;
};

struct kafka_consumer {
    uv_loop_t *loop;
    struct kafka_consumer_options options;
    rd_kafka_t *handle;
    rd_kafka_queue_t **queues;
    struct kafka_wake wake;
    uv_timer_t *timer; /* serves the group also when no queue wakes us, so that slow work throws nobody out */
    struct rebalance *first, *last;
    bool answering;  /* the first one was shown to the owner, or waits for its offsets */
    bool committing; /* a commit of kafka_consumer_commit is under way */
    bool releasing;  /* the last commit of revoked partitions is under way */
    bool leaving, closed;
};

struct committed_query {
    uv_work_t work;
    struct kafka_consumer *consumer;
    rd_kafka_topic_partition_list_t *partitions; /* a copy of its own, with offsets once it is done */
    rd_kafka_resp_err_t error;
};

static void answer_next(struct kafka_consumer *consumer);

/* Metadata comes without a NUL at its end: it is copied, behind the positions in the same block. */
static struct kafka_position *positions_of(const rd_kafka_topic_partition_list_t *list) {
    size_t bytes = ((size_t)list->cnt + 1) * sizeof(struct kafka_position);
    for (int i = 0; i < list->cnt; i++)
        bytes += list->elems[i].metadata_size + 1;
    struct kafka_position *positions = calloc(1, bytes);
    if (!positions)
        abort();
    char *text = (char *)&positions[list->cnt + 1];
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &list->elems[i];
        positions[i] = (struct kafka_position){.topic = part->topic,
            .partition = part->partition,
            .offset = part->offset >= 0 ? part->offset : -1,
            .metadata = part->metadata_size ? text : NULL};
        if (part->metadata_size)
            memcpy(text, part->metadata, part->metadata_size);
        text += part->metadata_size + 1;
    }
    return positions;
}

/* Metadata of librdkafka's lists is freed with them, so each list gets its own copy. */
static rd_kafka_topic_partition_list_t *list_of(const struct kafka_position *positions, int count) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *part =
            rd_kafka_topic_partition_list_add(list, positions[i].topic, positions[i].partition);
        part->offset = positions[i].offset < 0 ? RD_KAFKA_OFFSET_BEGINNING : positions[i].offset;
        if (positions[i].metadata) {
            part->metadata = strdup(positions[i].metadata);
            part->metadata_size = strlen(positions[i].metadata);
        }
    }
    return list;
}

static void committed_work(uv_work_t *work) {
    struct committed_query *query = work->data;
    query->error = rd_kafka_committed(query->consumer->handle, query->partitions, COMMITTED_TIMEOUT_MS);
}

static void query_committed(struct kafka_consumer *consumer);

static void committed_done(uv_work_t *work, int status) {
    struct committed_query *query = work->data;
    struct kafka_consumer *consumer = query->consumer;
    struct kafka_position *positions = positions_of(query->partitions);
    if (query->error || status) {
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
    query->partitions = rd_kafka_topic_partition_list_copy(consumer->first->partitions);
    query->work.data = query;
    if (uv_queue_work(consumer->loop, &query->work, committed_work, committed_done) != 0)
        abort();
}

static void show_revoked(struct kafka_consumer *consumer) {
    struct rebalance *rebalance = consumer->first;
    struct kafka_position *positions = positions_of(rebalance->partitions);
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

static void rebalance_answered(struct kafka_consumer *consumer) {
    struct rebalance *rebalance = consumer->first;
    consumer->first = rebalance->next;
    if (!consumer->first)
        consumer->last = NULL;
    rd_kafka_topic_partition_list_destroy(rebalance->partitions);
    free(rebalance);
    consumer->answering = false;
    kafka_consumer_wake(consumer);
}

static bool cooperative(const struct kafka_consumer *consumer) {
    const char *protocol = rd_kafka_rebalance_protocol(consumer->handle);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

/* NULL partitions means all of them, in the eager protocol. */
static void change_assignment(
    struct kafka_consumer *consumer, rd_kafka_topic_partition_list_t *list, bool add) {
    const char *reason = NULL;
    rd_kafka_error_t *error = NULL;
    if (cooperative(consumer)) {
        error = add ? rd_kafka_incremental_assign(consumer->handle, list)
                    : rd_kafka_incremental_unassign(consumer->handle, list);
        reason = error ? rd_kafka_error_string(error) : NULL;
    } else {
        rd_kafka_resp_err_t code = rd_kafka_assign(consumer->handle, add ? list : NULL);
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
    rd_kafka_topic_partition_list_t *list = list_of(positions, count);
    for (int i = 0; i < count; i++) {
        rd_kafka_queue_t *queue =
            rd_kafka_queue_get_partition(consumer->handle, positions[i].topic, positions[i].partition);
        if (queue) {
            rd_kafka_queue_forward(queue, consumer->queues[queue_for(consumer, positions[i].topic)]);
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
        rd_kafka_topic_partition_list_t *list = list_of(positions, count);
        consumer->releasing = rd_kafka_commit(consumer->handle, list, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
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
    if (consumer->committing || consumer->releasing || consumer->first || consumer->closed)
        return false;
    rd_kafka_topic_partition_list_t *list = list_of(positions, count);
    consumer->committing = rd_kafka_commit(consumer->handle, list, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    return consumer->committing;
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque) {
    struct kafka_consumer *consumer = opaque;
    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        consumer->options.failed(consumer->options.context, reason);
}

/* Errors that come in place of a message. */
static void show_error(struct kafka_consumer *consumer, const rd_kafka_message_t *message) {
    static uint64_t last_ms;
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__FATAL:
        consumer->options.failed(consumer->options.context, rd_kafka_message_errstr(message));
        return;
    default:
        if (log_due(&last_ms, 1000))
            log_warn("kafka_consumer_error", log_string("reason", rd_kafka_message_errstr(message)));
    }
}

static void serve_group(struct kafka_consumer *consumer) {
    rd_kafka_message_t *message;
    while (!consumer->closed && (message = rd_kafka_consumer_poll(consumer->handle, 0))) {
        if (message->err)
            show_error(consumer, message);
        rd_kafka_message_destroy(message);
    }
    answer_next(consumer);
    if (consumer->leaving && !consumer->closed && !consumer->first &&
        rd_kafka_consumer_closed(consumer->handle)) {
        consumer->closed = true;
        consumer->options.closed(consumer->options.context);
    }
}

static void on_wake(void *context) {
    struct kafka_consumer *consumer = context;
    serve_group(consumer);
    if (!consumer->closed)
        consumer->options.readable(consumer->options.context);
}

static void on_timer(uv_timer_t *timer) {
    on_wake(timer->data);
}

int kafka_consumer_read(struct kafka_consumer *consumer, int queue, int max,
    void (*show)(void *context, int queue, const struct kafka_message *message)) {
    rd_kafka_message_t *batch[READ_BATCH];
    struct kafka_header headers[KAFKA_HEADERS_MAX];
    if (consumer->closed)
        return 0;
    ssize_t count = rd_kafka_consume_batch_queue(
        consumer->queues[queue], 0, batch, (size_t)(max < READ_BATCH ? max : READ_BATCH));
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
    if (rd_kafka_get_watermark_offsets(consumer->handle, topic, partition, &low, &high) || high < 0)
        return -1;
    return high;
}

static rd_kafka_t *create_handle(struct kafka_consumer *consumer) {
    char messages[32], kbytes[32];
    snprintf(messages, sizeof messages, "%lld", (long long)kafka_config.prefetch_messages);
    snprintf(kbytes, sizeof kbytes, "%lld", (long long)kafka_config.prefetch_kbytes);
    const char *instance = *kafka_config.instance_id ? kafka_config.instance_id : "";
    const char *const properties[] = {
        "group.id",
        consumer->options.group,
        "group.instance.id",
        instance,
        "enable.auto.commit",
        "false",
        "enable.auto.offset.store",
        "false",
        "auto.offset.reset",
        "error",
        "session.timeout.ms",
        "6000",
        "heartbeat.interval.ms",
        "2000",
        "partition.assignment.strategy",
        "cooperative-sticky",
        "queued.min.messages",
        messages,
        "queued.max.messages.kbytes",
        kbytes,
        "fetch.error.backoff.ms",
        "50",
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_configure(properties);
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    rd_kafka_conf_set_error_cb(conf, on_error);
    return kafka_create(RD_KAFKA_CONSUMER, &conf);
}

static void subscribe(struct kafka_consumer *consumer) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; consumer->options.topics[i]; i++)
        rd_kafka_topic_partition_list_add(list, consumer->options.topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error)
        consumer->options.failed(consumer->options.context, rd_kafka_err2str(error));
}

struct kafka_consumer *kafka_consumer_open(uv_loop_t *loop, const struct kafka_consumer_options *options) {
    struct kafka_consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer || !(consumer->queues = calloc((size_t)options->queue_count, sizeof(rd_kafka_queue_t *))) ||
        !(consumer->timer = malloc(sizeof *consumer->timer)))
        abort();
    consumer->loop = loop;
    consumer->options = *options;
    consumer->handle = create_handle(consumer);
    rd_kafka_poll_set_consumer(consumer->handle);
    kafka_wake_open(&consumer->wake, loop, on_wake, consumer);
    rd_kafka_queue_t *group = rd_kafka_queue_get_consumer(consumer->handle);
    kafka_wake_on(&consumer->wake, group);
    rd_kafka_queue_destroy(group);
    for (int i = 0; i < options->queue_count; i++) {
        consumer->queues[i] = rd_kafka_queue_new(consumer->handle);
        kafka_wake_on(&consumer->wake, consumer->queues[i]);
    }
    uv_timer_init(loop, consumer->timer);
    consumer->timer->data = consumer;
    uv_timer_start(consumer->timer, on_timer, SERVE_MS, SERVE_MS);
    subscribe(consumer);
    return consumer;
}

void kafka_consumer_leave(struct kafka_consumer *consumer) {
    if (consumer->leaving)
        return;
    consumer->leaving = true;
    rd_kafka_queue_t *group = rd_kafka_queue_get_consumer(consumer->handle);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->handle, group);
    rd_kafka_queue_destroy(group);
    if (error) {
        log_warn("kafka_leave_failed", log_string("reason", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        consumer->closed = true;
        consumer->options.closed(consumer->options.context);
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
    kafka_wake_close(&consumer->wake);
    /* Closing a member that has not left may hang in old librdkafka: the process is ending, the group finds
     * out. */
    if (!consumer->closed)
        return;
    for (int i = 0; i < consumer->options.queue_count; i++)
        rd_kafka_queue_destroy(consumer->queues[i]);
    free(consumer->queues);
    rd_kafka_destroy(consumer->handle);
    free(consumer);
}

rd_kafka_t *kafka_consumer_handle(const struct kafka_consumer *consumer) {
    return consumer->handle;
}

uv_loop_t *kafka_consumer_loop(const struct kafka_consumer *consumer) {
    return consumer->loop;
}
