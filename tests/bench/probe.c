/* The bare probe of `make bench`: what libmicrohttpd and librdkafka reach on one loop when nothing is looked
 * at. It takes a body, produces it, and answers 202 once Kafka has acknowledged it. */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BODY_BYTES_MAX = 4096,
    CONNECTIONS_MAX = 16000,
    METADATA_MS = 10000,
    CONNECTION_BYTES = 7168, /* as the gateway has it */
    PASSES_MAX = 8,          /* of MHD_run in one turn of the loop, as in the gateway */
};

/* One request, from its first line to its answer. */
struct call {
    struct MHD_Connection *connection;
    size_t length;
    unsigned status;                 /* 0: Kafka has not said yet */
    bool sent, suspended, abandoned; /* abandoned: the client left before Kafka answered */
    struct call *next_unsuspended;
    char body[BODY_BYTES_MAX];
};

struct probe {
    struct MHD_Daemon *daemon;
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    struct MHD_Response *accepted, *failed;
    struct call *unsuspended; /* wait for Kafka, and libmicrohttpd still watches them */
    bool run_due;             /* something was resumed */
    int partitions,
        partition; /* what one turn of the loop produces goes to one partition, the next to another */
};

static volatile sig_atomic_t stopping;

static void die(const char *what, const char *why) {
    fprintf(stderr, "probe: %s: %s\n", what, why);
    exit(1);
}

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

/* Kafka. */

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque) {
    struct probe *probe = opaque;
    struct call *call = message->_private;
    (void)kafka;
    if (call->abandoned) {
        free(call);
        return;
    }
    call->status = message->err ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_ACCEPTED;
    probe->run_due = true;
    if (call->suspended)
        MHD_resume_connection(call->connection);
    call->suspended = false;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char reason[512];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK)
        die(name, reason);
}

/* Asks for the topic, so that its partitions are known before the first request. */
static void count_partitions(struct probe *probe) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(probe->kafka, 0, probe->topic, &metadata, METADATA_MS);
    if (error || metadata->topic_cnt != 1 || metadata->topics[0].partition_cnt <= 0)
        die("the topic", error ? rd_kafka_err2str(error) : "it is not there");
    probe->partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
}

/* The properties of the gateway's producer, but for linger.ms, which stands for the gateway's own batches. */
static void open_kafka(
    struct probe *probe, const char *brokers, const char *topic, const char *linger, int wake_fd) {
    static const uint64_t ONE = 1;
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "acks", "all");
    set(conf, "linger.ms", linger);
    set(conf, "socket.nagle.disable", "true");
    set(conf, "message.timeout.ms", "20000");
    set(conf, "queue.buffering.max.messages", "201000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, probe);
    probe->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!probe->kafka)
        die("librdkafka", reason);
    probe->topic = rd_kafka_topic_new(probe->kafka, topic, NULL);
    if (!probe->topic)
        die(topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(probe->kafka);
    rd_kafka_queue_io_event_enable(queue, wake_fd, &ONE, sizeof ONE);
    rd_kafka_queue_destroy(queue);
    count_partitions(probe);
}

/* HTTP. */

static enum MHD_Result answer(struct probe *probe, struct call *call) {
    return MHD_queue_response(
        call->connection, call->status, call->status == MHD_HTTP_ACCEPTED ? probe->accepted : probe->failed);
}

static enum MHD_Result produce(struct probe *probe, struct call *call) {
    if (rd_kafka_produce(probe->topic, probe->partition, 0, call->body, call->length, NULL, 0, call) != 0) {
        call->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        return answer(probe, call);
    }
    call->sent = true;
    call->next_unsuspended = probe->unsuspended;
    probe->unsuspended = call;
    return MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *data, size_t *length, void **state) {
    struct probe *probe = context;
    struct call *call = *state;
    (void)url;
    (void)version;
    if (!call) {
        call = malloc(sizeof *call);
        if (!call)
            abort();
        *state = call;
        memset(call, 0, offsetof(struct call, body));
        call->connection = connection;
        return MHD_YES;
    }
    if (*length) {
        if (*length > sizeof call->body - call->length)
            return MHD_NO;
        memcpy(call->body + call->length, data, *length);
        call->length += *length;
        *length = 0;
        return MHD_YES;
    }
    if (call->status)
        return answer(probe, call);
    if (call->sent)
        return MHD_YES;
    if (strcmp(method, "POST") == 0)
        return produce(probe, call);
    call->status = MHD_HTTP_ACCEPTED;
    return answer(probe, call);
}

