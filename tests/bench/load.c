/* A load generator: N keep-alive connections post one body over and over, or at a rate; every answer is
 * checked, latencies come out as JSON. */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_BYTES_MAX = 64 * 1024,
    CONNECTIONS_MAX = 4096,
    EVENTS_MAX = 256,
    SILENCE_MS_MAX = 30000,
    PHASES_MAX = 16,
};

static const char USAGE[] =
    "usage: load --url http://HOST:PORT/PATH --body JSON [--connections 1] [--seconds 10] "
    "[--warmup 2] [--rate 0] [--phases 1]\n"
    "Posts the body over keep-alive connections. What is answered in the warm-up is counted,\n"
    "not measured. An answer that is not 200 ends the run with exit code 1. --rate sends that\n"
    "many a second, whatever comes back, and counts each from when it was due. --phases prints\n"
    "the figures of so many equal parts of the measured time.\n";

struct options {
    const char *url, *body;
    int connections, phases;
    double seconds, warmup, rate; /* rate 0: as fast as answers come */
};

struct connection {
    int fd;
    int64_t sent_ns;
    size_t length;
    char answer[ANSWER_BYTES_MAX + 1];
};

/* Latencies of the answers that came within one part of the measured time, in nanoseconds. */
struct latencies {
    int64_t *values;
    size_t count, capacity;
};
static struct latencies phases[PHASES_MAX];

static struct connection connections[CONNECTIONS_MAX];
static char *request_text;
static size_t request_length;

static void die(const char *what, const char *detail) {
    fprintf(stderr, "load: %s: %s\n", what, detail);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void remember(struct latencies *latencies, int64_t nanoseconds) {
    if (latencies->count == latencies->capacity) {
        latencies->capacity = latencies->capacity ? latencies->capacity * 2 : 65536;
        latencies->values = realloc(latencies->values, latencies->capacity * sizeof *latencies->values);
        if (!latencies->values)
            die("latencies", "out of memory");
    }
    latencies->values[latencies->count++] = nanoseconds;
}

static double positive(const char *name, const char *text, double max) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < 0 || value > max)
        die(name, "no number in its range");
    return value;
}

static struct options read_options(int argc, char **argv) {
    static const struct option names[] = {{"url", 1, NULL, 'u'}, {"body", 1, NULL, 'b'},
        {"connections", 1, NULL, 'c'}, {"seconds", 1, NULL, 's'}, {"warmup", 1, NULL, 'w'},
        {"rate", 1, NULL, 'r'}, {"phases", 1, NULL, 'p'}, {"help", 0, NULL, 'h'}, {0}};
    struct options options = {.connections = 1, .phases = 1, .seconds = 10, .warmup = 2};
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (letter) {
        case 'u':
            options.url = optarg;
            break;
        case 'b':
            options.body = optarg;
            break;
        case 'c':
            options.connections = (int)positive("--connections", optarg, CONNECTIONS_MAX);
            break;
        case 's':
            options.seconds = positive("--seconds", optarg, 3600);
            break;
        case 'w':
            options.warmup = positive("--warmup", optarg, 3600);
            break;
        case 'r':
            options.rate = positive("--rate", optarg, 1e6);
            break;
        case 'p':
            options.phases = (int)positive("--phases", optarg, PHASES_MAX);
            break;
        case 'h':
            fputs(USAGE, stdout);
            exit(0);
        default:
            fputs(USAGE, stderr);
            exit(2);
        }
    }
    if (!options.url || !options.body || options.connections < 1 || options.phases < 1 ||
        options.seconds <= 0) {
        fputs(USAGE, stderr);
        exit(2);
    }
    return options;
}

