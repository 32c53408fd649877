/* The producer's handle of librdkafka: made, and replaced when it turns fatal. */
#include <stdio.h>
#include <stdlib.h>

#include "shared/kafka_producer_private.h"
#include "shared/log.h"

/* The end of an old handle, in libuv's thread pool: it blocks. */
struct ending {
    uv_work_t work;
    struct kafka *kafka;
    rd_kafka_t *handle;
};

static void on_error(rd_kafka_t *handle, int error, const char *reason, void *opaque) {
    struct kafka *kafka = opaque;
    (void)handle;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        kafka->away = true;
    else if (error == RD_KAFKA_RESP_ERR__FATAL)
        log_error("kafka_producer_fatal", log_string("reason", reason));
}

rd_kafka_t *kafka_handle_create(struct kafka *kafka) {
    char timeout[32];
    snprintf(timeout, sizeof timeout, "%lld", (long long)kafka->options.message_timeout_ms);
    char linger[32], messages[32], kbytes[32];
    snprintf(linger, sizeof linger, "%lld", (long long)kafka_config.linger_ms);
    /* librdkafka's own bounds lie above ours, so that ours are the ones that answer. */
    snprintf(messages, sizeof messages, "%lld", (long long)kafka_config.queue_messages_max + 1000);
    snprintf(kbytes, sizeof kbytes, "%lld", (long long)kafka_config.queue_bytes_max / 1024 + 65536);
    const char *const properties[] = {
        "enable.idempotence",
        "true",
        "acks",
        "all",
        "message.timeout.ms",
        timeout,
        "linger.ms",
        linger,
        "queue.buffering.max.messages",
        messages,
        "queue.buffering.max.kbytes",
        kbytes,
        "topic.metadata.refresh.interval.ms",
        "30000",
        NULL,
    };
    rd_kafka_conf_t *conf = kafka_configure(properties);
    rd_kafka_conf_set_opaque(conf, kafka);
    rd_kafka_conf_set_dr_msg_cb(conf, kafka_record_reported);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_t *handle = kafka_create(RD_KAFKA_PRODUCER, &conf);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(handle);
    kafka_wake_on(&kafka->wake, queue);
    rd_kafka_queue_destroy(queue);
    return handle;
}

bool kafka_handle_fatal(const struct kafka *kafka) {
    return rd_kafka_fatal_error(kafka->handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void destroy_work(uv_work_t *work) {
    struct ending *ending = work->data;
    rd_kafka_destroy(ending->handle);
}

static void destroy_done(uv_work_t *work, int status) {
    struct ending *ending = work->data;
    struct kafka *kafka = ending->kafka;
    (void)status;
    free(ending);
    if (kafka->closing)
        return;
    kafka->handle = kafka_handle_create(kafka);
    log_warn("kafka_producer_replaced", log_integer("outstanding", (int64_t)kafka->count));
    kafka_batches_send(kafka);
}

/* The old handle may still read the records it was lent, so nothing is sent again, and nothing ends, before
 * it is gone. */
void kafka_handle_replace(struct kafka *kafka) {
    if (kafka->probing)
        return;
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        abort();
    *ending = (struct ending){.work.data = ending, .kafka = kafka, .handle = kafka->handle};
    kafka->handle = NULL;
    kafka_batches_restart(kafka);
    uv_queue_work(kafka->loop, &ending->work, destroy_work, destroy_done);
}
