/* Records on their way: from kafka_produce to librdkafka's report, or to its refusal. */
#include <stdlib.h>

#include "shared/kafka_producer_private.h"

/* The list keeps the order of kafka_produce, so the oldest record is its head. */
void kafka_record_link(struct outstanding *item) {
    struct kafka *kafka = item->kafka;
    item->previous = kafka->newest;
    item->next = NULL;
    *(kafka->newest ? &kafka->newest->next : &kafka->oldest) = item;
    kafka->newest = item;
    kafka->count++;
    kafka->bytes += item->record.length;
}

static void unlink_record(struct kafka *kafka, struct outstanding *item) {
    *(item->previous ? &item->previous->next : &kafka->oldest) = item->next;
    *(item->next ? &item->next->previous : &kafka->newest) = item->previous;
    kafka->count--;
    kafka->bytes -= item->record.length;
}

static void finish(struct outstanding *item, enum kafka_outcome outcome, const char *reason) {
    struct kafka *kafka = item->kafka;
    kafka_done done = item->done;
    void *context = item->context;
    unlink_record(kafka, item);
    if (item->headers)
        rd_kafka_headers_destroy(item->headers);
    item->headers = NULL;
    item->next = kafka->spare;
    kafka->spare = item;
    done(context, outcome, reason);
}

static enum kafka_outcome outcome_of(const rd_kafka_message_t *message) {
    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return KAFKA_DELIVERED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return KAFKA_REFUSED;
    default:
        return rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? KAFKA_FAILED
                                                                                     : KAFKA_UNKNOWN;
    }
}

void kafka_record_reported(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    struct kafka *kafka = opaque;
    struct outstanding *item = message->_private;
    /* After a fatal error what has no report is sent again by the new handle. */
    if (message->err && rd_kafka_fatal_error(handle, NULL, 0))
        return;
    item->topic->unacknowledged--;
    kafka->due = true;
    finish(item, outcome_of(message), message->err ? rd_kafka_err2str(message->err) : "");
}

void kafka_record_refuse(struct outstanding *item, const char *reason) {
    item->refused = reason;
    item->kafka->refused = true;
    kafka_wake_now(&item->kafka->wake);
}

void kafka_records_end_refused(struct kafka *kafka) {
    if (!kafka->refused)
        return;
    kafka->refused = false;
    for (struct outstanding *item = kafka->oldest, *next; item; item = next) {
        next = item->next;
        if (item->refused)
            finish(item, KAFKA_REFUSED, item->refused);
    }
}

static void free_list(struct outstanding *item) {
    for (struct outstanding *next; item; item = next) {
        next = item->next;
        if (item->headers)
            rd_kafka_headers_destroy(item->headers);
        free(item);
    }
}

void kafka_records_free(struct kafka *kafka) {
    free_list(kafka->oldest);
    free_list(kafka->spare);
}
