/* A line's way to Kafka: checks, the record, its acknowledgement. What is done for each line is kept short:
 * the record's text is put together from parts that are made once a batch, and lines share their memory in
 * groups. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/batch_upload.h"
#include "schemas/request.h"
#include "schemas/submission.h"
#include "schemas/topics.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/kafka.h"
#include "shared/log.h"

enum {
    UNACKNOWLEDGED_MAX = 10000,
    UNACKNOWLEDGED_BYTES_MAX = 16 << 20,
    GROUP_BYTES = 65536,
    TYPES_ASKED_MS = 1000, /* a batch asks Postgres about unknown task types once in this time */
    HEADERS = 6,
    RECORD_BYTES = 512, /* of a record beside its task type and input */
};

/* Lines that share an arena, which lives until Kafka has acknowledged them all. */
struct line_group {
    struct arena *arena;
    struct upload *upload;
    size_t bytes; /* used so far */
    size_t unacknowledged;
    bool open; /* more lines may come */
};

struct line_record {
    struct line_group *group;
    int64_t line;
    size_t length;
    char request_id[UUID_TEXT_BYTES];
    char event_id[UUID_TEXT_BYTES + sizeof "/gateway" - 1];
    struct kafka_header headers[HEADERS];
};

static const char NOT_KEPT[] = "Kafka did not take this line. Send it again.";
static const char UNKNOWN_FATE[] =
    "Kafka did not say whether it kept this line. Send it again under the same "
    "Idempotency-Key, so that it is served once.";

bool publish_full(const struct uploads *uploads) {
    return uploads->refused || uploads->unacknowledged >= UNACKNOWLEDGED_MAX ||
           uploads->unacknowledged_bytes >= UNACKNOWLEDGED_BYTES_MAX;
}

/* Groups. */

static void release_group(struct line_group *group) {
    if (group->open || group->unacknowledged)
        return;
    struct arena *arena = group->arena;
    arena_destroy(&arena);
}

void publish_end_group(struct upload *upload) {
    struct line_group *group = upload->group;
    if (!group)
        return;
    upload->group = NULL;
    group->open = false;
    release_group(group);
}

/* A record of a line and its text of at most text_bytes, in a group that has room for both. */
static struct line_record *record_create(struct upload *upload, size_t text_bytes) {
    size_t bytes = sizeof(struct line_record) + text_bytes + 64;
    if (upload->group && upload->group->bytes + bytes > GROUP_BYTES)
        publish_end_group(upload);
    if (!upload->group) {
        struct arena *arena = arena_create(bytes > GROUP_BYTES ? bytes : GROUP_BYTES);
        upload->group = arena_alloc(arena, sizeof *upload->group);
        *upload->group = (struct line_group){.arena = arena, .upload = upload, .open = true};
    }
    upload->group->bytes += bytes;
    struct line_record *record = arena_alloc(upload->group->arena, sizeof *record);
    record->group = upload->group;
    return record;
}

/* Acknowledgements. */

/* The upload may be gone afterwards. */
static void settle(struct upload *upload) {
    struct uploads *uploads = upload->uploads;
    if (!--upload->unacknowledged && upload->http && upload->whole)
        upload_go_on(upload);
    else
        upload_release(upload);
    if (!uploads->refused && uploads->unacknowledged <= UNACKNOWLEDGED_MAX / 2 &&
        uploads->unacknowledged_bytes <= UNACKNOWLEDGED_BYTES_MAX / 2)
        uploads_go_on(uploads);
}

static void on_delivered(void *context, enum kafka_outcome outcome, const char *reason) {
    static uint64_t said_ms;
    struct line_record *record = context;
    struct line_group *group = record->group;
    struct upload *upload = group->upload;
    if (outcome != KAFKA_DELIVERED) {
        upload->accepted--;
        upload->not_kept = upload->not_kept || outcome != KAFKA_REFUSED;
        answer_reject(upload, record->line,
            outcome == KAFKA_UNKNOWN   ? UNKNOWN_FATE
            : outcome == KAFKA_REFUSED ? "Kafka refused this line."
                                       : NOT_KEPT,
            outcome != KAFKA_REFUSED);
        if (log_due(&said_ms, 1000))
            log_warn("line_not_acknowledged", log_string("batch_id", upload->batch_id),
                log_integer("line", record->line), log_string("reason", reason));
    }
    upload->uploads->unacknowledged--;
    upload->uploads->unacknowledged_bytes -= record->length;
    group->unacknowledged--;
    release_group(group);
    settle(upload);
}

