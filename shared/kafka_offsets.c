/* Offsets by time: the question blocks, so it is asked in libuv's thread pool. */
#include <stdlib.h>

#include "shared/kafka_private.h"
#include "shared/log.h"

enum { TIMEOUT_MS = 5000 };

struct question {
    uv_work_t work;
    rd_kafka_t *handle;
    rd_kafka_topic_partition_list_t *partitions; /* offset: the time that is asked for, then the answer */
    rd_kafka_resp_err_t error;
    void (*done)(void *context, const struct kafka_position *positions, int count);
    void *context;
};

/* Nothing as young as that: the partition is read from its end, as it is now. */
static rd_kafka_resp_err_t ask_end(struct question *question, rd_kafka_topic_partition_t *part) {
    int64_t low, high;
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        question->handle, part->topic, part->partition, &low, &high, TIMEOUT_MS);
    part->offset = error ? -1 : high;
    return error;
}

static void ask(uv_work_t *work) {
    struct question *question = work->data;
    rd_kafka_topic_partition_list_t *list = question->partitions;
    question->error = rd_kafka_offsets_for_times(question->handle, list, TIMEOUT_MS);
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
    struct kafka_position *positions = calloc((size_t)count + 1, sizeof *positions);
    if (!positions)
        abort();
    for (int i = 0; i < count; i++)
        positions[i] = (struct kafka_position){.topic = question->partitions->elems[i].topic,
            .partition = question->partitions->elems[i].partition,
            .offset = question->partitions->elems[i].offset};
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
    question->handle = kafka_consumer_handle(consumer);
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
