/* Offsets: positions as librdkafka's lists and back, and offsets by time, a question that blocks and so is
 * asked in libuv's thread pool. */
#include <stdlib.h>
#include <string.h>

#include "shared/kafka_private.h"
#include "shared/log.h"

enum { TIMEOUT_MS = 5000 };

struct question {
    uv_work_t work;
    struct kafka_member *member;                 /* NULL: there is none to ask */
    rd_kafka_topic_partition_list_t *partitions; /* offset: the time that is asked for, then the answer */
    rd_kafka_resp_err_t error;
    void (*done)(void *context, const struct kafka_position *positions, int count);
    void *context;
};

/* Metadata comes without a NUL at its end: it is copied, behind the positions in the same block. */
struct kafka_position *kafka_positions_of(const rd_kafka_topic_partition_list_t *list) {
    size_t bytes = ((size_t)list->cnt + 1) * sizeof(struct kafka_position);
    for (int i = 0; i < list->cnt; i++)
        bytes += list->elems[i].metadata_size + 1;
    struct kafka_position *positions = calloc(1, bytes);
    if (!positions)
        abort();
    char *text = (char *)&positions[list->cnt + 1];
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &list->elems[i];
        positions[i] = (struct kafka_position){.topic = part->topic,
            .partition = part->partition,
            .offset = part->offset >= 0 ? part->offset : -1,
            .metadata = part->metadata_size ? text : NULL};
        if (part->metadata_size)
            memcpy(text, part->metadata, part->metadata_size);
        text += part->metadata_size + 1;
    }
    return positions;
}

/* Metadata of librdkafka's lists is freed with them, so each list gets its own copy. */
rd_kafka_topic_partition_list_t *kafka_list_of(const struct kafka_position *positions, int count) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *part =
            rd_kafka_topic_partition_list_add(list, positions[i].topic, positions[i].partition);
        part->offset = positions[i].offset < 0 ? RD_KAFKA_OFFSET_BEGINNING : positions[i].offset;
        if (positions[i].metadata) {
            part->metadata = strdup(positions[i].metadata);
            part->metadata_size = strlen(positions[i].metadata);
        }
    }
    return list;
}

/* Nothing as young as that: the partition is read from its end, as it is now. */
static rd_kafka_resp_err_t ask_end(struct question *question, rd_kafka_topic_partition_t *part) {
    int64_t low, high;
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        question->member->handle, part->topic, part->partition, &low, &high, TIMEOUT_MS);
    part->offset = error ? -1 : high;
    return error;
}

static void ask(uv_work_t *work) {
    struct question *question = work->data;
    rd_kafka_topic_partition_list_t *list = question->partitions;
    question->error = question->member
                          ? rd_kafka_offsets_for_times(question->member->handle, list, TIMEOUT_MS)
                          : RD_KAFKA_RESP_ERR__STATE;
    for (int i = 0; i < list->cnt && !question->error; i++) {
        if (list->elems[i].err)
            question->error = list->elems[i].err;
        else if (list->elems[i].offset < 0)
            question->error = ask_end(question, &list->elems[i]);
    }
}

static void answered(uv_work_t *work, int status) {
    struct question *question = work->data;
    int count = question->partitions->cnt;
    if (question->member)
        kafka_member_unuse(question->member);
    struct kafka_position *positions = kafka_positions_of(question->partitions);
    if (question->error)
        log_warn("offsets_not_found", log_string("reason", rd_kafka_err2str(question->error)));
    question->done(question->context, positions, question->error || status ? 0 : count);
    free(positions);
    rd_kafka_topic_partition_list_destroy(question->partitions);
    free(question);
}

void kafka_consumer_offsets_at(struct kafka_consumer *consumer, const struct kafka_position *positions,
    int count, int64_t time_ms,
    void (*done)(void *context, const struct kafka_position *positions, int count), void *context) {
    struct question *question = calloc(1, sizeof *question);
    if (!question)
        abort();
    question->member = kafka_consumer_member(consumer);
    if (question->member)
        kafka_member_use(question->member);
    question->done = done;
    question->context = context;
    question->partitions = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(question->partitions, positions[i].topic, positions[i].partition)
            ->offset = time_ms;
    question->work.data = question;
    if (uv_queue_work(kafka_consumer_loop(consumer), &question->work, ask, answered) != 0)
        abort();
}
