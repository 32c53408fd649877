/* Messages as rows: an evaluation becomes a result; usage a row for each call; a dead letter a row of its own
 * and, where its original message can still be read, a failed result. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "schemas/dead_letter.h"
#include "schemas/evaluation.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/kafka.h"
#include "shared/request_id.h"
#include "workers/recorder/recorder.h"

static const char *integer_text(struct arena *arena, int64_t value) {
    return arena_format(arena, "%lld", (long long)value);
}

static const char *double_text(struct arena *arena, double value) {
    struct buffer text = buffer_in(arena);
    json_write_double(&text, value);
    return buffer_text(&text);
}

static void put_request(struct item *item, const struct request *request) {
    const struct envelope *envelope = &request->envelope;
    struct arena *arena = item->job->arena;
    item->has_result = true;
    item->values[REQUEST_ID] = envelope->request_id;
    item->values[RUN] = integer_text(arena, envelope->run);
    item->values[TENANT] = envelope->tenant;
    item->values[LANE] = lane_name(envelope->lane);
    item->values[PURPOSE] = purpose_name(envelope->purpose);
    item->values[ORIGIN_ID] = envelope->origin_id;
    item->values[BATCH_ID] = envelope->batch_id;
    item->values[LINE] = envelope->has_line ? integer_text(arena, envelope->line) : NULL;
    item->values[ACCEPTED_AT] = integer_text(arena, envelope->accepted_at);
    item->values[TASK_TYPE] = request->task_type;
    item->values[USER_INPUT] = request->user_input;
    item->values[OPTIMIZATION_ID] =
        request->has_optimization_id ? integer_text(arena, request->optimization_id) : NULL;
    item->values[CANDIDATE] = request->has_candidate ? integer_text(arena, request->candidate) : NULL;
    item->result.request_id = envelope->request_id;
    item->result.task_type = request->task_type;
    item->result.user_input = request->user_input;
}

static void put_generation(struct item *item, const struct generation *generation) {
    struct arena *arena = item->job->arena;
    put_request(item, &generation->request);
    item->values[REFINED_INPUT] = item->result.refined_input = generation->refined_input;
    item->values[OUTPUT] = item->result.worker_output = generation->output;
    item->values[PROMPT_ID] = integer_text(arena, generation->prompt_id);
    item->values[PROMPT_VERSION] = integer_text(arena, generation->prompt_version);
    item->values[PROMPT_HASH] = generation->prompt_hash;
    item->values[MODEL] = generation->model;
    item->values[LATENCY_MS] = integer_text(arena, generation->latency_ms);
    item->result.has_prompt_version = true;
    item->result.prompt_version = generation->prompt_version;
}

static void put_evaluation(struct item *item, const struct evaluation *evaluation) {
    put_generation(item, &evaluation->generation);
    item->values[STATUS] = "succeeded";
    item->values[SCORE] = evaluation->has_score ? double_text(item->job->arena, evaluation->score) : NULL;
    item->values[PASSED] = evaluation->has_passed ? (evaluation->passed ? "true" : "false") : NULL;
    item->values[DETAIL] = item->result.detail = evaluation->detail;
    item->result.status = RESULT_STATUS_SUCCEEDED;
    item->result.has_evaluation_score = evaluation->has_score;
    item->result.evaluation_score = evaluation->score;
    item->result.has_evaluation_passed = evaluation->has_passed;
    item->result.evaluation_passed = evaluation->passed;
}

static void put_failure(struct item *item, const char *reason) {
    item->values[STATUS] = "failed";
    item->values[ERROR] = item->result.error = reason;
    item->result.status = RESULT_STATUS_FAILED;
}

/* Headers as a JSON object; a name that stands twice keeps its last value, as job_header sees it. */
static const char *headers_json(struct job *job) {
    struct buffer text = buffer_in(job->arena);
    const char *separator = "{";
    for (int i = 0; i < job->header_count; i++) {
        bool again = false;
        for (int later = i + 1; later < job->header_count; later++)
            again = again || strcmp(job->headers[i].name, job->headers[later].name) == 0;
        if (again)
            continue;
        buffer_string(&text, separator);
        json_write_string(
            &text, json_clean_text(job->arena, job->headers[i].name, strlen(job->headers[i].name), NULL));
        buffer_byte(&text, ':');
        json_write_string(
            &text, json_clean_text(job->arena, job->headers[i].value, job->headers[i].length, NULL));
        separator = ",";
    }
    buffer_string(&text, job->header_count && *separator == ',' ? "}" : "{}");
    return buffer_text(&text);
}

