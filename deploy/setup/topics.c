/* Creates the Kafka topics that schemas/topics.json declares, and grows those that have too few partitions.
 */
#include "schemas/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/setup/setup.h"
#include "shared/kafka_private.h"
#include "shared/log.h"

enum { REQUEST_MS = 3000, NAMES_MAX = 100, WAITING_LOG_MS = 1000 };

/* What is still to be asked of the cluster. */
struct changes {
    rd_kafka_NewTopic_t *create[NAMES_MAX];
    rd_kafka_NewPartitions_t *grow[NAMES_MAX];
    size_t create_count, grow_count;
    bool settling; /* a partition has no leader yet */
};

static const rd_kafka_metadata_topic_t *find(const struct rd_kafka_metadata *cluster, const char *name) {
    for (int i = 0; i < cluster->topic_cnt; i++)
        if (strcmp(cluster->topics[i].topic, name) == 0)
            return &cluster->topics[i];
    return NULL;
}

static void set(rd_kafka_NewTopic_t *created, const char *name, const char *format, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    /* Only a NULL name or value could fail. */
    if (rd_kafka_NewTopic_set_config(created, name, format != NULL ? format : text) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        abort();
}

static void add_new(struct changes *changes, const struct topic *topic, const char *name) {
    char reason[256];
    int64_t replication = setup_config.replication > 0 ? setup_config.replication : TOPIC_REPLICATION;
    int64_t in_sync =
        setup_config.min_insync_replicas > 0 ? setup_config.min_insync_replicas : TOPIC_MIN_INSYNC_REPLICAS;
    rd_kafka_NewTopic_t *created =
        rd_kafka_NewTopic_new(name, topic->partitions, (int)replication, reason, sizeof reason);
    if (created == NULL) {
        log_error("topic_invalid", log_string("topic", name), log_string("reason", reason));
        exit(EXIT_FAILURE);
    }
    set(created, "message.timestamp.type", "LogAppendTime", 0);
    set(created, "retention.ms", NULL, topic->retention_ms);
    set(created, "max.message.bytes", NULL, topic->max_message_bytes);
    set(created, "min.insync.replicas", NULL, in_sync);
    changes->create[changes->create_count++] = created;
}

static void add_growth(struct changes *changes, const struct topic *topic, const char *name) {
    char reason[256];
    rd_kafka_NewPartitions_t *grown =
        rd_kafka_NewPartitions_new(name, (size_t)topic->partitions, reason, sizeof reason);
    if (grown == NULL)
        abort();
    changes->grow[changes->grow_count++] = grown;
}

static void compare(struct changes *changes, const struct rd_kafka_metadata *cluster,
    const struct topic *topic, const char *name) {
    const rd_kafka_metadata_topic_t *existing = find(cluster, name);
    if (existing == NULL) {
        add_new(changes, topic, name);
        return;
    }
    if (existing->partition_cnt < topic->partitions && existing->partition_cnt > 0)
        add_growth(changes, topic, name);
    changes->settling |= existing->partition_cnt == 0;
    for (int i = 0; i < existing->partition_cnt; i++)
        changes->settling |= existing->partitions[i].leader < 0;
}

static void compare_all(struct changes *changes, const struct rd_kafka_metadata *cluster) {
    for (const struct topic *const *topic = TOPICS; *topic != NULL; topic++)
        for (int lane = 0; lane < ((*topic)->lanes ? 3 : 1); lane++) {
            if (changes->create_count == NAMES_MAX || changes->grow_count == NAMES_MAX)
                abort();
            compare(changes, cluster, *topic, (*topic)->kafka_names[lane]);
        }
}

static void changes_clear(struct changes *changes) {
    rd_kafka_NewTopic_destroy_array(changes->create, changes->create_count);
    rd_kafka_NewPartitions_destroy_array(changes->grow, changes->grow_count);
}

/* What another setup did first, and what the controller may yet do, is not a failure: the next look tells. */
static bool may_pass(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS || error == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS ||
           error == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT || error == RD_KAFKA_RESP_ERR_NOT_CONTROLLER ||
           error == RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS || error == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           /* Too few brokers may have come up yet. */
           error == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR;
}

static bool report(const char *event, const rd_kafka_topic_result_t **results, size_t count) {
    static uint64_t waiting_logged_ms;
    bool passed = true;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        const char *text = rd_kafka_topic_result_error_string(results[i]);
        const char *name = rd_kafka_topic_result_name(results[i]);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_info(event, log_string("topic", name));
        } else if (may_pass(error)) {
            if (log_due(&waiting_logged_ms, WAITING_LOG_MS))
                log_warn("topic_waiting", log_string("topic", name), log_string("reason", text));
        } else {
            log_error("topic_refused", log_string("topic", name),
                log_string("error", rd_kafka_err2name(error)),
                log_string("reason", text != NULL ? text : rd_kafka_err2str(error)));
            passed = false;
        }
    }
    return passed;
}