/* Splits the URL, writes the request that every connection sends, and resolves the host. */
static struct addrinfo *prepare(const struct options *options) {
    char host[256], port[6] = "80", path[1024] = "/";
    int parts = sscanf(options->url, "http://%255[^:/]:%5[0-9]%1023s", host, port, path);
    if (parts < 2)
        die(options->url, "want http://HOST:PORT/PATH");
    int length = asprintf(&request_text,
        "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        path, host, port, strlen(options->body), options->body);
    if (length < 0)
        die("request", "out of memory");
    request_length = (size_t)length;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
    int error = getaddrinfo(host, port, &hints, &address);
    if (error)
        die(host, gai_strerror(error));
    return address;
}

/* The request is small beside the socket's buffer, so a short write means that something is wrong. */
static void send_request(struct connection *connection, int64_t due_ns) {
    connection->sent_ns = due_ns;
    connection->length = 0;
    ssize_t sent = write(connection->fd, request_text, request_length);
    if (sent != (ssize_t)request_length)
        die("write", sent < 0 ? strerror(errno) : "short write");
}

static void connect_one(int epoll, const struct addrinfo *address, struct connection *connection) {
    int on = 1;
    connection->fd = socket(address->ai_family, SOCK_STREAM, 0);
    if (connection->fd < 0 || connect(connection->fd, address->ai_addr, address->ai_addrlen) != 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        die("connect", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        die("epoll_ctl", strerror(errno));
}

/* The length of the whole answer, 0 while its header is not complete. */
static size_t answer_length(const struct connection *connection) {
    const char *end = strstr(connection->answer, "\r\n\r\n");
    if (!end)
        return 0;
    const char *field = strcasestr(connection->answer, "\r\ncontent-length:");
    if (!field || field > end)
        die("answer without Content-Length", connection->answer);
    return (size_t)(end + 4 - connection->answer) + strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
}

/* Reads what is there. Returns true when the answer is complete; one that is not 200 ends the run. */
static bool read_answer(struct connection *connection) {
    ssize_t got =
        read(connection->fd, connection->answer + connection->length, ANSWER_BYTES_MAX - connection->length);
    if (got <= 0)
        die("read",
            got < 0 ? strerror(errno) : "the server closed the connection, or the answer is too long");
    connection->length += (size_t)got;
    connection->answer[connection->length] = '\0';
    size_t whole = answer_length(connection);
    if (whole == 0 || connection->length < whole)
        return false;
    if (connection->length > whole)
        die("more bytes than the answer has", connection->answer);
    if (strncmp(connection->answer, "HTTP/1.1 200 ", strlen("HTTP/1.1 200 ")) != 0)
        die("not 200", connection->answer);
    return true;
}

/* Connections without a request under way, and when the next one is due. */
static struct {
    struct connection *items[CONNECTIONS_MAX];
    int count;
    int64_t next_ns, gap_ns; /* gap 0: at once */
} idle;

/* Sends what is due by now; what no connection is free for stays due. */
static void send_due(int64_t end) {
    int64_t now = now_ns();
    while (idle.count && now < end && idle.next_ns <= now) {
        send_request(idle.items[--idle.count], idle.gap_ns ? idle.next_ns : now);
        idle.next_ns += idle.gap_ns;
    }
}

static int wait_ms(int64_t end) {
    int64_t now = now_ns();
    if (!idle.gap_ns || !idle.count || now >= end)
        return SILENCE_MS_MAX;
    return idle.next_ns > now ? (int)((idle.next_ns - now) / 1000000 + 1) : 0;
}

static void take(
    const struct options *options, const struct connection *connection, int64_t start, int64_t end) {
    int64_t now = now_ns();
    if (now >= start && now < end)
        remember(&phases[(now - start) * options->phases / (end - start)], now - connection->sent_ns);
}

/* Connects, then runs until the time is over and every request sent is answered. Returns the number of all
 * answers. */
static uint64_t run(const struct options *options) {
    struct addrinfo *address = prepare(options);
    int epoll = epoll_create1(0);
    for (int i = 0; i < options->connections; i++) {
        connect_one(epoll, address, &connections[i]);
        idle.items[idle.count++] = &connections[i];
    }
    freeaddrinfo(address);
    idle.next_ns = now_ns();
    idle.gap_ns = options->rate > 0 ? (int64_t)(1e9 / options->rate) : 0;
    int64_t start = now_ns() + (int64_t)(options->warmup * 1e9);
    int64_t end = start + (int64_t)(options->seconds * 1e9);
    uint64_t answered = 0;
    while (now_ns() < end || idle.count < options->connections) {
        struct epoll_event events[EVENTS_MAX];
        send_due(end);
        int timeout = wait_ms(end);
        int ready = epoll_wait(epoll, events, EVENTS_MAX, timeout);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0 || (ready == 0 && timeout == SILENCE_MS_MAX))
            die("epoll_wait", ready < 0 ? strerror(errno) : "no answer for 30 s");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!read_answer(connection))
                continue;
            answered++;
            take(options, connection, start, end);
            idle.items[idle.count++] = connection;
        }
    }
    return answered;
}

static int compare(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Nearest rank, in microseconds; latencies are sorted. */
static double percentile_us(const struct latencies *latencies, double percent) {
    size_t rank = (size_t)(percent / 100 * (double)latencies->count);
    return (double)latencies->values[rank < latencies->count ? rank : latencies->count - 1] / 1000;
}

static void print_figures(struct latencies *latencies, double seconds) {
    if (latencies->count == 0)
        die("nothing measured", "no answer came within the measured time");
    qsort(latencies->values, latencies->count, sizeof *latencies->values, compare);
    printf(
        "\"measured\": %zu, \"per_second\": %.1f, \"median_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
        "\"max_us\": %.1f",
        latencies->count, (double)latencies->count / seconds, percentile_us(latencies, 50),
        percentile_us(latencies, 90), percentile_us(latencies, 99), percentile_us(latencies, 100));
}

int main(int argc, char **argv) {
    struct options options = read_options(argc, argv);
    uint64_t answered = run(&options);
    struct latencies all = {0};
    for (int i = 0; i < options.phases; i++)
        for (size_t k = 0; k < phases[i].count; k++)
            remember(&all, phases[i].values[k]);
    printf("{\"connections\": %d, \"seconds\": %.1f, \"answered\": %lu, ", options.connections,
        options.seconds, (unsigned long)answered);
    print_figures(&all, options.seconds);
    printf(", \"phases\": [");
    for (int i = 0; i < options.phases; i++) {
        printf("%s{", i ? ", " : "");
        print_figures(&phases[i], options.seconds / options.phases);
        printf("}");
    }
    printf("]}\n");
    return fflush(stdout) == 0 ? 0 : 1;
}