/* Any bytes in Postgres' hexadecimal form of bytea. */
static const char *bytes_text(struct arena *arena, const char *bytes, size_t length) {
    static const char DIGITS[] = "0123456789abcdef";
    char *text = arena_alloc(arena, 2 * length + 3);
    memcpy(text, "\\x", 2);
    for (size_t i = 0; i < length; i++) {
        text[2 + 2 * i] = DIGITS[(unsigned char)bytes[i] >> 4];
        text[3 + 2 * i] = DIGITS[(unsigned char)bytes[i] & 15];
    }
    return text;
}

static void put_dead(struct item *item, const struct dead_letter *letter) {
    struct job *job = item->job;
    item->is_dead = true;
    item->dead[DEAD_REQUEST_ID] = uuid_valid(job->key) ? job->key : NULL;
    item->dead[DEAD_STAGE] = letter->stage;
    item->dead[DEAD_REASON] = letter->reason;
    item->dead[DEAD_ATTEMPTS] = integer_text(job->arena, letter->attempts);
    item->dead[DEAD_TOPIC] = letter->source_topic;
    item->dead[DEAD_PARTITION] = integer_text(job->arena, letter->source_partition);
    item->dead[DEAD_OFFSET] = integer_text(job->arena, letter->source_offset);
    item->dead[DEAD_FAILED_AT] = integer_text(job->arena, letter->failed_at);
    item->dead[DEAD_MESSAGE] = bytes_text(job->arena, job->value, job->length);
    item->dead[DEAD_HEADERS] = headers_json(job);
}

/* What the recorder itself cannot read: it is the dead letter's own stage. */
static void put_unreadable(struct item *item, const char *reason) {
    struct job *job = item->job;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct dead_letter letter = {.reason = reason,
        .stage = "recorder",
        .attempts = job->attempt,
        .source_topic = job->topic,
        .source_partition = job->partition,
        .source_offset = job->offset,
        .failed_at = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    put_dead(item, &letter);
}

/* The headers of a dead letter as the object that its schema describes. */
static bool read_dead_letter(struct job *job, struct dead_letter *letter) {
    static const struct header_field FIELDS[] = {
        {"reason", false},
        {"stage", false},
        {"attempts", true},
        {"source-topic", false},
        {"source-partition", true},
        {"source-offset", true},
        {"failed-at", true},
        {0},
    };
    struct buffer text = buffer_in(job->arena);
    job_headers_json(job, FIELDS, &text);
    struct json_errors errors = {0};
    return dead_letter_decode(job->arena, text.data, text.length, letter, &errors);
}

/* A dead letter's original message, read as far as the stage it died in tells: an evaluation holds a
 * generation, and that a request. */
static void put_original(struct item *item, const char *topic) {
    struct job *job = item->job;
    struct json_errors errors = {0};
    struct generation generation;
    struct request request;
    bool is_request = strncmp(topic, TOPIC_REQUESTS.name, strlen(TOPIC_REQUESTS.name)) == 0;
    if (!is_request && generation_decode(job->arena, job->value, job->length, &generation, &errors))
        put_generation(item, &generation);
    else if (request_decode(job->arena, job->value, job->length, &request, &errors))
        put_request(item, &request);
}

static void read_dead(struct item *item) {
    struct dead_letter letter;
    if (!read_dead_letter(item->job, &letter)) {
        put_unreadable(item, "a dead letter without the headers of one");
        return;
    }
    put_dead(item, &letter);
    put_original(item, letter.source_topic);
    if (item->has_result) {
        item->job->request_id = item->values[REQUEST_ID];
        item->job->task_type = item->values[TASK_TYPE];
        put_failure(item, letter.reason);
    }
}

static void read_evaluation(struct item *item) {
    struct job *job = item->job;
    struct evaluation evaluation;
    struct json_errors errors = {0};
    if (evaluation_decode(job->arena, job->value, job->length, &evaluation, &errors)) {
        put_evaluation(item, &evaluation);
        job->request_id = evaluation.generation.request.envelope.request_id;
        job->task_type = item->values[TASK_TYPE];
        return;
    }
    item->reason = json_first_error(job->arena, "not an evaluation", &errors);
    item->reject = true;
    put_unreadable(item, item->reason);
}

static void read_usage(struct item *item) {
    struct job *job = item->job;
    struct usage *usage = arena_alloc(job->arena, sizeof *usage);
    struct json_errors errors = {0};
    if (usage_decode(job->arena, job->value, job->length, usage, &errors)) {
        item->usage = usage;
        return;
    }
    item->reason = json_first_error(job->arena, "not usage", &errors);
    item->reject = true;
    put_unreadable(item, item->reason);
}

struct item *item_read(struct job *job) {
    struct item *item = arena_alloc(job->arena, sizeof *item);
    item->job = job;
    if (strcmp(job->topic, TOPIC_DEAD_LETTERS.name) == 0)
        read_dead(item);
    else if (strcmp(job->topic, TOPIC_USAGE.name) == 0)
        read_usage(item);
    else
        read_evaluation(item);
    return item;
}
