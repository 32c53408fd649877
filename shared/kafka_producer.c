/* The producer: keeps every record until it is acknowledged, replaces librdkafka's handle when that turns
 * fatal, and probes the cluster while it is away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/kafka_private.h"
#include "shared/log.h"

enum {
    PROBE_TIMEOUT_MS = 2000,
    PROBE_PAUSE_MS = 250,
    OLDEST_MS_MAX = 2000,
    BATCH_MS_MAX = 50,
    BUSY_RATE = 1500,
    BUSY_WINDOW_MS = 64,
    BUSY_GAP_MS = 2,
    CLUSTER_ID_BYTES = 64
};

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
    uint64_t batch_ms;     /* when that one was sent */
    uint64_t window_ms;    /* since when window_records are counted */
    uint64_t window_records;
    bool busy; /* by the last window */
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

/* A probe or the end of an old handle, in libuv's thread pool: both block. */
struct blocking {
    uv_work_t work;
    struct kafka *kafka;
    rd_kafka_t *handle;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error;
    char cluster_id[CLUSTER_ID_BYTES];
};

static void replace_handle(struct kafka *kafka);

/* The list keeps the order of kafka_produce, so the oldest record is its head. */
static void link_newest(struct kafka *kafka, struct outstanding *item) {
    item->previous = kafka->newest;
    item->next = NULL;
    *(kafka->newest ? &kafka->newest->next : &kafka->oldest) = item;
    kafka->newest = item;
    kafka->count++;
    kafka->bytes += item->record.length;
}

static void add_pending(struct outstanding *item) {
    item->next_pending = NULL;
    *item->topic->pending_end = item;
    item->topic->pending_end = &item->next_pending;
    item->kafka->due = true;
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

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
    struct kafka *kafka = opaque;
    struct outstanding *item = message->_private;
    /* After a fatal error what has no report is sent again by the new handle. */
    if (message->err && rd_kafka_fatal_error(handle, NULL, 0))
        return;
    item->topic->unacknowledged--;
    kafka->due = true;
    finish(item, outcome_of(message), message->err ? rd_kafka_err2str(message->err) : "");
}

static void tell(struct kafka *kafka) {
    bool ready = kafka_broken(kafka) == NULL;
    if (ready == kafka->ready)
        return;
    kafka->ready = ready;
    if (ready)
        log_info("kafka_ready", log_string("brokers", kafka_config.brokers),
            log_string("cluster", kafka->cluster_id));
    else
        log_warn("kafka_away", log_string("reason", kafka_broken(kafka)));
    if (kafka->options.changed)
        kafka->options.changed(kafka->options.context, ready);
}

static void on_error(rd_kafka_t *handle, int error, const char *reason, void *opaque) {
    struct kafka *kafka = opaque;
    (void)handle;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        kafka->away = true;
    else if (error == RD_KAFKA_RESP_ERR__FATAL)
        log_error("kafka_producer_fatal", log_string("reason", reason));
}

static rd_kafka_headers_t *headers_of(const struct kafka_record *record) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)record->header_count);
    for (int i = 0; i < record->header_count; i++)
        rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value,
            (ssize_t)record->headers[i].length);
    return headers;
}

/* False when librdkafka has no room now. */
static bool send_record(struct outstanding *item) {
    struct kafka *kafka = item->kafka;
    const struct kafka_record *record = &item->record;
    if (!item->headers)
        item->headers = headers_of(record); /* it is sent again, by another handle */
    /* Neither copied nor freed: the caller lends the value until done. */
    rd_kafka_resp_err_t error = rd_kafka_producev(kafka->handle, RD_KAFKA_V_TOPIC(record->topic),
        RD_KAFKA_V_PARTITION(record->partition < 0 ? item->topic->partition : record->partition),
        RD_KAFKA_V_KEY(record->key, record->key ? strlen(record->key) : 0),
        RD_KAFKA_V_VALUE((void *)record->value, record->length), RD_KAFKA_V_HEADERS(item->headers),
        RD_KAFKA_V_OPAQUE(item), RD_KAFKA_V_END);
    if (!error) {
        item->headers = NULL;
        item->topic->unacknowledged++;
        return true;
    }
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL || error == RD_KAFKA_RESP_ERR__FATAL)
        return false;
    item->refused = rd_kafka_err2str(error);
    kafka->refused = true;
    kafka_wake_now(&kafka->wake);
    return true;
}