/* Records. */

/* The part of text from *from up to and with what, which the encoder has written there. */
static struct text_part part(const char **from, const char *what) {
    const char *found = strstr(*from, what);
    assert(found);
    struct text_part part = {*from, (size_t)(found - *from) + strlen(what)};
    *from = found + strlen(what);
    return part;
}

/* A record is encoded once as the schema has it, and cut where the lines differ. */
void publish_prepare(struct upload *upload) {
    struct buffer text = buffer_in(upload->arena);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    struct request request = {
        .envelope = {.request_id = "",
            .tenant = "default",
            .lane = LANE_LOW,
            .purpose = PURPOSE_SERVE,
            .run = 1,
            .batch_id = upload->batch_id,
            .has_line = true,
            .accepted_at = now_ms,
            .expires_at = now_ms + gateway_settings.request_expiry_ms},
        .task_type = "",
        .user_input = "",
    };
    request_encode(&text, &request);
    const char *from = buffer_text(&text);
    upload->text.before_id = part(&from, "\"request_id\":\"");
    upload->text.before_line = part(&from, "\"line\":");
    from++; /* its 0 */
    upload->text.before_task_type = part(&from, "\"task_type\":");
    from += 2; /* its quotes */
    upload->text.before_user_input = part(&from, "\"user_input\":");
    assert(strcmp(from, "\"\"}") == 0);
}

static void append(struct buffer *text, struct text_part part) {
    buffer_append(text, part.text, part.length);
}

static void write_number(struct buffer *text, int64_t number) {
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    buffer_append(text, at, (size_t)(digits + sizeof digits - at));
}

static void write_record(const struct upload *upload, struct buffer *text, const struct line_record *record,
    const struct submission *body) {
    append(text, upload->text.before_id);
    buffer_append(text, record->request_id, UUID_TEXT_BYTES - 1);
    append(text, upload->text.before_line);
    write_number(text, record->line);
    append(text, upload->text.before_task_type);
    json_write_string(text, body->task_type);
    append(text, upload->text.before_user_input);
    json_write_string(text, body->user_input);
    if (body->model) {
        buffer_string(text, ",\"requested_model\":");
        json_write_string(text, body->model);
    }
    buffer_byte(text, '}');
}

static void write_headers(const struct upload *upload, struct line_record *record) {
    static const char EVENT[] = "/gateway", TYPE[] = "moru.request.v1", SOURCE[] = "/moru/gateway";
    memcpy(record->event_id, record->request_id, UUID_TEXT_BYTES - 1);
    memcpy(record->event_id + UUID_TEXT_BYTES - 1, EVENT, sizeof EVENT);
    const struct kafka_header headers[HEADERS] = {
        {"ce_specversion", "1.0", 3},
        {"ce_type", TYPE, sizeof TYPE - 1},
        {"ce_source", SOURCE, sizeof SOURCE - 1},
        {"ce_id", record->event_id, sizeof record->event_id - 1},
        {"ce_time", upload->time_text, strlen(upload->time_text)},
        {"traceparent", upload->trace.parent, TRACEPARENT_BYTES - 1},
    };
    memcpy(record->headers, headers, sizeof headers);
}

/* False when Kafka's queue is full. */
static bool produce(struct upload *upload, const struct submission *body, int64_t line) {
    size_t expected = strlen(body->user_input) + strlen(body->task_type) + RECORD_BYTES +
                      (body->model ? strlen(body->model) + sizeof ",\"requested_model\":\"\"" : 0);
    struct line_record *record = record_create(upload, expected);
    struct line_group *group = record->group;
    struct buffer text = {
        .arena = group->arena, .data = arena_grow(group->arena, NULL, 0, expected), .capacity = expected};
    record->line = line;
    request_id_of_line(upload->batch_id, (unsigned)line, record->request_id);
    write_record(upload, &text, record, body);
    write_headers(upload, record);
    record->length = text.length;
    const struct kafka_record kafka_record = {.topic = TOPIC_REQUESTS.kafka_names[LANE_LOW],
        .partition = -1,
        .key = record->request_id,
        .value = text.data,
        .length = text.length,
        .headers = record->headers,
        .header_count = HEADERS};
    if (!kafka_produce(upload->uploads->gateway->kafka, &kafka_record, on_delivered, record))
        return false;
    group->unacknowledged++;
    upload->unacknowledged++;
    upload->uploads->unacknowledged++;
    upload->uploads->unacknowledged_bytes += text.length;
    return true;
}

