/* What the producer, the consumer and the tail have in common: settings, configuration, log lines, wake-ups.
 */
#include "shared/kafka_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/log.h"

extern char **environ;

struct kafka_config kafka_config;

struct setting kafka_settings[] = {
    {.name = "KAFKA_BROKERS",
        .type = SETTING_STRING,
        .value = &kafka_config.brokers,
        .otherwise = "localhost:9092",
        .min = 1,
        .help = "Kafka's bootstrap servers, host:port with commas between"},
    {.name = "INSTANCE_ID",
        .type = SETTING_STRING,
        .value = &kafka_config.instance_id,
        .otherwise = "",
        .help = "Name of this process among its replicas, stable over restarts: gives static group "
                "membership and the "
                "partition of replies"},
    {.name = "KAFKA_LINGER_MS",
        .type = SETTING_INTEGER,
        .value = &kafka_config.linger_ms,
        .otherwise = "0",
        .min = 0,
        .max = 1000,
        .help = "How long the producer waits for a batch to grow, in milliseconds"},
    {.name = "KAFKA_QUEUE_MESSAGES_MAX",
        .type = SETTING_INTEGER,
        .value = &kafka_config.queue_messages_max,
        .otherwise = "200000",
        .min = 1,
        .max = 10000000,
        .help = "Most records that wait for Kafka's acknowledgement"},
    {.name = "KAFKA_QUEUE_BYTES_MAX",
        .type = SETTING_INTEGER,
        .value = &kafka_config.queue_bytes_max,
        .otherwise = "268435456",
        .min = 16777216,
        .max = 2147483647,
        .help = "Most bytes that wait for Kafka's acknowledgement"},
    {.name = "KAFKA_PREFETCH_MESSAGES",
        .type = SETTING_INTEGER,
        .value = &kafka_config.prefetch_messages,
        .otherwise = "10000",
        .min = 1,
        .max = 10000000,
        .help = "Messages read ahead of a partition"},
    {.name = "KAFKA_PREFETCH_KBYTES",
        .type = SETTING_INTEGER,
        .value = &kafka_config.prefetch_kbytes,
        .otherwise = "16384",
        .min = 64,
        .max = 2097151,
        .help = "Kilobytes read ahead of a partition"},
    {0},
};

const char *kafka_instance_id(void) {
    return kafka_config.instance_id;
}

const struct kafka_header *kafka_header(const struct kafka_message *message, const char *name) {
    for (int i = message->header_count - 1; i >= 0; i--)
        if (strcmp(message->headers[i].name, name) == 0)
            return &message->headers[i];
    return NULL;
}

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text) {
    static uint64_t last_ms;
    (void)handle;
    /* While brokers are away librdkafka repeats itself for each of them and each try. */
    if (level > 4 || !log_due(&last_ms, 1000))
        return;
    log_warn("kafka_library", log_string("facility", facility), log_string("reason", text));
}

/* Bad configuration is a bad start-up: one line and exit code 2. */
static void set_or_exit(rd_kafka_conf_t *conf, const char *name, const char *value, const char *variable) {
    char reason[512];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return;
    /* The value may be a secret (sasl.password): librdkafka's reason for an unknown name does not hold it,
     * others may. */
    fprintf(stderr, "%s: librdkafka does not take the property %s%s\n", variable, name,
        strstr(reason, "No such configuration property") ? ": no such property" : " with that value");
    exit(2);
}

static void set_passed_through(rd_kafka_conf_t *conf) {
    static const char PREFIX[] = "KAFKA_CONFIG_";
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        char name[128], variable[160];
        const char *start = *entry + sizeof PREFIX - 1, *equals = strchr(start, '=');
        if (!equals || (size_t)(equals - start) >= sizeof name)
            continue;
        size_t length = (size_t)(equals - start);
        for (size_t i = 0; i < length; i++)
            name[i] = start[i] == '_' ? '.' : (char)tolower((unsigned char)start[i]);
        name[length] = '\0';
        snprintf(variable, sizeof variable, "%s%.*s", PREFIX, (int)length, start);
        set_or_exit(conf, name, equals + 1, variable);
    }
}

