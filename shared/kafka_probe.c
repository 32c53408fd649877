/* Probes of the cluster while it is away or topics are missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/kafka_producer_private.h"

enum { PROBE_TIMEOUT_MS = 2000 };

/* One question, in libuv's thread pool: it blocks. */
struct probe {
    uv_work_t work;
    struct kafka *kafka;
    rd_kafka_t *handle;
    void (*probed)(struct kafka *kafka);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error;
    char cluster_id[CLUSTER_ID_BYTES];
};

static void probe_work(uv_work_t *work) {
    struct probe *probe = work->data;
    probe->error = rd_kafka_metadata(probe->handle, 1, NULL, &probe->metadata, PROBE_TIMEOUT_MS);
    if (probe->error)
        return;
    char *id = rd_kafka_clusterid(probe->handle, 0);
    if (id) {
        snprintf(probe->cluster_id, sizeof probe->cluster_id, "%s", id);
        rd_kafka_mem_free(probe->handle, id);
    }
}

static int partitions_in(const struct rd_kafka_metadata *metadata, const char *topic) {
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, topic) == 0 && !metadata->topics[i].err)
            return metadata->topics[i].partition_cnt;
    return 0;
}

static void learn(struct kafka *kafka, const struct probe *probe) {
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
    struct probe *probe = work->data;
    struct kafka *kafka = probe->kafka;
    kafka->probing = false;
    if (!kafka->closing && !status) {
        if (!probe->error)
            learn(kafka, probe);
        probe->probed(kafka);
    }
    if (probe->metadata)
        rd_kafka_metadata_destroy(probe->metadata);
    free(probe);
}

void kafka_probe(struct kafka *kafka, void (*probed)(struct kafka *kafka)) {
    if (kafka->probing || !kafka->handle)
        return;
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        abort();
    *probe = (struct probe){.work.data = probe, .kafka = kafka, .handle = kafka->handle, .probed = probed};
    kafka->probing = uv_queue_work(kafka->loop, &probe->work, probe_work, probe_done) == 0;
    if (!kafka->probing)
        free(probe);
}
