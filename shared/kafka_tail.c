/* The tail: reads one partition from its end without a group, and starts anew at the end when its offset is
 * gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/kafka_private.h"
#include "shared/log.h"

enum { END_TIMEOUT_MS = 5000, READ_BATCH = 64, RETRY_MS = 250 };

struct kafka_tail {
    uv_loop_t *loop;
    const char *topic;
    int partition;
    void (*ready)(void *context);
    void (*show)(void *context, const struct kafka_message *message);
    void *context;
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic_handle;
    rd_kafka_queue_t *queue;
    struct kafka_wake wake;
    uv_timer_t *timer; /* runs while the end is to be asked for again */
    uv_work_t work;
    int64_t end;
    rd_kafka_resp_err_t error;
    bool asking, reading, closing;
};

static void ask_end(struct kafka_tail *tail);

static void end_work(uv_work_t *work) {
    struct kafka_tail *tail = work->data;
    int64_t low;
    tail->error = rd_kafka_query_watermark_offsets(
        tail->handle, tail->topic, tail->partition, &low, &tail->end, END_TIMEOUT_MS);
}

static void on_retry(uv_timer_t *timer) {
    ask_end(timer->data);
}

static void end_known(uv_work_t *work, int status) {
    struct kafka_tail *tail = work->data;
    tail->asking = false;
    if (tail->closing)
        return;
    if (tail->error || status ||
        rd_kafka_consume_start_queue(tail->topic_handle, tail->partition, tail->end, tail->queue) != 0) {
        uv_timer_start(tail->timer, on_retry, RETRY_MS, 0);
        return;
    }
    tail->reading = true;
    log_info("replies_tailed", log_string("topic", tail->topic), log_integer("partition", tail->partition),
        log_integer("offset", tail->end));
    tail->ready(tail->context);
}

static void ask_end(struct kafka_tail *tail) {
    if (tail->asking)
        return;
    tail->work.data = tail;
    tail->asking = uv_queue_work(tail->loop, &tail->work, end_work, end_known) == 0;
}

/* The offset is gone, after the topic was made anew for example: begin again at the end. */
static void begin_anew(struct kafka_tail *tail, const char *reason) {
    log_warn("replies_begin_anew", log_string("reason", reason));
    tail->reading = false;
    rd_kafka_consume_stop(tail->topic_handle, tail->partition);
    ask_end(tail);
}

static void show_message(struct kafka_tail *tail, const rd_kafka_message_t *source) {
    struct kafka_header headers[KAFKA_HEADERS_MAX];
    struct kafka_message message;
    if (!source->err) {
        kafka_message_from(source, &message, headers);
        tail->show(tail->context, &message);
    } else if (source->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
               source->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        if (tail->reading)
            begin_anew(tail, rd_kafka_message_errstr(source));
    }
}

static void on_wake(void *context) {
    struct kafka_tail *tail = context;
    rd_kafka_poll(tail->handle, 0);
    rd_kafka_message_t *batch[READ_BATCH];
    ssize_t count = rd_kafka_consume_batch_queue(tail->queue, 0, batch, READ_BATCH);
    for (ssize_t i = 0; i < count; i++) {
        show_message(tail, batch[i]);
        rd_kafka_message_destroy(batch[i]);
    }
    if (count == READ_BATCH)
        kafka_wake_now(&tail->wake);
}

struct kafka_tail *kafka_tail_open(uv_loop_t *loop, const char *topic, int partition,
    void (*ready)(void *context), void (*show)(void *context, const struct kafka_message *message),
    void *context) {
    struct kafka_tail *tail = calloc(1, sizeof *tail);
    if (!tail || !(tail->timer = malloc(sizeof *tail->timer)))
        abort();
    *tail = (struct kafka_tail){.loop = loop,
        .topic = topic,
        .partition = partition,
        .ready = ready,
        .show = show,
        .context = context,
        .timer = tail->timer};
    const char *const properties[] = {"auto.offset.reset", "error", "enable.auto.commit", "false",
        "queued.min.messages", "10000", "fetch.error.backoff.ms", "50", NULL};
    rd_kafka_conf_t *conf = kafka_configure(properties);
    tail->handle = kafka_create(RD_KAFKA_CONSUMER, &conf);
    tail->topic_handle = rd_kafka_topic_new(tail->handle, topic, NULL);
    tail->queue = rd_kafka_queue_new(tail->handle);
    if (!tail->topic_handle || !tail->queue)
        abort();
    kafka_wake_open(&tail->wake, loop, on_wake, tail);
    kafka_wake_on(&tail->wake, tail->queue);
    rd_kafka_queue_t *log_queue = rd_kafka_queue_get_main(tail->handle);
    kafka_wake_on(&tail->wake, log_queue);
    rd_kafka_queue_destroy(log_queue);
    uv_timer_init(loop, tail->timer);
    tail->timer->data = tail;
    ask_end(tail);
    return tail;
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

void kafka_tail_close(struct kafka_tail **tail_pointer) {
    struct kafka_tail *tail = *tail_pointer;
    *tail_pointer = NULL;
    if (!tail)
        return;
    tail->closing = true;
    uv_timer_stop(tail->timer);
    uv_close((uv_handle_t *)tail->timer, free_handle);
    kafka_wake_close(&tail->wake);
    /* A query under way still uses all of it, and the process is about to end. */
    if (tail->asking)
        return;
    if (tail->reading)
        rd_kafka_consume_stop(tail->topic_handle, tail->partition);
    rd_kafka_queue_destroy(tail->queue);
    rd_kafka_topic_destroy(tail->topic_handle);
    rd_kafka_destroy(tail->handle);
    free(tail);
}