rd_kafka_conf_t *kafka_configure(const char *const *properties) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_or_exit(conf, "bootstrap.servers", kafka_config.brokers, "KAFKA_BROKERS");
    for (; *properties; properties += 2)
        set_or_exit(conf, properties[0], properties[1], "moru");
    /* log.queue keeps log callbacks on the loop thread; small back-offs bring a broker that returns back at
     * once. */
    set_or_exit(conf, "log.queue", "true", "moru");
    set_or_exit(conf, "socket.nagle.disable", "true", "moru");
    set_or_exit(conf, "reconnect.backoff.max.ms", "1000", "moru");
    set_or_exit(conf, "message.max.bytes", "8500000", "moru");
    set_passed_through(conf);
    rd_kafka_conf_set_log_cb(conf, on_log);
    return conf;
}

rd_kafka_t *kafka_create(rd_kafka_type_t type, rd_kafka_conf_t **conf) {
    char reason[512];
    rd_kafka_t *handle = rd_kafka_new(type, *conf, reason, sizeof reason);
    if (!handle) {
        fprintf(stderr, "Kafka's client cannot start: %s: check KAFKA_BROKERS and KAFKA_CONFIG_*\n", reason);
        exit(2);
    }
    *conf = NULL;
    if (rd_kafka_set_log_queue(handle, NULL)) {
        fprintf(stderr, "Kafka's client cannot start: no queue for its log\n");
        exit(2);
    }
    return handle;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct kafka_wake *wake = poll->data;
    (void)status;
    (void)events;
    eventfd_t count;
    /* Nothing to read means that somebody else's turn emptied it: the queues are looked at all the same. */
    (void)eventfd_read(wake->fd, &count);
    wake->awake(wake->context);
}

void kafka_wake_open(struct kafka_wake *wake, uv_loop_t *loop, void (*awake)(void *context), void *context) {
    wake->awake = awake;
    wake->context = context;
    wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    wake->poll = malloc(sizeof *wake->poll);
    if (wake->fd < 0 || !wake->poll || uv_poll_init(loop, wake->poll, wake->fd) != 0) {
        fprintf(stderr, "no eventfd for Kafka's queues: %s\n", strerror(errno));
        exit(1);
    }
    wake->poll->data = wake;
    uv_poll_start(wake->poll, UV_READABLE, on_readable);
}

void kafka_wake_on(struct kafka_wake *wake, rd_kafka_queue_t *queue) {
    static const uint64_t ONE = 1;
    rd_kafka_queue_io_event_enable(queue, wake->fd, &ONE, sizeof ONE);
    /* What came before, a line of the log say, would keep the queue from ever becoming not empty. */
    kafka_wake_now(wake);
}

void kafka_wake_off(rd_kafka_queue_t *queue) {
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void kafka_wake_now(struct kafka_wake *wake) {
    /* EAGAIN means that the counter is full: it is awake already. */
    (void)eventfd_write(wake->fd, 1);
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

void kafka_wake_close(struct kafka_wake *wake) {
    uv_poll_stop(wake->poll);
    uv_close((uv_handle_t *)wake->poll, free_handle);
    close(wake->fd);
    wake->fd = -1;
}

void kafka_message_from(
    const rd_kafka_message_t *source, struct kafka_message *message, struct kafka_header *headers) {
    *message = (struct kafka_message){
        .topic = rd_kafka_topic_name(source->rkt),
        .partition = source->partition,
        .offset = source->offset,
        .key = source->key,
        .key_length = source->key_len,
        .value = source->payload ? source->payload : "",
        .length = source->len,
        .headers = headers,
    };
    rd_kafka_headers_t *list;
    if (rd_kafka_message_headers(source, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    for (size_t i = 0; i < KAFKA_HEADERS_MAX; i++) {
        const char *name;
        const void *value;
        size_t length;
        if (rd_kafka_header_get_all(list, i, &name, &value, &length) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        headers[message->header_count++] = (struct kafka_header){name, value ? value : "", length};
    }
}
