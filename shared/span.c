/* Takes spans and sends them: batches in one request at a time, tried again as OTLP says, within a bound of
 * memory. */
#include "shared/span.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_client.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/span_private.h"

enum {
    QUEUE_BYTES_MAX = 32 << 20,
    BATCH_BYTES_MAX = 4 << 20, /* but one span goes whatever its size */
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 30000,
    RETRY_AFTER_MAX_MS = 600000,
    ANSWER_BYTES_MAX = 65536,
    LOG_INTERVAL_MS = 30000,
};

struct metric span_metrics[] = {
    {.name = "agent_spans_exported_total",
        .type = METRIC_COUNTER,
        .help = "Spans that the collector has taken."},
    {.name = "agent_spans_dropped_total",
        .type = METRIC_COUNTER,
        .help =
            "Spans that were lost: full (too many wait), refused (the collector's answer was an error that "
            "no later try would mend), rejected (it took the others of the request).",
        .labels = {"reason"}},
    {.name = "agent_spans_queued", .type = METRIC_GAUGE, .help = "Spans that wait for the collector."},
    {0},
};

struct queued {
    struct queued *next;
    size_t length;
    char json[]; /* not terminated */
};

struct exporter {
    uv_loop_t *loop;
    struct http_client *client;
    struct http_call *call; /* NULL: none under way */
    uv_timer_t timer;       /* until the next call */
    bool backing_off;       /* the timer waits for the collector to be better */
    bool closing;
    uint64_t backoff_ms, deadline_ms; /* deadline_ms: of closing, by uv_hrtime */
    struct queued *first, **end;
    int64_t count;
    size_t bytes;
    int64_t sent;          /* how many of the first are in the call under way */
    struct arena *arena;   /* of what lives as long */
    struct arena *scratch; /* of a span on its way into the queue */
    struct arena *body;    /* of the call under way */
    const char *url, *head;
    const char *const *headers;
};

static struct exporter *exporter; /* NULL: no spans are wanted */

static void send_batch(void);

bool span_wanted(const struct trace *trace) {
    return exporter && (!trace || trace_sampled(trace));
}

bool span_content_wanted(void) {
    return exporter && strcmp(span_configuration.capture, "true") == 0;
}

int64_t span_unix_ns(uint64_t hrtime) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (hrtime ? (int64_t)(uv_hrtime() - hrtime) : 0);
}

static void on_timer(uv_timer_t *timer) {
    (void)timer;
    exporter->backing_off = false;
    send_batch();
}

/* A full batch goes in the loop's next turn, not from within whatever has made the span. */
static void schedule(void) {
    if (exporter->call || exporter->backing_off || exporter->closing || !exporter->count)
        return;
    if (exporter->count >= span_configuration.batch_max)
        uv_timer_start(&exporter->timer, on_timer, 0, 0);
    else if (!uv_is_active((uv_handle_t *)&exporter->timer))
        uv_timer_start(&exporter->timer, on_timer, (uint64_t)span_configuration.delay_ms, 0);
}

static void enqueue(const struct buffer *json) {
    if (exporter->count >= span_configuration.queue_max || exporter->bytes + json->length > QUEUE_BYTES_MAX) {
        metric_count(&span_metrics[1], 1, "full");
        return;
    }
    struct queued *queued = malloc(sizeof *queued + json->length);
    if (!queued)
        abort();
    queued->next = NULL;
    queued->length = json->length;
    memcpy(queued->json, json->data, json->length);
    *exporter->end = queued;
    exporter->end = &queued->next;
    exporter->count++;
    exporter->bytes += queued->length;
}

void span_record(const struct span *span) {
    if (!span_wanted(span->trace))
        return;
    arena_reset(exporter->scratch);
    struct buffer json = buffer_in(exporter->scratch);
    span_encode(&json, span);
    enqueue(&json);
    schedule();
}