static void on_gap_over(uv_timer_t *timer) {
    struct kafka *kafka = timer->data;
    kafka->due = true;
}

static void send_batch(struct kafka *kafka, struct known_topic *topic) {
    uint64_t now = uv_now(kafka->loop);
    /* A batch that takes long, since a leader is away say, does not hold up the others. */
    if (!topic->pending || (topic->unacknowledged && now - topic->batch_ms < BATCH_MS_MAX))
        return;
    if (topic->busy && now - topic->batch_ms < BUSY_GAP_MS) {
        uv_timer_start(kafka->gap, on_gap_over, topic->batch_ms + BUSY_GAP_MS - now, 0);
        return;
    }
    /* librdkafka sends one request for each partition, and nothing depends on which partition a key falls
     * into: the whole batch goes to one. It is handed over in one go, with its headers made before: the first
     * record wakes librdkafka's thread, and what it does not find there by then goes in a second request, for
     * which it waits, in a busy loop, until the first is answered (it holds records in flight against its
     * bound of five requests). */
    topic->partition = topic->partitions ? (topic->partition + 1) % topic->partitions : RD_KAFKA_PARTITION_UA;
    topic->batch_ms = now;
    for (; topic->pending && send_record(topic->pending); topic->window_records++)
        topic->pending = topic->pending->next_pending;
    uint64_t window = now - topic->window_ms;
    if (window >= BUSY_WINDOW_MS) {
        topic->busy = topic->window_records * 1000 / window >= BUSY_RATE;
        topic->window_ms = now;
        topic->window_records = 0;
    }
    if (!topic->pending)
        topic->pending_end = &topic->pending;
}

static void send_pending(struct kafka *kafka) {
    if (!kafka->handle)
        return;
    kafka->due = false;
    for (int i = 0; i <= kafka->topic_count; i++)
        send_batch(kafka, &kafka->topics[i]);
}

static void on_prepare(uv_prepare_t *prepare) {
    struct kafka *kafka = prepare->data;
    if (kafka->due)
        send_pending(kafka);
}

static void end_refused(struct kafka *kafka) {
    if (!kafka->refused)
        return;
    kafka->refused = false;
    for (struct outstanding *item = kafka->oldest, *next; item; item = next) {
        next = item->next;
        if (item->refused)
            finish(item, KAFKA_REFUSED, item->refused);
    }
}

static void drain(void *context) {
    struct kafka *kafka = context;
    if (!kafka->handle)
        return;
    while (rd_kafka_poll(kafka->handle, 0) > 0)
        ;
    if (kafka->closing)
        return;
    end_refused(kafka);
    if (rd_kafka_fatal_error(kafka->handle, NULL, 0))
        replace_handle(kafka);
    tell(kafka);
}

static rd_kafka_t *create_handle(struct kafka *kafka) {
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
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_t *handle = kafka_create(RD_KAFKA_PRODUCER, &conf);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(handle);
    kafka_wake_on(&kafka->wake, queue);
    rd_kafka_queue_destroy(queue);
    return handle;
}

static void destroy_work(uv_work_t *work) {
    struct blocking *blocking = work->data;
    rd_kafka_destroy(blocking->handle);
}

static void destroy_done(uv_work_t *work, int status) {
    struct blocking *blocking = work->data;
    struct kafka *kafka = blocking->kafka;
    (void)status;
    free(blocking);
    if (kafka->closing)
        return;
    kafka->handle = create_handle(kafka);
    log_warn("kafka_producer_replaced", log_integer("outstanding", (int64_t)kafka->count));
    send_pending(kafka);
}

static struct blocking *blocking_create(struct kafka *kafka) {
    struct blocking *blocking = calloc(1, sizeof *blocking);
    if (!blocking)
        abort();
    blocking->kafka = kafka;
    blocking->handle = kafka->handle;
    blocking->work.data = blocking;
    return blocking;
}

