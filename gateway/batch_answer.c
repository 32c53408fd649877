/* The end of an upload: what became of its lines, written down and told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/batch_upload.h"
#include "gateway/request_span.h"
#include "schemas/batch_answer.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/span.h"
#include "shared/span_names.h"

struct metric batch_metrics[] = {
    {.name = "agent_batch_lines_total",
        .type = METRIC_COUNTER,
        .help = "Lines of batches, by outcome: accepted, rejected.",
        .labels = {"outcome"}},
    {.name = "agent_batch_lines_unacknowledged",
        .type = METRIC_GAUGE,
        .help = "Lines of batches that Kafka has been given and has not acknowledged."},
    {0},
};

/* Whatever is sent under the same key again adds to what was kept before. */
static const struct pg_statement SAVE = {
    "save_batch",
    "INSERT INTO batches AS kept (id, tenant, body_hash, lines, accepted, rejected, created_at, finished_at) "
    "VALUES ($1::uuid, 'default', $2, $3::int, $4::int, $5::int, now() - $6::float8 * interval '1 second', "
    "now()) ON CONFLICT (id) DO UPDATE SET body_hash = coalesce(EXCLUDED.body_hash, kept.body_hash), "
    "lines = EXCLUDED.lines, accepted = GREATEST(EXCLUDED.accepted, kept.accepted), "
    "rejected = LEAST(EXCLUDED.rejected, kept.rejected), finished_at = EXCLUDED.finished_at",
};

bool answer_wants_error(const struct upload *upload) {
    return upload->errors_count < BATCH_ERRORS_MAX;
}

void answer_reject(struct upload *upload, int64_t line, const char *error, bool again) {
    upload->rejected++;
    upload->again = upload->again || again;
    if (!answer_wants_error(upload))
        return;
    if (upload->errors_count == upload->errors_capacity) {
        upload->errors_capacity = upload->errors_capacity ? upload->errors_capacity * 2 : 64;
        upload->errors = realloc(upload->errors, upload->errors_capacity * sizeof *upload->errors);
        if (!upload->errors)
            abort();
    }
    upload->errors[upload->errors_count++] = (struct batch_error){.line = line, .error = error};
}

static double seconds_since(const struct upload *upload) {
    return (double)(uv_hrtime() - upload->started) / 1e9;
}

static int compare_lines(const void *left, const void *right) {
    const struct batch_error *one = left, *other = right;
    return (one->line > other->line) - (one->line < other->line);
}

void answer_span(struct upload *upload, int status) {
    request_span_end(upload->span, status, span_attributes(span_string(SPAN_BATCH_ID, upload->batch_id)));
}

static void answered(struct upload *upload, int status) {
    answer_span(upload, status);
    upload->http = NULL;
    metric_count(&batch_metrics[0], (double)upload->accepted, "accepted");
    metric_count(&batch_metrics[0], (double)upload->rejected, "rejected");
    log_info("batch_answered", log_string("batch_id", upload->batch_id),
        log_string("trace_id", upload->trace.id), log_integer("lines", upload->lines),
        log_integer("accepted", upload->accepted), log_integer("rejected", upload->rejected),
        log_double("seconds", seconds_since(upload)));
    upload_release(upload);
}

static void answer_counts(struct upload *upload) {
    const char *self = arena_format(upload->arena, "/api/v1/batches/%s", upload->batch_id);
    struct buffer text = buffer_in(upload->arena);
    /* Those that Kafka did not keep were found out after those that stood behind them. */
    if (upload->errors_count)
        qsort(upload->errors, upload->errors_count, sizeof *upload->errors, compare_lines);
    batch_answer_encode(
        &text, &(struct batch_answer){.batch_id = upload->batch_id,
                   .lines = upload->lines,
                   .accepted = upload->accepted,
                   .rejected = upload->rejected,
                   .errors = upload->errors_count ? upload->errors : &(struct batch_error){0},
                   .errors_count = upload->errors_count,
                   .errors_left_out = upload->rejected - (int64_t)upload->errors_count,
                   .links = {.self = self, .results = arena_format(upload->arena, "%s/results", self)}});
    http_add_header(upload->http, "Location", self);
    http_respond(upload->http, 200, "application/json", text.data, text.length);
    answered(upload, 200);
}

static void on_saved(void *context, const struct pg_result *rows) {
    struct upload *upload = context;
    upload->saving = false;
    if (pg_status(rows) == PG_FAILED)
        log_error("batch_not_saved", log_string("reason", pg_message(rows)));
    if (upload->http)
        answer_counts(upload);
    else
        upload_release(upload);
}

static void save(struct upload *upload) {
    struct arena *arena = upload->arena;
    const char *values[] = {
        upload->batch_id,
        upload->again ? NULL : upload->body_hash,
        arena_format(arena, "%lld", (long long)upload->lines),
        arena_format(arena, "%lld", (long long)upload->accepted),
        arena_format(arena, "%lld", (long long)upload->rejected),
        arena_format(arena, "%.3f", seconds_since(upload)),
    };
    upload->saving = true;
    pg_query(upload->uploads->gateway->pg, &SAVE, 6, values, on_saved, upload);
}

static void answer_problem(struct upload *upload, int status, const char *detail) {
    if (status == 503)
        http_add_header(upload->http, "Retry-After", "1");
    http_problem(upload->http, status, detail, NULL, NULL);
    answered(upload, status);
}

void answer_upload(struct upload *upload) {
    if (upload->refusal)
        answer_problem(upload, upload->refusal,
            "Postgres did not answer, and idempotency keys are kept there. Nothing was accepted: send it "
            "again.");
    else if (upload->known_body && strcmp(upload->known_body, upload->body_hash) != 0)
        answer_problem(upload, 422,
            "This Idempotency-Key was used for another body. Send that one, or take another key.");
    else if (!upload->known_body && pg_ready(upload->uploads->gateway->pg))
        save(upload);
    else
        answer_counts(upload);
}
