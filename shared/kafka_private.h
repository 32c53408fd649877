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
void kafka_wake_now(struct kafka_wake *wake);
void kafka_wake_close(struct kafka_wake *wake);

/* Fills message from librdkafka's; headers is room for KAFKA_HEADERS_MAX. */
void kafka_message_from(
    const rd_kafka_message_t *source, struct kafka_message *message, struct kafka_header *headers);

/* Borrowed. */
rd_kafka_t *kafka_consumer_handle(const struct kafka_consumer *consumer);
uv_loop_t *kafka_consumer_loop(const struct kafka_consumer *consumer);

#endif
