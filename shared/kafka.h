/* Kafka on the event loop: a producer that survives its own fatal errors, a group consumer whose partitions
 * are read through queues of ours, and a tail of one partition. Only the files shared/kafka*.c include
 * rdkafka.h. */
#ifndef SHARED_KAFKA_H
#define SHARED_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/settings.h"

struct arena;
struct kafka;
struct kafka_consumer;
struct kafka_tail;

/* KAFKA_BROKERS, INSTANCE_ID, KAFKA_LINGER_MS, KAFKA_QUEUE_MESSAGES_MAX, KAFKA_QUEUE_BYTES_MAX,
 * KAFKA_PREFETCH_MESSAGES, KAFKA_PREFETCH_KBYTES. Any librdkafka property passes through KAFKA_CONFIG_*: its
 * name in capitals with _ for the dots (KAFKA_CONFIG_SECURITY_PROTOCOL). */
extern struct setting kafka_settings[];

/* INSTANCE_ID, or "" when it is not set. */
const char *kafka_instance_id(void);

struct kafka_header {
    const char *name;
    const char *value; /* any bytes */
    size_t length;
};

enum { KAFKA_HEADERS_MAX = 32 };

/* What comes from a topic; borrowed for the call that shows it. */
struct kafka_message {
    const char *topic;
    int partition;
    int64_t offset;
    const char *key; /* NULL: none */
    size_t key_length;
    const char *value; /* never NULL; an empty one has length 0 */
    size_t length;
    const struct kafka_header *headers; /* at most KAFKA_HEADERS_MAX, later ones are left out */
    int header_count;
};

/* The last header of that name; NULL when there is none. */
const struct kafka_header *kafka_header(const struct kafka_message *message, const char *name);

/* What goes to a topic. All it points at is borrowed until its done callback. */
struct kafka_record {
    const char *topic;
    int partition;   /* -1: by the key */
    const char *key; /* C string, may be NULL */
    const char *value;
    size_t length;
    const struct kafka_header *headers;
    int header_count;
};

enum kafka_outcome {
    KAFKA_DELIVERED, /* acknowledged by all replicas in sync */
    KAFKA_REFUSED,   /* will never be taken as it is: too large, no such topic */
    KAFKA_FAILED,    /* not kept; may be sent again */
    KAFKA_UNKNOWN,   /* possibly kept, no acknowledgement came */
};

/* reason: "" when delivered. */
typedef void (*kafka_done)(void *context, enum kafka_outcome outcome, const char *reason);

struct kafka_options {
    const char *const *topics;                  /* Kafka names that must exist, NULL-terminated */
    int64_t message_timeout_ms;                 /* 0: a record is tried for as long as it takes */
    void (*changed)(void *context, bool ready); /* called when Kafka comes and when it goes; may be NULL */
    void *context;
};

/* The process's producer and its knowledge of the cluster. Waits for Kafka and the topics for as long as it
 * takes and says so in the log, once a second at most. options is borrowed for the call, what it points at
 * for the life. */
struct kafka *kafka_open(uv_loop_t *loop, const struct kafka_options *options);

/* NULL while Kafka takes records; else why not: no answer yet, topics missing, all brokers down, or the
 * oldest unacknowledged record is older than two seconds. */
const char *kafka_broken(const struct kafka *kafka);

/* True when a record would wait for long: no broker, or no topic. What else kafka_broken tells, that
 * acknowledgements are late, may be over at any moment. */
bool kafka_away(const struct kafka *kafka);

/* How many partitions the topic has, 0 when not known. */
int kafka_partitions(const struct kafka *kafka, const char *topic);

/* The cluster's id, "" until it has answered. */
const char *kafka_cluster_id(const struct kafka *kafka);

/* Sends a record; done is called once, from the loop, never from inside this call. False, and no call of
 * done, when the queue is full by count or bytes. */
bool kafka_produce(struct kafka *kafka, const struct kafka_record *record, kafka_done done, void *context);

/* Records without acknowledgement. */
size_t kafka_outstanding(const struct kafka *kafka);

