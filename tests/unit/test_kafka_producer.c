/* The producer against librdkafka's mock cluster: for faults that a real broker cannot be made to show. The
 * handle is looked at, so that it can be told to turn fatal. */
#include "shared/kafka_producer_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <librdkafka/rdkafka_mock.h>

enum { DEADLINE_MS = 20000, BROKER = 1 };

static const char *const TOPICS_WANTED[] = {"work", "other", NULL};

struct world {
    rd_kafka_t *handle; /* of the mock cluster */
    rd_kafka_mock_cluster_t *cluster;
    uv_loop_t loop;
    struct kafka *kafka;
    int delivered, refused, other, changes;
    bool stop, late;
};

static void on_deadline(uv_timer_t *timer) {
    struct world *world = timer->data;
    world->late = true;
}

/* Runs the loop until condition is true; the test fails when that takes too long. */
static void run_until(struct world *world, bool (*condition)(struct world *world)) {
    uv_timer_t timer;
    world->late = false;
    uv_timer_init(&world->loop, &timer);
    timer.data = world;
    uv_timer_start(&timer, on_deadline, DEADLINE_MS, 0);
    while (!condition(world) && !world->late)
        uv_run(&world->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_false(world->late);
}

static void on_changed(void *context, bool ready) {
    struct world *world = context;
    (void)ready;
    world->changes++;
}

static void on_done(void *context, enum kafka_outcome outcome, const char *reason) {
    struct world *world = context;
    assert_non_null(reason);
    *(outcome == KAFKA_DELIVERED   ? &world->delivered
        : outcome == KAFKA_REFUSED ? &world->refused
                                   : &world->other) += 1;
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    world->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    world->cluster = rd_kafka_mock_cluster_new(world->handle, 1);
    rd_kafka_mock_topic_create(world->cluster, "work", 3, 1);
    rd_kafka_mock_topic_create(world->cluster, "other", 1, 1);
    kafka_config = (struct kafka_config){.brokers = strdup(rd_kafka_mock_cluster_bootstraps(world->cluster)),
        .instance_id = strdup(""),
        .queue_messages_max = 1000,
        .queue_bytes_max = 16 << 20,
        .prefetch_messages = 1000,
        .prefetch_kbytes = 1024};
    uv_loop_init(&world->loop);
    *state = world;
    return 0;
}

static void open_kafka(struct world *world) {
    world->kafka = kafka_open(&world->loop,
        &(struct kafka_options){.topics = TOPICS_WANTED, .changed = on_changed, .context = world});
}

static int close_world(void **state) {
    struct world *world = *state;
    kafka_close(&world->kafka);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->handle);
    free(kafka_config.brokers);
    free(kafka_config.instance_id);
    free(world);
    return 0;
}

static bool is_ready(struct world *world) {
    return kafka_broken(world->kafka) == NULL;
}

static bool is_broken(struct world *world) {
    return kafka_broken(world->kafka) != NULL;
}

static bool all_ended(struct world *world) {
    return kafka_outstanding(world->kafka) == 0;
}

static bool produce(struct world *world, const char *topic, const char *value, size_t length) {
    static const struct kafka_header headers[] = {{"name", "value", 5}};
    const struct kafka_record record = {.topic = topic,
        .partition = -1,
        .key = "key",
        .value = value,
        .length = length,
        .headers = headers,
        .header_count = 1};
    return kafka_produce(world->kafka, &record, on_done, world);
}

static void records_are_acknowledged_once_each(void **state) {
    struct world *world = *state;
    open_kafka(world);
    assert_non_null(kafka_broken(world->kafka));
    run_until(world, is_ready);
    assert_int_equal(kafka_partitions(world->kafka, "work"), 3);
    for (int i = 0; i < 500; i++)
        assert_true(produce(world, i % 5 ? "work" : "other", "value", 5));
    run_until(world, all_ended);
    assert_int_equal(world->delivered, 500);
    assert_int_equal(world->refused + world->other, 0);
    assert_int_equal(world->changes, 1);
}

