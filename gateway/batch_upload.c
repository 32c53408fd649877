/* An upload's life: its head and key, its pieces, halts while Kafka or Postgres are waited for, its end. */
#include "gateway/batch_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/keys.h"
#include "gateway/request_span.h"
#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/kafka.h"
#include "shared/log.h"
#include "shared/pg.h"

enum { RETRY_MS = 5 };

static const char TENANT[] = "default";

/* A key past its time is taken off its batch, which stays. */
static const struct pg_statement EXPIRE = {
    "expire_batch_key",
    "UPDATE batches SET key_hash = NULL WHERE tenant = $1 AND key_hash = $2 "
    "AND created_at < now() - interval '24 hours'",
};
static const struct pg_statement TAKE = {
    "take_batch_key",
    "INSERT INTO batches AS kept (tenant, key_hash, id) VALUES ($1, $2, $3::uuid) ON CONFLICT (tenant, "
    "key_hash) DO UPDATE SET tenant = EXCLUDED.tenant RETURNING id, body_hash",
};

/* Lines. */

static bool must_wait(const struct upload *upload) {
    return upload->asking || publish_full(upload->uploads);
}

static void take_lines(struct upload *upload) {
    const char *line;
    size_t length;
    enum line_kind kind;
    upload->busy = true;
    while (!must_wait(upload) && (kind = lines_see(&upload->cutter, &line, &length)) != LINE_NONE) {
        if (!publish_line(upload, kind, line, length))
            break;
        lines_next(&upload->cutter);
    }
    upload->busy = false;
}

static void halt(struct upload *upload) {
    if (!upload->halted)
        LIST_INSERT_HEAD(&upload->uploads->halted, upload, link);
    upload->halted = true;
    if (upload->http)
        http_pause(upload->http);
}

static void end_halt(struct upload *upload) {
    if (!upload->halted)
        return;
    upload->halted = false;
    LIST_REMOVE(upload, link);
    if (upload->http)
        http_resume(upload->http);
}

void upload_go_on(struct upload *upload) {
    if (upload->busy)
        return;
    take_lines(upload);
    if (must_wait(upload)) {
        halt(upload);
        return;
    }
    end_halt(upload);
    if (!upload->whole)
        return;
    publish_end_group(upload);
    if (!upload->unacknowledged)
        answer_upload(upload);
}

void upload_release(struct upload *upload) {
    if (upload->http || upload->asking || upload->saving || upload->unacknowledged)
        return;
    publish_end_group(upload);
    lines_close(&upload->cutter);
    EVP_MD_CTX_free(upload->hash);
    free(upload->errors);
    arena_destroy(&upload->scratch);
    struct arena *arena = upload->arena;
    arena_destroy(&arena);
}

/* What it has published goes on. */
static void on_left(void *context) {
    struct upload *upload = context;
    log_info("batch_cut", log_string("batch_id", upload->batch_id), log_string("trace_id", upload->trace.id),
        log_integer("lines", upload->lines));
    answer_span(upload, 0);
    upload->http = NULL;
    end_halt(upload);
    upload_release(upload);
}

/* The key. */

static void on_key(void *context, const struct pg_result *rows) {
    struct upload *upload = context;
    upload->asking = false;
    if (!upload->http) {
        upload_release(upload);
        return;
    }
    if (pg_status(rows) == PG_OK && pg_rows(rows) == 1) {
        memcpy(upload->batch_id, pg_value(rows, 0, 0), sizeof upload->batch_id);
        upload->known_body = arena_string(upload->arena, pg_value(rows, 0, 1));
        publish_prepare(upload);
    } else {
        if (pg_status(rows) == PG_FAILED)
            log_error("batch_key_not_kept", log_string("reason", pg_message(rows)));
        upload->refusal = 503;
    }
    upload_go_on(upload);
}

static void ask_for_key(struct upload *upload, const char *key) {
    char *hash = arena_alloc(upload->arena, 65);
    sha256_hex(key, hash);
    upload->key_hash = hash;
    upload->asking = true;
    const char *values[] = {TENANT, hash, upload->batch_id};
    const struct pg_step steps[] = {{&EXPIRE, 2, values}, {&TAKE, 3, values}};
    pg_transaction(upload->uploads->gateway->pg, steps, 2, on_key, upload);
    halt(upload);
}