/* The first of the queue are done with. */
static void forget(int64_t count) {
    while (count-- && exporter->first) {
        struct queued *queued = exporter->first;
        exporter->first = queued->next;
        exporter->count--;
        exporter->bytes -= queued->length;
        free(queued);
    }
    if (!exporter->first)
        exporter->end = &exporter->first;
}

static void drop_sent(const char *reason, int status, const char *error) {
    static uint64_t told_ms;
    metric_count(&span_metrics[1], (double)exporter->sent, reason);
    if (log_due(&told_ms, LOG_INTERVAL_MS))
        log_warn("spans_dropped", log_string("reason", reason), log_integer("spans", exporter->sent),
            log_integer("status", status), log_string("error", error));
    forget(exporter->sent);
}

/* partialSuccess.rejectedSpans, a 64-bit integer: a string or a number. */
static int64_t rejected_spans(struct arena *arena, const struct http_call_answer *answer, const char **why) {
    struct json_errors errors = {0};
    const cJSON *json = json_parse(arena, answer->body, answer->length, &errors);
    const cJSON *partial = cJSON_GetObjectItemCaseSensitive(json, "partialSuccess");
    const cJSON *rejected = cJSON_GetObjectItemCaseSensitive(partial, "rejectedSpans");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(partial, "errorMessage");
    *why = cJSON_IsString(message) ? message->valuestring : NULL;
    int64_t count = rejected && rejected->valuestring ? strtoll(rejected->valuestring, NULL, 10) : 0;
    return count < 0 ? 0 : count > exporter->sent ? exporter->sent : count;
}

static void taken(const struct http_call_answer *answer) {
    const char *why;
    struct arena *arena = arena_create(0);
    int64_t rejected = rejected_spans(arena, answer, &why), sent = exporter->sent;
    metric_count(&span_metrics[0], (double)(sent - rejected));
    exporter->backoff_ms = 0;
    forget(sent - rejected);
    exporter->sent = rejected;
    if (rejected)
        drop_sent("rejected", answer->status, why);
    arena_destroy(&arena);
}

