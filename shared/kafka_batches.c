/* The batches in which a topic's records travel. */
#include <string.h>

#include "shared/kafka_producer_private.h"

enum { BATCH_MS_MAX = 50, BUSY_RATE = 1500, BUSY_GAP_MS = 2 };

static rd_kafka_headers_t *headers_of(const struct kafka_record *record) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)record->header_count);
    for (int i = 0; i < record->header_count; i++)
        rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value,
            (ssize_t)record->headers[i].length);
    return headers;
}

void kafka_batch_add(struct outstanding *item) {
    struct known_topic *topic = item->topic;
    item->next_pending = NULL;
    *topic->pending_end = item;
    topic->pending_end = &item->next_pending;
    item->kafka->due = true;
    if (!item->headers)
        item->headers = headers_of(&item->record);
}

/* False when librdkafka has no room now. */
static bool send_record(struct outstanding *item) {
    struct kafka *kafka = item->kafka;
    const struct kafka_record *record = &item->record;
    /* Neither copied nor freed: the caller lends the value until done. */
    rd_kafka_resp_err_t error = rd_kafka_producev(kafka->handle, RD_KAFKA_V_TOPIC(record->topic),
        RD_KAFKA_V_PARTITION(record->partition < 0 ? item->topic->partition : record->partition),
        RD_KAFKA_V_KEY(record->key, record->key ? strlen(record->key) : 0),
        RD_KAFKA_V_VALUE((void *)record->value, record->length), RD_KAFKA_V_HEADERS(item->headers),
        RD_KAFKA_V_OPAQUE(item), RD_KAFKA_V_END);
    if (!error) {
        item->headers = NULL; /* librdkafka's now */
        item->topic->unacknowledged++;
        return true;
    }
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL || error == RD_KAFKA_RESP_ERR__FATAL)
        return false;
    kafka_record_refuse(item, rd_kafka_err2str(error));
    return true;
}

static void on_gap_over(uv_timer_t *timer) {
    struct kafka *kafka = timer->data;
    kafka->due = true;
}

static void send_batch(struct kafka *kafka, struct known_topic *topic) {
    uint64_t now = uv_now(kafka->loop);
    /* A batch that takes long, since a leader is away say, does not hold up the others. */
    if (!topic->pending || (topic->unacknowledged && now - topic->pace.sent_ms < BATCH_MS_MAX))
        return;
    uint64_t wait_ms = pace_wait_ms(&topic->pace, now, BUSY_GAP_MS);
    if (wait_ms) {
        uv_timer_start(kafka->gap, on_gap_over, wait_ms, 0);
        return;
    }
    /* librdkafka sends one request for each partition, and nothing depends on which partition a key falls
     * into: the whole batch goes to one. It is handed over in one go, with its headers made before: the first
     * record wakes librdkafka's thread, and what it does not find there by then goes in a second request, for
     * which it waits, in a busy loop, until the first is answered (it holds records in flight against its
     * bound of five requests). */
    topic->partition = topic->partitions ? (topic->partition + 1) % topic->partitions : RD_KAFKA_PARTITION_UA;
    size_t sent = 0;
    for (; topic->pending && send_record(topic->pending); sent++)
        topic->pending = topic->pending->next_pending;
    pace_sent(&topic->pace, now, sent, BUSY_RATE);
    if (!topic->pending)
        topic->pending_end = &topic->pending;
}

void kafka_batches_send(struct kafka *kafka) {
    if (!kafka->handle)
        return;
    kafka->due = false;
    for (int i = 0; i <= kafka->topic_count; i++)
        send_batch(kafka, &kafka->topics[i]);
}

void kafka_batches_restart(struct kafka *kafka) {
    for (int i = 0; i <= kafka->topic_count; i++) {
        kafka->topics[i].pending_end = &kafka->topics[i].pending;
        kafka->topics[i].pending = NULL;
        kafka->topics[i].unacknowledged = 0;
    }
    /* What was refused was lent to nobody, and its end is under way. */
    for (struct outstanding *item = kafka->oldest; item; item = item->next)
        if (!item->refused)
            kafka_batch_add(item);
}