/* Drops what is outstanding without a call of done; nulls *kafka. */
void kafka_close(struct kafka **kafka);

/* One partition, as assigned or to be committed. */
struct kafka_position {
    const char *topic;
    int partition;
    int64_t offset;       /* the next to read; -1: none committed */
    const char *metadata; /* C string; NULL: none */
};

struct kafka_consumer_options {
    const char *group;
    const char *const *topics; /* Kafka names, NULL-terminated */
    const int *queues;         /* for each topic the queue it is read through, 0 … queue_count-1 */
    int queue_count;
    /* Partitions come, with what the group has committed. Answer, now or later, with kafka_consumer_start. */
    void (*assigned)(void *context, const struct kafka_position *positions, int count);
    /* Partitions go. Answer, now or later, with kafka_consumer_release; lost: they already belong to somebody
     * else. */
    void (*revoked)(void *context, const struct kafka_position *positions, int count, bool lost);
    /* A queue may have messages. */
    void (*readable)(void *context);
    /* The commit of kafka_consumer_commit ended; reason NULL when it was kept. */
    void (*committed)(void *context, const char *reason);
    /* Membership ended by a fatal error, as after an outage longer than the session: no partition is held,
     * and what was asked with assigned or revoked must not be answered. It begins anew by itself, after a
     * back-off. */
    void (*lost)(void *context);
    /* Nothing can go on: an offset out of range; membership lost again and again in a short time, which tells
     * of another process with the same INSTANCE_ID. */
    void (*failed)(void *context, const char *reason);
    void (*closed)(void *context);
    void *context;
};

/* Joins the group. options is borrowed for the call, what it points at for the life. */
struct kafka_consumer *kafka_consumer_open(uv_loop_t *loop, const struct kafka_consumer_options *options);

/* Answers assigned: begins to read at these offsets (-1: from the beginning). */
void kafka_consumer_start(struct kafka_consumer *consumer, const struct kafka_position *positions, int count);

/* Answers revoked: commits positions (count 0: nothing) and then gives the partitions up. */
void kafka_consumer_release(
    struct kafka_consumer *consumer, const struct kafka_position *positions, int count);

/* Shows up to max messages of a queue; returns how many there were. */
int kafka_consumer_read(struct kafka_consumer *consumer, int queue, int max,
    void (*show)(void *context, int queue, const struct kafka_message *message));

/* Calls readable again in the next turn of the loop: for a reader that stopped before a queue was empty. */
void kafka_consumer_wake(struct kafka_consumer *consumer);

/* Sends a commit; false when one is still under way or a rebalance waits for its answer. */
bool kafka_consumer_commit(
    struct kafka_consumer *consumer, const struct kafka_position *positions, int count);

/* Asks for the offset of each partition's first record appended at time_ms (Unix time in ms) or later, or its
 * end where there is none. done is called once, from the loop; positions are borrowed for the calls, count 0
 * means that Kafka did not answer. The consumer must outlive the question. */
void kafka_consumer_offsets_at(struct kafka_consumer *consumer, const struct kafka_position *positions,
    int count, int64_t time_ms,
    void (*done)(void *context, const struct kafka_position *positions, int count), void *context);

/* The end of the partition as last seen by a fetch; -1: not known. */
int64_t kafka_consumer_end(struct kafka_consumer *consumer, const char *topic, int partition);

/* Leaves the group: revoked is called for what is held, then closed. */
void kafka_consumer_leave(struct kafka_consumer *consumer);

/* Frees it, after closed, or at any time when the process is about to exit anyway. Nulls *consumer. */
void kafka_consumer_close(struct kafka_consumer **consumer);

/* Reads one partition without a group, from its end as it is when the call gets there. ready is called once
 * that end is known: whatever is produced from then on is shown. Also called again after the tail had to
 * begin anew. */
struct kafka_tail *kafka_tail_open(uv_loop_t *loop, const char *topic, int partition,
    void (*ready)(void *context), void (*show)(void *context, const struct kafka_message *message),
    void *context);

void kafka_tail_close(struct kafka_tail **tail);

#endif