static void on_completed(
    void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code) {
    struct probe *probe = context;
    struct call *call = *state;
    (void)connection;
    (void)code;
    if (!call)
        return;
    bool kafka_has_it = call->sent && !call->status;
    for (struct call **at = &probe->unsuspended; kafka_has_it && !call->suspended && *at;)
        if (*at == call)
            *at = call->next_unsuspended;
        else
            at = &(*at)->next_unsuspended;
    /* The body is lent to librdkafka until its report. */
    if (kafka_has_it)
        call->abandoned = true;
    else
        free(call);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **state,
    enum MHD_ConnectionNotificationCode code) {
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, on = 1;
    (void)context;
    (void)state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        die("TCP_NODELAY", strerror(errno));
}

static void open_http(struct probe *probe, int port) {
    static char accepted[] = "{\"status\":\"queued\"}", failed[] = "{}";
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    probe->accepted = MHD_create_response_from_buffer(sizeof accepted - 1, accepted, MHD_RESPMEM_PERSISTENT);
    probe->failed = MHD_create_response_from_buffer(sizeof failed - 1, failed, MHD_RESPMEM_PERSISTENT);
    probe->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access,
        probe, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, probe, MHD_OPTION_NOTIFY_CONNECTION, on_connection, probe,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_END);
    if (!probe->accepted || !probe->failed || !probe->daemon)
        die("libmicrohttpd", "it did not start; is the port taken?");
}

/* The loop. */

/* Not done inside the handler: there libmicrohttpd would still take the connection for one to be read. */
static void suspend_waiting(struct probe *probe) {
    while (probe->unsuspended) {
        struct call *call = probe->unsuspended;
        probe->unsuspended = call->next_unsuspended;
        call->suspended = true;
        MHD_suspend_connection(call->connection);
    }
}

/* Returns how long libmicrohttpd may sleep, in milliseconds; -1: for ever. */
static int run_http(struct probe *probe) {
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    bool timed = false, again = true;
    for (int pass = 0; again && pass < PASSES_MAX; pass++) {
        probe->run_due = false;
        if (MHD_run(probe->daemon) != MHD_YES)
            die("libmicrohttpd", "MHD_run failed");
        suspend_waiting(probe);
        timed = MHD_get_timeout(probe->daemon, &timeout) == MHD_YES;
        again = probe->run_due || (timed && timeout == 0);
    }
    return again ? 0 : timed ? (int)timeout : -1;
}

static void watch(int epoll_fd, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl", strerror(errno));
}

static void serve(struct probe *probe, int wake_fd) {
    struct epoll_event events[2];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), sleep_ms = 0;
    if (epoll_fd < 0)
        die("epoll_create1", strerror(errno));
    watch(epoll_fd, wake_fd);
    watch(epoll_fd, MHD_get_daemon_info(probe->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    while (!stopping) {
        int count = epoll_wait(epoll_fd, events, 2, sleep_ms);
        if (count < 0 && errno != EINTR)
            die("epoll_wait", strerror(errno));
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == wake_fd) {
                eventfd_t value;
                /* Nothing to read is no failure: the queue is looked at all the same. */
                (void)eventfd_read(wake_fd, &value);
                while (rd_kafka_poll(probe->kafka, 0) > 0)
                    continue;
            }
        probe->partition = (probe->partition + 1) % probe->partitions;
        sleep_ms = run_http(probe);
    }
    close(epoll_fd);
}

int main(int argc, char **argv) {
    static struct probe probe;
    int port = argc == 5 ? atoi(argv[1]) : 0, wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (port <= 0 || port > UINT16_MAX) {
        fputs("usage: probe PORT BROKERS TOPIC LINGER_MS\n", stderr);
        return 2;
    }
    if (wake_fd < 0)
        die("eventfd", strerror(errno));
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    open_kafka(&probe, argv[2], argv[3], argv[4], wake_fd);
    open_http(&probe, port);
    serve(&probe, wake_fd);
    /* What is under way does not matter: the measurement is over, and the process ends. */
    return 0;
}