static void a_fatal_producer_is_replaced_and_nothing_is_lost(void **state) {
    struct world *world = *state;
    open_kafka(world);
    run_until(world, is_ready);
    for (int i = 0; i < 100; i++)
        assert_true(produce(world, "work", "before", 6));
    uv_run(&world->loop, UV_RUN_NOWAIT);
    rd_kafka_t *first = world->kafka->handle;
    assert_int_equal(
        rd_kafka_test_fatal_error(first, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "for the test"), 0);
    for (int i = 0; i < 100; i++)
        assert_true(produce(world, "other", "after", 5));
    run_until(world, all_ended);
    assert_int_equal(world->delivered, 200);
    assert_int_equal(world->refused + world->other, 0);
    assert_true(produce(world, "work", "last", 4));
    run_until(world, all_ended);
    assert_int_equal(world->delivered, 201);
}

/* Its memory ends with it, as with callers in earnest. */
struct owned {
    struct world *world;
    char value[6];
};

static void on_owned_done(void *context, enum kafka_outcome outcome, const char *reason) {
    struct owned *owned = context;
    on_done(owned->world, outcome, reason);
    free(owned);
}

/* librdkafka refuses a partition that the topic does not have, but a new handle, which has not asked for the
 * topic yet, takes it at first. */
static void produce_refused(struct world *world) {
    struct owned *owned = calloc(1, sizeof *owned);
    assert_non_null(owned);
    *owned = (struct owned){.world = world, .value = "owned"};
    const struct kafka_record record = {
        .topic = "work", .partition = 7, .value = owned->value, .length = sizeof owned->value};
    assert_true(kafka_produce(world->kafka, &record, on_owned_done, owned));
}

static void a_refused_record_ends_once_when_the_producer_is_replaced(void **state) {
    struct world *world = *state;
    open_kafka(world);
    run_until(world, is_ready);
    assert_true(produce(world, "work", "value", 5));
    run_until(world, all_ended);
    produce_refused(world);
    kafka_batches_send(world->kafka);
    assert_true(world->kafka->refused);
    assert_int_equal(rd_kafka_test_fatal_error(world->kafka->handle,
                         RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "for the test"),
        0);
    kafka_handle_replace(world->kafka);
    for (int i = 0; i < 100; i++)
        assert_true(produce(world, "work", "value", 5));
    run_until(world, all_ended);
    assert_int_equal(world->refused, 1);
    assert_int_equal(world->delivered, 101);
    assert_int_equal(world->other, 0);
}

static void a_record_that_is_too_large_is_refused(void **state) {
    struct world *world = *state;
    static char large[9 << 20];
    open_kafka(world);
    run_until(world, is_ready);
    assert_true(produce(world, "work", large, sizeof large));
    assert_true(produce(world, "work", "small", 5));
    assert_int_equal(world->refused, 0); /* never from inside kafka_produce */
    run_until(world, all_ended);
    assert_int_equal(world->refused, 1);
    assert_int_equal(world->delivered, 1);
}

static void the_queue_is_bounded_by_count_and_bytes(void **state) {
    struct world *world = *state;
    static char megabytes[6 << 20];
    open_kafka(world);
    run_until(world, is_ready);
    assert_true(produce(world, "work", megabytes, sizeof megabytes));
    assert_true(produce(world, "work", megabytes, sizeof megabytes));
    assert_false(produce(world, "work", megabytes, sizeof megabytes));
    int taken = 2;
    while (taken < 2000 && produce(world, "work", "x", 1))
        taken++;
    assert_int_equal(taken, 1000);
    run_until(world, all_ended);
    assert_int_equal(world->delivered, 1000);
}

static void a_broker_that_is_down_is_told_and_waited_for(void **state) {
    struct world *world = *state;
    open_kafka(world);
    run_until(world, is_ready);
    rd_kafka_mock_broker_set_down(world->cluster, BROKER);
    assert_true(produce(world, "work", "value", 5));
    run_until(world, is_broken);
    assert_int_equal(world->delivered, 0);
    rd_kafka_mock_broker_set_up(world->cluster, BROKER);
    run_until(world, is_ready);
    run_until(world, all_ended);
    assert_int_equal(world->delivered, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_acknowledged_once_each, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            a_fatal_producer_is_replaced_and_nothing_is_lost, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            a_refused_record_ends_once_when_the_producer_is_replaced, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_record_that_is_too_large_is_refused, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_queue_is_bounded_by_count_and_bytes, open_world, close_world),
        cmocka_unit_test_setup_teardown(
            a_broker_that_is_down_is_told_and_waited_for, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