/* The old handle may still read the records it was lent, so nothing is sent again, and nothing ends, before
 * it is gone. */
static void replace_handle(struct kafka *kafka) {
    if (kafka->probing)
        return; /* the probe uses the handle: its end comes back here */
    struct blocking *blocking = blocking_create(kafka);
    kafka->handle = NULL;
    for (int i = 0; i <= kafka->topic_count; i++) {
        kafka->topics[i].pending_end = &kafka->topics[i].pending;
        kafka->topics[i].pending = NULL;
        kafka->topics[i].unacknowledged = 0;
    }
    for (struct outstanding *item = kafka->oldest; item; item = item->next)
        add_pending(item);
    uv_queue_work(kafka->loop, &blocking->work, destroy_work, destroy_done);
}

static void probe_work(uv_work_t *work) {
    struct blocking *blocking = work->data;
    blocking->error = rd_kafka_metadata(blocking->handle, 1, NULL, &blocking->metadata, PROBE_TIMEOUT_MS);
    if (blocking->error)
        return;
    char *id = rd_kafka_clusterid(blocking->handle, 0);
    if (id) {
        snprintf(blocking->cluster_id, sizeof blocking->cluster_id, "%s", id);
        rd_kafka_mem_free(blocking->handle, id);
    }
}

static int partitions_in(const struct rd_kafka_metadata *metadata, const char *topic) {
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, topic) == 0 && !metadata->topics[i].err)
            return metadata->topics[i].partition_cnt;
    return 0;
}

static void learn(struct kafka *kafka, const struct blocking *probe) {
    snprintf(kafka->cluster_id, sizeof kafka->cluster_id, "%s", probe->cluster_id);
    kafka->missing[0] = '\0';
    for (int i = 0; i < kafka->topic_count; i++) {
        kafka->topics[i].partitions = partitions_in(probe->metadata, kafka->topics[i].name);
        if (!kafka->topics[i].partitions)
            snprintf(kafka->missing, sizeof kafka->missing, "topic %s does not exist yet: run moru-setup",
                kafka->topics[i].name);
    }
    kafka->away = probe->metadata->broker_cnt == 0;
}

static void probe_done(uv_work_t *work, int status) {
    struct blocking *probe = work->data;
    struct kafka *kafka = probe->kafka;
    kafka->probing = false;
    if (!kafka->closing && !status) {
        if (!probe->error)
            learn(kafka, probe);
        tell(kafka);
        if (!kafka->ready && log_due(&kafka->waiting_said_ms, 1000))
            log_warn("kafka_waiting", log_string("brokers", kafka_config.brokers),
                log_string("reason", kafka_broken(kafka)));
    }
    if (probe->metadata)
        rd_kafka_metadata_destroy(probe->metadata);
    free(probe);
}

static void on_timer(uv_timer_t *timer) {
    struct kafka *kafka = timer->data;
    if (kafka->handle && !kafka->probing && rd_kafka_fatal_error(kafka->handle, NULL, 0))
        replace_handle(kafka);
    send_pending(kafka);
    if ((kafka->away || *kafka->missing) && !kafka->probing && kafka->handle) {
        struct blocking *probe = blocking_create(kafka);
        kafka->probing = uv_queue_work(kafka->loop, &probe->work, probe_work, probe_done) == 0;
        if (!kafka->probing)
            free(probe);
    }
    tell(kafka);
}

