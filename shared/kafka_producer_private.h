/* The producer's parts: records on their way (kafka_delivery.c), the batches they travel in
 * (kafka_batches.c), librdkafka's handle, replaced when it turns fatal (kafka_handle.c), and probes of the
 * cluster (kafka_probe.c). */
#ifndef SHARED_KAFKA_PRODUCER_PRIVATE_H
#define SHARED_KAFKA_PRODUCER_PRIVATE_H

#include "shared/kafka_private.h"
#include "shared/pace.h"

enum { CLUSTER_ID_BYTES = 64 };

/* One record on its way. */
struct outstanding {
    struct outstanding *previous, *next; /* all of them, in the order of kafka_produce */
    struct outstanding *next_pending;    /* those of its topic that are not sent yet */
    struct kafka *kafka;
    struct known_topic *topic;
    struct kafka_record record;
    rd_kafka_headers_t *headers; /* the record's, until librdkafka has taken them */
    kafka_done done;
    void *context;
    uint64_t since_ms;   /* loop time of kafka_produce */
    const char *refused; /* librdkafka did not take it: why */
};

/* A topic's records travel in batches: what comes while one is under way gathers for the next, as in Nagle's
 * algorithm, and a topic of more than BUSY_RATE records a second sends one every few milliseconds at most. So
 * a quiet topic has no delay, and a busy one few requests: each costs the broker and us as much as dozens of
 * records. */
struct known_topic {
    const char *name;
    int partitions; /* 0: it does not exist, or is not known */
    int partition;  /* where the records of a batch go that name none; another one for each batch */
    struct outstanding *pending, **pending_end;
    size_t unacknowledged; /* records of the batch under way */
    struct pace pace;      /* of its batches */
};

struct kafka {
    uv_loop_t *loop;
    struct kafka_options options;
    rd_kafka_t *handle; /* NULL while it is being replaced */
    struct kafka_wake wake;
    uv_timer_t *timer;     /* probes, and sends what could not be sent */
    uv_timer_t *gap;       /* ends a busy topic's gap */
    uv_prepare_t *prepare; /* sends what a turn of the loop has produced */
    struct outstanding *oldest, *newest, *spare;
    size_t count, bytes;
    struct known_topic *topics; /* the last one stands for all that were not named at the start */
    int topic_count;            /* of those named */
    char cluster_id[CLUSTER_ID_BYTES];
    char missing[256];
    bool away;  /* no answer yet, or all brokers down, until a probe succeeds */
    bool ready; /* as last told by changed */
    bool probing, due, refused, closing;
    uint64_t waiting_said_ms;
};

/* kafka_delivery.c: the list of records without an outcome keeps the order of kafka_produce. */
void kafka_record_link(struct outstanding *item);
/* librdkafka's report: ends a record, unless a fatal error has struck: then the next handle sends it again.
 */
void kafka_record_reported(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque);
/* librdkafka did not take it: its end comes with kafka_records_end_refused. reason is borrowed for ever. */
void kafka_record_refuse(struct outstanding *item, const char *reason);
void kafka_records_end_refused(struct kafka *kafka);
/* Frees all records, without a call of done. */
void kafka_records_free(struct kafka *kafka);

/* kafka_batches.c */
void kafka_batch_add(struct outstanding *item);
/* Hands to librdkafka what is due now. */
void kafka_batches_send(struct kafka *kafka);
/* After the end of a handle: what it was lent is to be sent again, in the order of kafka_produce. */
void kafka_batches_restart(struct kafka *kafka);

/* kafka_handle.c */
rd_kafka_t *kafka_handle_create(struct kafka *kafka);
/* True when the handle is of no use any more. */
bool kafka_handle_fatal(const struct kafka *kafka);
/* Puts a new handle in the place of one that turned fatal. Does nothing while a probe uses it: to be called
 * again then. */
void kafka_handle_replace(struct kafka *kafka);

/* kafka_probe.c: asks the cluster for its topics, once at a time; probed is called when it has an answer or
 * none. */
void kafka_probe(struct kafka *kafka, void (*probed)(struct kafka *kafka));

#endif
