/* One membership of a group: its handle and the queues that it is read through. What blocks is asked of it in
 * libuv's thread pool, and there it ends too, once no question uses it any more. */
#include <stdio.h>
#include <stdlib.h>

#include "shared/kafka_private.h"

static rd_kafka_t *create_handle(const struct kafka_consumer_options *options,
    void (*prepare)(rd_kafka_conf_t *conf, void *context), void *context) {
    char messages[32], kbytes[32];
    snprintf(messages, sizeof messages, "%lld", (long long)kafka_config.prefetch_messages);
    snprintf(kbytes, sizeof kbytes, "%lld", (long long)kafka_config.prefetch_kbytes);
    const char *const properties[] = {
        "group.id",
        options->group,
        "group.instance.id",
        kafka_config.instance_id,
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
    prepare(conf, context);
    return kafka_create(RD_KAFKA_CONSUMER, &conf);
}

struct kafka_member *kafka_member_open(uv_loop_t *loop, const struct kafka_consumer_options *options,
    struct kafka_wake *wake, void (*prepare)(rd_kafka_conf_t *conf, void *context), void *context) {
    struct kafka_member *member = calloc(1, sizeof *member);
    if (!member || !(member->queues = calloc((size_t)options->queue_count, sizeof(rd_kafka_queue_t *))))
        abort();
    member->loop = loop;
    member->handle = create_handle(options, prepare, context);
    rd_kafka_poll_set_consumer(member->handle);
    rd_kafka_queue_t *group = rd_kafka_queue_get_consumer(member->handle);
    kafka_wake_on(wake, group);
    rd_kafka_queue_destroy(group);
    for (member->queue_count = 0; member->queue_count < options->queue_count; member->queue_count++) {
        member->queues[member->queue_count] = rd_kafka_queue_new(member->handle);
        kafka_wake_on(wake, member->queues[member->queue_count]);
    }
    return member;
}

rd_kafka_resp_err_t kafka_member_join(struct kafka_member *member, const char *const *topics) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int i = 0; topics[i]; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(member->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error;
}

/* After this librdkafka's threads write to the eventfd no more. */
static void silence(struct kafka_member *member) {
    rd_kafka_queue_t *group = rd_kafka_queue_get_consumer(member->handle);
    if (group) {
        kafka_wake_off(group);
        rd_kafka_queue_destroy(group);
    }
    for (int i = 0; i < member->queue_count; i++)
        kafka_wake_off(member->queues[i]);
}

static void drop_queues(struct kafka_member *member) {
    for (int i = 0; i < member->queue_count; i++)
        rd_kafka_queue_destroy(member->queues[i]);
    free(member->queues);
}

/* Without the flag it would call back about rebalances, and wait for answers that nobody gives. */
static void destroy_work(uv_work_t *work) {
    struct kafka_member *member = work->data;
    rd_kafka_destroy_flags(member->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void destroy_done(uv_work_t *work, int status) {
    (void)status;
    free(work->data);
}

static void end_unused(struct kafka_member *member) {
    if (!member->retired || member->users)
        return;
    member->work.data = member;
    if (uv_queue_work(member->loop, &member->work, destroy_work, destroy_done) != 0)
        abort();
}

void kafka_member_retire(struct kafka_member **member_pointer) {
    struct kafka_member *member = *member_pointer;
    *member_pointer = NULL;
    silence(member);
    drop_queues(member);
    member->retired = true;
    end_unused(member);
}

void kafka_member_use(struct kafka_member *member) {
    member->users++;
}

void kafka_member_unuse(struct kafka_member *member) {
    member->users--;
    end_unused(member);
}

void kafka_member_close(struct kafka_member **member_pointer, bool left) {
    struct kafka_member *member = *member_pointer;
    *member_pointer = NULL;
    if (!member)
        return;
    silence(member);
    if (!left || member->users)
        return;
    drop_queues(member);
    rd_kafka_destroy_flags(member->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(member);
}