/* Checks. */

static void on_types(void *context, enum task_type_known known, const char *known_types) {
    struct upload *upload = context;
    (void)known_types;
    upload->asking = false;
    upload->types_asked_ms = uv_now(&upload->uploads->gateway->loop);
    upload->types_unsure = known == TASK_TYPE_UNSURE;
    if (!upload->http)
        upload_release(upload);
    else
        upload_go_on(upload);
}

/* An answer about one type tells about all, so it serves for a while. */
static enum task_type_known task_type_known(struct upload *upload, const char *task_type) {
    struct gateway *gateway = upload->uploads->gateway;
    if (upload->known_body || task_types_seen(gateway->task_types, task_type))
        return TASK_TYPE_KNOWN;
    if (!upload->types_asked_ms || uv_now(&gateway->loop) - upload->types_asked_ms > TYPES_ASKED_MS) {
        upload->asking = true;
        task_types_check(gateway->task_types, task_type, on_types, upload);
    }
    return upload->types_unsure ? TASK_TYPE_UNSURE : TASK_TYPE_UNKNOWN;
}

static bool is_blank(const char *line, size_t length) {
    while (length && (*line == ' ' || *line == '\t' || *line == '\r')) {
        line++;
        length--;
    }
    return !length;
}

/* NULL when the line is a submission, which is then in the scratch arena. */
static const char *read_line(
    struct upload *upload, enum line_kind kind, const char *line, size_t length, struct submission *body) {
    struct json_errors errors = {0};
    if (upload->number >= BATCH_LINES_MAX)
        return "A batch has at most 100000 lines. Send the rest as another one.";
    if (upload->bytes > BATCH_BYTES_MAX && !upload->known_body)
        return "A batch has at most 268435456 bytes. Send the rest as another one.";
    if (kind == LINE_TOO_LONG)
        return "The line is longer than the body of a request may be.";
    arena_reset(upload->scratch);
    const cJSON *json = json_parse(upload->scratch, line, length, &errors);
    if (json && submission_decode_json(upload->scratch, json, body, &errors))
        return NULL;
    if (!answer_wants_error(upload))
        return "";
    const struct json_error *error = &errors.items[0];
    return arena_format(
        upload->arena, "%.100s%s%.200s", error->pointer, *error->pointer ? " " : "", error->detail);
}

static bool reject(struct upload *upload, const char *error, bool again) {
    upload->lines++;
    answer_reject(upload, ++upload->number, error, again);
    return true;
}

bool publish_line(struct upload *upload, enum line_kind kind, const char *line, size_t length) {
    struct submission body = {.user_input = "", .task_type = ""};
    if (upload->refusal)
        return true;
    if (kind == LINE_WHOLE && is_blank(line, length)) {
        upload->number++;
        return true;
    }
    const char *error = read_line(upload, kind, line, length, &body);
    if (error)
        return reject(upload, error, false);
    enum task_type_known known = task_type_known(upload, body.task_type);
    if (upload->asking)
        return false;
    if (known == TASK_TYPE_UNKNOWN)
        return reject(upload, "/task_type is not known: no prompt of it is active", true);
    if (!upload->known_body) {
        const struct kafka *kafka = upload->uploads->gateway->kafka;
        const char *unknown_model = models_refusal(upload->uploads->gateway->models, body.model);
        if (unknown_model)
            return reject(upload, unknown_model, true);
        if (upload->not_kept || kafka_away(kafka))
            return reject(upload, "Kafka is away. Send this line again later.", true);
        /* Late acknowledgements are waited for: they come, or end as lines that were not kept. */
        if (kafka_broken(kafka) || !produce(upload, &body, upload->number + 1)) {
            uploads_wait_for_queue(upload->uploads);
            return false;
        }
    }
    upload->number++;
    upload->lines++;
    upload->accepted++;
    return true;
}