/* What OTLP says may pass, and no answer at all. */
static bool may_pass(int status) {
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

/* Between half of the back-off and all of it, which doubles; at least what the collector has asked for. */
static void back_off(const struct http_call_answer *answer) {
    static uint64_t told_ms;
    uint64_t longest = exporter->backoff_ms ? exporter->backoff_ms * 2 : BACKOFF_FIRST_MS;
    longest = longest < BACKOFF_MAX_MS ? longest : BACKOFF_MAX_MS;
    uint64_t wait_ms = longest / 2 + uv_hrtime() % (longest / 2);
    if (answer->retry_after_ms > 0 && (uint64_t)answer->retry_after_ms > wait_ms)
        wait_ms = answer->retry_after_ms < RETRY_AFTER_MAX_MS ? (uint64_t)answer->retry_after_ms
                                                              : RETRY_AFTER_MAX_MS;
    exporter->backoff_ms = longest;
    exporter->backing_off = true;
    if (log_due(&told_ms, LOG_INTERVAL_MS))
        log_warn("spans_not_taken", log_integer("status", answer->status), log_string("error", answer->error),
            log_integer("spans", exporter->count), log_integer("wait_ms", (int64_t)wait_ms));
    uv_timer_start(&exporter->timer, on_timer, wait_ms, 0);
}

static void on_answer(void *context, const struct http_call_answer *answer) {
    (void)context;
    exporter->call = NULL;
    arena_destroy(&exporter->body);
    if (answer->status >= 200 && answer->status < 300)
        taken(answer);
    else if (!may_pass(answer->status))
        drop_sent("refused", answer->status, answer->error);
    else if (exporter->closing)
        exporter->deadline_ms = 0; /* nobody is there to wait for it */
    else
        back_off(answer);
    if (exporter->closing)
        uv_stop(exporter->loop);
    else
        schedule();
}

static int64_t call_timeout_ms(void) {
    if (!exporter->closing)
        return span_configuration.timeout_ms;
    int64_t left = (int64_t)(exporter->deadline_ms - uv_hrtime() / 1000000);
    left = left < span_configuration.timeout_ms ? left : span_configuration.timeout_ms;
    return left > 0 ? left : 1;
}

static void send_batch(void) {
    if (exporter->call || !exporter->first)
        return;
    exporter->body = arena_create(65536);
    struct buffer body = buffer_in(exporter->body);
    buffer_string(&body, exporter->head);
    exporter->sent = 0;
    for (const struct queued *queued = exporter->first; queued; queued = queued->next) {
        if (exporter->sent == span_configuration.batch_max ||
            (exporter->sent && body.length + queued->length > BATCH_BYTES_MAX))
            break;
        if (exporter->sent++)
            buffer_byte(&body, ',');
        buffer_append(&body, queued->json, queued->length);
    }
    buffer_string(&body, SPAN_TAIL);
    exporter->call = http_client_post(exporter->client,
        &(struct http_call_request){.url = exporter->url,
            .headers = exporter->headers,
            .body = body.data,
            .length = body.length,
            .connect_timeout_ms = call_timeout_ms(),
            .timeout_ms = call_timeout_ms(),
            .answer_bytes_max = ANSWER_BYTES_MAX},
        on_answer, NULL);
}

static void before_scrape(void *context) {
    static const char *const REASONS[] = {"full", "refused", "rejected"};
    (void)context;
    if (!exporter)
        return;
    metric_count(&span_metrics[0], 0);
    for (size_t i = 0; i < sizeof REASONS / sizeof *REASONS; i++)
        metric_count(&span_metrics[1], 0, REASONS[i]);
    metric_set(&span_metrics[2], (double)exporter->count);
}

void spans_open(uv_loop_t *loop, const char *service, const char *instance) {
    static bool scraped;
    struct arena *arena = arena_create(0);
    const char *url = span_url(arena);
    span_apply_sampler();
    if (!url) {
        arena_destroy(&arena);
        return;
    }
    exporter = calloc(1, sizeof *exporter);
    if (!exporter)
        abort();
    struct buffer head = buffer_in(arena);
    span_write_head(&head, service, instance);
    exporter->arena = arena;
    exporter->scratch = arena_create(8192);
    exporter->url = url;
    exporter->head = buffer_text(&head);
    exporter->headers = span_headers(arena);
    exporter->end = &exporter->first;
    exporter->loop = loop;
    exporter->client = http_client_open(loop);
    uv_timer_init(loop, &exporter->timer);
    if (!scraped)
        metrics_before_scrape(before_scrape, NULL);
    scraped = true;
}

/* The process's own loop has been stopped and may be full of what is not to go on. */
static void send_rest(int64_t timeout_ms) {
    static uv_loop_t loop;
    if (!exporter->count || timeout_ms <= 0 || uv_loop_init(&loop) != 0)
        return;
    exporter->loop = &loop;
    exporter->client = http_client_open(&loop);
    exporter->deadline_ms = uv_hrtime() / 1000000 + (uint64_t)timeout_ms;
    while (exporter->count && uv_hrtime() / 1000000 < exporter->deadline_ms) {
        send_batch();
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    http_client_close(&exporter->client);
    for (int turns = 0; turns < 3 && uv_loop_close(&loop) != 0; turns++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void free_exporter(uv_handle_t *timer) {
    free(timer->data);
}

void spans_close(int64_t timeout_ms) {
    if (!exporter)
        return;
    exporter->closing = true;
    uv_timer_stop(&exporter->timer);
    http_client_cancel(&exporter->call);
    arena_destroy(&exporter->body);
    http_client_close(&exporter->client);
    send_rest(timeout_ms);
    if (exporter->count)
        log_warn("spans_dropped", log_string("reason", "stopped"), log_integer("spans", exporter->count));
    forget(exporter->count);
    arena_destroy(&exporter->scratch);
    arena_destroy(&exporter->arena);
    exporter->timer.data = exporter;
    uv_close((uv_handle_t *)&exporter->timer, free_exporter);
    exporter = NULL;
}
