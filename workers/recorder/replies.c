/* Tells whoever waits what was recorded: the row that won, also to those whose own row lost. */
#include <stdlib.h>
#include <string.h>

#include "schemas/reply.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/reply_to.h"
#include "workers/recorder/recorder.h"

static const struct pg_statement STORED = {
    "stored_results",
    "SELECT stored.request_id, stored.run, stored.status, stored.task_type, stored.user_input, "
    "stored.refined_input, stored.output, stored.score, stored.passed, stored.prompt_version, stored.error, "
    "stored.detail, to_char(stored.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
    "FROM unnest($1::uuid[], $2::int[]) AS asked(request_id, run) "
    "JOIN results AS stored ON stored.request_id = asked.request_id AND stored.run = asked.run",
};

/* Items whose row was not the first one, while their stored rows are asked for. */
struct losers {
    struct item *items;
};

static bool is_row_of(const struct item *item, const struct pg_result *result, int row) {
    return strcasecmp(pg_value(result, row, 0), item->values[REQUEST_ID]) == 0 &&
           strcmp(pg_value(result, row, 1), item->values[RUN]) == 0;
}

static int find_row(const struct item *item, const struct pg_result *result, int from) {
    for (int row = from; row < pg_rows(result); row++)
        if (is_row_of(item, result, row))
            return row;
    return -1;
}

static void end_item(struct item *item, bool known) {
    struct job *job = item->job;
    int partition;
    const char *to;
    if (known && job->reply_to && reply_to_parse(job->arena, job->reply_to, &partition, &to) &&
        partition < run_partition_count(job->run, TOPIC_REPLIES.kafka_names[0])) {
        struct reply reply = {.to = to, .result = item->result};
        struct buffer body = buffer_in(job->arena);
        reply_encode(&body, &reply);
        job_emit_reply(job, partition, item->result.request_id, body.data, body.length);
    }
    if (item->has_result)
        log_info("recorded", log_job(job), log_string("task_type", item->values[TASK_TYPE]),
            log_string("status", item->values[STATUS]));
    if (item->reject)
        job_reject(job, item->reason);
    else
        job_done(job);
}

static bool boolean(const char *text) {
    return text && *text == 't';
}

static void take_stored(struct item *item, const struct pg_result *result, int row) {
    struct arena *arena = item->job->arena;
    const char *value[13];
    for (int column = 0; column < 13; column++)
        value[column] = arena_string(arena, pg_value(result, row, column));
    item->result = (struct result){
        .request_id = value[0],
        .status = strcmp(value[2], "succeeded") == 0 ? RESULT_STATUS_SUCCEEDED : RESULT_STATUS_FAILED,
        .task_type = value[3],
        .user_input = value[4],
        .refined_input = value[5],
        .worker_output = value[6],
        .has_evaluation_score = value[7] != NULL,
        .evaluation_score = value[7] ? strtod(value[7], NULL) : 0,
        .has_evaluation_passed = value[8] != NULL,
        .evaluation_passed = boolean(value[8]),
        .has_prompt_version = value[9] != NULL,
        .prompt_version = value[9] ? strtoll(value[9], NULL, 10) : 0,
        .error = value[10],
        .detail = value[11],
        .created_at = value[12],
    };
}

static void on_stored(void *context, const struct pg_result *result) {
    struct losers *losers = context;
    for (struct item *item = losers->items, *next; item; item = next) {
        next = item->next;
        int row = pg_status(result) == PG_OK ? find_row(item, result, 0) : -1;
        if (row >= 0)
            take_stored(item, result, row);
        /* Without its row nobody is told: whoever waits asks Postgres. */
        end_item(item, row >= 0);
    }
    free(losers);
}

static void ask_stored(struct recorder *recorder, struct item *items) {
    struct losers *losers = malloc(sizeof *losers);
    if (!losers)
        abort();
    losers->items = items;
    struct arena *arena = arena_create(0);
    struct buffer ids = buffer_in(arena), runs = buffer_in(arena);
    pg_array_begin(&ids);
    pg_array_begin(&runs);
    for (const struct item *item = items; item; item = item->next) {
        pg_array_add(&ids, item->values[REQUEST_ID]);
        pg_array_add(&runs, item->values[RUN]);
    }
    pg_array_end(&ids);
    pg_array_end(&runs);
    pg_query(run_pg(recorder->run), &STORED, 2, (const char *const[]){buffer_text(&ids), buffer_text(&runs)},
        on_stored, losers);
    arena_destroy(&arena);
}

void recorder_reply(struct recorder *recorder, struct item *items, const struct pg_result *recorded) {
    struct item *losers = NULL, **end = &losers;
    int from = 0;
    for (struct item *item = items, *next; item; item = next) {
        next = item->next;
        item->next = NULL;
        /* Rows come in the order of the items; a second item of the same request finds none of its own. */
        int row = item->has_result && !item->unrecordable ? find_row(item, recorded, from) : -1;
        if (row >= 0) {
            from = row + 1;
            item->result.created_at = arena_string(item->job->arena, pg_value(recorded, row, 2));
        }
        if (row < 0 && item->has_result && !item->unrecordable) {
            *end = item;
            end = &item->next;
        } else {
            end_item(item, row >= 0);
        }
    }
    if (losers)
        ask_stored(recorder, losers);
}