/* The body. */

static struct upload *upload_create(struct gateway *gateway, struct http_request *http) {
    struct arena *arena = arena_create(0);
    struct upload *upload = arena_alloc(arena, sizeof *upload);
    struct tm utc;
    time_t now = time(NULL);
    upload->arena = arena;
    upload->scratch = arena_create(16384);
    upload->uploads = gateway->uploads;
    upload->http = http;
    upload->started = uv_hrtime();
    upload->hash = EVP_MD_CTX_new();
    if (!upload->hash || EVP_DigestInit_ex(upload->hash, EVP_sha256(), NULL) != 1)
        abort();
    gmtime_r(&now, &utc);
    strftime(upload->time_text, sizeof upload->time_text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    lines_open(&upload->cutter, (size_t)http_body_bytes_max());
    request_id_create(upload->batch_id);
    trace_continue(&upload->trace, http_header(http, "traceparent"));
    upload->span = request_span_begin(arena, http, &upload->trace);
    return upload;
}

static void *begin(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    const char *header = http_header(http, "Idempotency-Key"), *key = NULL;
    if (header && !(key = key_read(http_arena(http), header))) {
        http_problem(http, 400,
            "The Idempotency-Key must be 1 to 255 visible ASCII characters, in quotes or plain.", NULL, NULL);
        return NULL;
    }
    const char *spent = door_refusal(gateway->door, http_arena(http));
    if (spent) {
        http_problem_until_midnight(http, spent, NULL);
        return NULL;
    }
    if (key && !pg_ready(gateway->pg)) {
        http_add_header(http, "Retry-After", "1");
        http_problem(http, 503, "Postgres is away, and idempotency keys are kept there. Send it again later.",
            NULL, NULL);
        return NULL;
    }
    struct upload *upload = upload_create(gateway, http);
    http_on_leave(http, on_left, upload);
    if (key)
        ask_for_key(upload, key);
    else
        publish_prepare(upload);
    return upload;
}

static void piece(void *context, const char *bytes, size_t length) {
    struct upload *upload = context;
    upload->bytes += length;
    if (EVP_DigestUpdate(upload->hash, bytes, length) != 1)
        abort();
    lines_add(&upload->cutter, bytes, length);
    upload_go_on(upload);
}

static void end(void *context) {
    struct upload *upload = context;
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(upload->hash, digest, NULL) != 1)
        abort();
    for (int i = 0; i < 32; i++)
        snprintf(upload->body_hash + 2 * i, 3, "%02x", digest[i]);
    lines_end(&upload->cutter);
    upload->whole = true;
    upload_go_on(upload);
}

const struct http_upload batch_upload = {.content_type = "application/x-ndjson",
    .bytes_max = BATCH_BYTES_MAX,
    .begin = begin,
    .piece = piece,
    .end = end};

/* All uploads. */

static void on_timer(uv_timer_t *timer) {
    struct uploads *uploads = timer->data;
    uploads->refused = false;
    uploads_go_on(uploads);
}

void uploads_wait_for_queue(struct uploads *uploads) {
    uploads->refused = true;
    uv_timer_start(&uploads->timer, on_timer, RETRY_MS, 0);
}

/* Each of those that are halted now goes on once; the ones that ask Postgres go on by its answer. */
void uploads_go_on(struct uploads *uploads) {
    struct upload *upload = LIST_FIRST(&uploads->halted), *next;
    for (; upload && !publish_full(uploads); upload = next) {
        next = LIST_NEXT(upload, link);
        if (!upload->asking)
            upload_go_on(upload);
    }
}

static void before_scrape(void *context) {
    const struct uploads *uploads = context;
    metric_set(&batch_metrics[1], (double)uploads->unacknowledged);
}

struct uploads *uploads_open(struct gateway *gateway) {
    struct uploads *uploads = calloc(1, sizeof *uploads);
    if (!uploads)
        abort();
    uploads->gateway = gateway;
    LIST_INIT(&uploads->halted);
    uv_timer_init(&gateway->loop, &uploads->timer);
    uploads->timer.data = uploads;
    metrics_before_scrape(before_scrape, uploads);
    return uploads;
}