struct kafka *kafka_open(uv_loop_t *loop, const struct kafka_options *options) {
    struct kafka *kafka = calloc(1, sizeof *kafka);
    if (!kafka)
        abort();
    kafka->loop = loop;
    kafka->options = *options;
    kafka->away = true;
    for (kafka->topic_count = 0; options->topics[kafka->topic_count];)
        kafka->topic_count++;
    kafka->topics = calloc((size_t)kafka->topic_count + 1, sizeof *kafka->topics);
    kafka->timer = malloc(sizeof *kafka->timer);
    kafka->gap = malloc(sizeof *kafka->gap);
    kafka->prepare = malloc(sizeof *kafka->prepare);
    if (!kafka->topics || !kafka->timer || !kafka->gap || !kafka->prepare)
        abort();
    for (int i = 0; i <= kafka->topic_count; i++) {
        kafka->topics[i].name = options->topics[i];
        kafka->topics[i].pending_end = &kafka->topics[i].pending;
    }
    kafka_wake_open(&kafka->wake, loop, drain, kafka);
    kafka->handle = create_handle(kafka);
    uv_timer_init(loop, kafka->timer);
    kafka->timer->data = kafka;
    uv_timer_start(kafka->timer, on_timer, 0, PROBE_PAUSE_MS);
    uv_timer_init(loop, kafka->gap);
    uv_prepare_init(loop, kafka->prepare);
    kafka->gap->data = kafka->prepare->data = kafka;
    uv_prepare_start(kafka->prepare, on_prepare);
    return kafka;
}

const char *kafka_broken(const struct kafka *kafka) {
    if (kafka->away)
        return *kafka->cluster_id ? "all Kafka brokers are down" : "Kafka has not answered yet";
    if (*kafka->missing)
        return kafka->missing;
    if (kafka->oldest && uv_now(kafka->loop) - kafka->oldest->since_ms > OLDEST_MS_MAX)
        return "Kafka has acknowledged nothing for two seconds";
    return NULL;
}

bool kafka_away(const struct kafka *kafka) {
    return kafka->away || *kafka->missing;
}

int kafka_partitions(const struct kafka *kafka, const char *topic) {
    for (int i = 0; i < kafka->topic_count; i++)
        if (strcmp(kafka->topics[i].name, topic) == 0)
            return kafka->topics[i].partitions;
    return 0;
}

const char *kafka_cluster_id(const struct kafka *kafka) {
    return kafka->cluster_id;
}

static struct known_topic *topic_of(struct kafka *kafka, const char *name) {
    int i = 0;
    while (i < kafka->topic_count && strcmp(kafka->topics[i].name, name) != 0)
        i++;
    return &kafka->topics[i];
}

bool kafka_produce(struct kafka *kafka, const struct kafka_record *record, kafka_done done, void *context) {
    if (kafka->count >= (size_t)kafka_config.queue_messages_max ||
        kafka->bytes + record->length > (size_t)kafka_config.queue_bytes_max)
        return false;
    struct outstanding *item = kafka->spare;
    if (item)
        kafka->spare = item->next;
    else if (!(item = malloc(sizeof *item)))
        abort();
    *item = (struct outstanding){.kafka = kafka,
        .topic = topic_of(kafka, record->topic),
        .record = *record,
        .headers = headers_of(record), /* now, not while a batch is handed over: see send_batch */
        .done = done,
        .context = context,
        .since_ms = uv_now(kafka->loop)};
    link_newest(kafka, item);
    add_pending(item);
    return true;
}

size_t kafka_outstanding(const struct kafka *kafka) {
    return kafka->count;
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

void kafka_close(struct kafka **kafka_pointer) {
    struct kafka *kafka = *kafka_pointer;
    *kafka_pointer = NULL;
    if (!kafka)
        return;
    kafka->closing = true;
    uv_timer_stop(kafka->timer);
    uv_close((uv_handle_t *)kafka->timer, free_handle);
    uv_timer_stop(kafka->gap);
    uv_close((uv_handle_t *)kafka->gap, free_handle);
    uv_prepare_stop(kafka->prepare);
    uv_close((uv_handle_t *)kafka->prepare, free_handle);
    kafka_wake_close(&kafka->wake);
    /* Records without acknowledgement are what the caller decided to drop; a probe under way may use the
     * handle, and the process is about to end: then both are left to the system. */
    if (kafka->probing || !kafka->handle)
        return;
    rd_kafka_purge(kafka->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(kafka->handle);
    for (struct outstanding *item = kafka->oldest, *next; item; item = next) {
        next = item->next;
        if (item->headers)
            rd_kafka_headers_destroy(item->headers);
        free(item);
    }
    for (struct outstanding *item = kafka->spare, *next; item; item = next) {
        next = item->next;
        free(item);
    }
    free(kafka->topics);
    free(kafka);
}