static bool report_event(rd_kafka_event_t *event) {
    size_t count = 0;
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!may_pass(error))
            log_error("topics_refused", log_string("reason", rd_kafka_event_error_string(event)));
        return may_pass(error);
    }
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        return report("topic_created", results, count);
    }
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
    return report("topic_grown", results, count);
}

/* Serves the log and the error callbacks of the client while it waits. */
static bool await_answer(rd_kafka_queue_t *answers) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(answers, 2 * REQUEST_MS);
    if (event == NULL)
        return setup_wait("kafka_waiting", "no answer from the controller");
    bool passed = report_event(event);
    rd_kafka_event_destroy(event);
    return passed;
}

static bool make_changes(rd_kafka_t *kafka, struct changes *changes) {
    char reason[256];
    bool passed = true;
    rd_kafka_queue_t *answers = rd_kafka_queue_new(kafka);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(kafka, RD_KAFKA_ADMIN_OP_ANY);
    if (rd_kafka_AdminOptions_set_request_timeout(options, 2 * REQUEST_MS, reason, sizeof reason) != 0 ||
        rd_kafka_AdminOptions_set_operation_timeout(options, REQUEST_MS, reason, sizeof reason) != 0)
        abort();
    if (changes->create_count > 0) {
        rd_kafka_CreateTopics(kafka, changes->create, changes->create_count, options, answers);
        passed = await_answer(answers);
    }
    if (passed && changes->grow_count > 0) {
        rd_kafka_CreatePartitions(kafka, changes->grow, changes->grow_count, options, answers);
        passed = await_answer(answers);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(answers);
    return passed;
}

/* Asks how the cluster stands and changes what is not as declared; *finished when nothing was. */
static bool step(rd_kafka_t *kafka, bool *finished) {
    const struct rd_kafka_metadata *cluster;
    struct changes changes = {0};
    rd_kafka_resp_err_t error = rd_kafka_metadata(kafka, 1, NULL, &cluster, REQUEST_MS);
    rd_kafka_poll(kafka, 0);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return setup_wait("kafka_waiting", rd_kafka_err2str(error));
    compare_all(&changes, cluster);
    rd_kafka_metadata_destroy(cluster);
    *finished = changes.create_count == 0 && changes.grow_count == 0 && !changes.settling;
    bool passed = make_changes(kafka, &changes);
    if (passed && !*finished)
        passed = setup_wait("topics", NULL);
    changes_clear(&changes);
    return passed;
}

bool topics_ensure(void) {
    static const char *const properties[] = {NULL};
    kafka_config.brokers = (char *)setup_config.brokers;
    rd_kafka_conf_t *conf = kafka_configure(properties);
    rd_kafka_t *kafka = kafka_create(RD_KAFKA_PRODUCER, &conf);
    bool finished = false;
    while (!finished && step(kafka, &finished))
        continue;
    rd_kafka_destroy(kafka);
    return finished;
}
