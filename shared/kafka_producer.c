/* The producer: keeps every record until it is acknowledged, whatever becomes of librdkafka's handle or of
 * the cluster meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "shared/kafka_producer_private.h"
#include "shared/log.h"

enum { PROBE_PAUSE_MS = 250, OLDEST_MS_MAX = 2000 };

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

static void on_prepare(uv_prepare_t *prepare) {
    struct kafka *kafka = prepare->data;
    if (kafka->due)
        kafka_batches_send(kafka);
}

static void drain(void *context) {
    struct kafka *kafka = context;
    while (kafka->handle && rd_kafka_poll(kafka->handle, 0) > 0)
        ;
    if (kafka->closing)
        return;
    kafka_records_end_refused(kafka);
    if (kafka->handle && kafka_handle_fatal(kafka))
        kafka_handle_replace(kafka);
    tell(kafka);
}

static void on_probed(struct kafka *kafka) {
    tell(kafka);
    if (!kafka->ready && log_due(&kafka->waiting_said_ms, 1000))
        log_warn("kafka_waiting", log_string("brokers", kafka_config.brokers),
            log_string("reason", kafka_broken(kafka)));
}

static void on_timer(uv_timer_t *timer) {
    struct kafka *kafka = timer->data;
    if (kafka->handle && kafka_handle_fatal(kafka))
        kafka_handle_replace(kafka);
    kafka_batches_send(kafka);
    if (kafka->away || *kafka->missing)
        kafka_probe(kafka, on_probed);
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
    kafka->handle = kafka_handle_create(kafka);
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
        .done = done,
        .context = context,
        .since_ms = uv_now(kafka->loop)};
    kafka_record_link(item);
    kafka_batch_add(item);
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
    kafka_records_free(kafka);
    free(kafka->topics);
    free(kafka);
}
