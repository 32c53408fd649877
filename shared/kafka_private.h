/* What the Kafka files share: configuration, callbacks of librdkafka's log, and its queues as loop events. */
#ifndef SHARED_KAFKA_PRIVATE_H
#define SHARED_KAFKA_PRIVATE_H

#include <librdkafka/rdkafka.h>

#include "shared/kafka.h"

struct kafka_config {
    char *brokers, *instance_id;
    int64_t linger_ms, queue_messages_max, queue_bytes_max, prefetch_messages, prefetch_kbytes;
};
extern struct kafka_config kafka_config;

/* Pairs of names and values, NULL-terminated. */
rd_kafka_conf_t *kafka_configure(const char *const *properties);

/* Creates a handle whose log lines come out of its main queue. A configuration that librdkafka refuses ends
 * the process with exit code 2 and the reason. Takes *conf and nulls it. */
rd_kafka_t *kafka_create(rd_kafka_type_t type, rd_kafka_conf_t **conf);

/* An eventfd, watched by the loop, that queues write to when they become readable. */
struct kafka_wake {
    int fd;
    uv_poll_t *poll;
    void (*awake)(void *context);
    void *context;
};

void kafka_wake_open(struct kafka_wake *wake, uv_loop_t *loop, void (*awake)(void *context), void *context);
void kafka_wake_on(struct kafka_wake *wake, rd_kafka_queue_t *queue);
/* To be called before the wake is closed, where the queue may live on. */
void kafka_wake_off(rd_kafka_queue_t *queue);
void kafka_wake_now(struct kafka_wake *wake);
void kafka_wake_close(struct kafka_wake *wake);

/* Fills message from librdkafka's; headers is room for KAFKA_HEADERS_MAX. */
void kafka_message_from(
    const rd_kafka_message_t *source, struct kafka_message *message, struct kafka_header *headers);

/* In one block of memory, for the caller to free; topics are borrowed from the list. */
struct kafka_position *kafka_positions_of(const rd_kafka_topic_partition_list_t *list);
rd_kafka_topic_partition_list_t *kafka_list_of(const struct kafka_position *positions, int count);

/* A membership of a group, from joining until it has left or become useless. */
struct kafka_member {
    rd_kafka_t *handle;
    rd_kafka_queue_t **queues;
    int queue_count;
    int users;    /* questions in the thread pool */
    bool retired; /* ends with its last user */
    uv_loop_t *loop;
    uv_work_t work; /* its end */
};

/* prepare adds callbacks to the configuration. options and wake are borrowed for the life. Never NULL. */
struct kafka_member *kafka_member_open(uv_loop_t *loop, const struct kafka_consumer_options *options,
    struct kafka_wake *wake, void (*prepare)(rd_kafka_conf_t *conf, void *context), void *context);
rd_kafka_resp_err_t kafka_member_join(struct kafka_member *member, const char *const *topics);

/* A question in the thread pool begins, or has ended, on the loop's thread: meanwhile the handle lives. */
void kafka_member_use(struct kafka_member *member);
void kafka_member_unuse(struct kafka_member *member);

/* Ends one that is of no use any more, in the thread pool: no callback comes from it from now on. No message
 * of it may be left. Takes and nulls *member. */
void kafka_member_retire(struct kafka_member **member);

/* Ends it on this thread when the process is about to exit; where it has not left the group or a question is
 * under way it is left to the system. Takes and nulls *member, which may be NULL. */
void kafka_member_close(struct kafka_member **member, bool left);

/* Borrowed; NULL while the consumer has no member. */
struct kafka_member *kafka_consumer_member(const struct kafka_consumer *consumer);
uv_loop_t *kafka_consumer_loop(const struct kafka_consumer *consumer);

#endif
