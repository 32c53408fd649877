/* One transaction for everything that waits: positions move on, results and dead letters are inserted, and
 * whoever came first wins. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "workers/recorder/recorder.h"

enum { PAUSE_MS = 200, BATCH_BYTES_MAX = 8 << 20, BATCH_MAX = 1000, BUSY_RATE = 1000, BUSY_GAP_MS = 4 };

static const struct pg_statement ADVANCE = {
    "advance_positions",
    "SELECT moru_advance_positions('recorder', $1::text[], $2::int[], $3::bigint[], $4::bigint[])",
};

static const struct pg_statement DEAD_LETTERS = {
    "record_dead_letters",
    "INSERT INTO dead_letters (cluster_id, request_id, stage, reason, attempts, source_topic, "
    "source_partition, source_offset, message, headers, failed_at) "
    "SELECT $11, request_id, stage, reason, attempts, source_topic, source_partition, source_offset, "
    "message, headers, to_timestamp(failed_at / 1000.0) FROM unnest($1::uuid[], $2::text[], $3::text[], "
    "$4::int[], $5::text[], $6::int[], $7::bigint[], $8::bytea[], $9::jsonb[], $10::bigint[]) AS "
    "letter(request_id, stage, reason, attempts, source_topic, source_partition, source_offset, message, "
    "headers, failed_at) "
    "ON CONFLICT (cluster_id, source_topic, source_partition, source_offset) DO NOTHING",
};

static const struct pg_statement UNRECORDABLE = {
    "record_unrecordable",
    "INSERT INTO unrecordable (topic, partition, record_offset, message, reason) "
    "VALUES ($1, $2::int, $3::bigint, $4::bytea, $5)",
};

/* One row for a rehearsal, like that of results: the first one. */
static const struct pg_statement REHEARSALS = {
    "record_rehearsals",
    "INSERT INTO rehearsals (request_id, optimization_id, candidate, origin_id, task_type, user_input, "
    "output, "
    "score, passed, detail, error) SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::uuid[], "
    "$5::text[], $6::text[], $7::text[], $8::float8[], $9::boolean[], $10::jsonb[], $11::text[]) "
    "ON CONFLICT (request_id) DO NOTHING",
};
static const enum column REHEARSAL_COLUMNS[] = {REQUEST_ID, OPTIMIZATION_ID, CANDIDATE, ORIGIN_ID, TASK_TYPE,
    USER_INPUT, OUTPUT, SCORE, PASSED, DETAIL, ERROR};

/* The row people see is written in the same statement, only for rows that won, and only for requests
 * served. unnest stands in the list of columns, where all go on in step: in FROM each would first make a row
 * set of its own. */
static const struct pg_statement RECORD = {
    "record_results",
    "WITH won AS (INSERT INTO results (request_id, run, tenant, lane, purpose, origin_id, batch_id, line, "
    "task_type, user_input, refined_input, output, prompt_id, prompt_version, prompt_hash, model, status, "
    "score, passed, detail, error, latency_ms, accepted_at) "
    "SELECT unnest($1::uuid[]), unnest($2::int[]), unnest($3::text[]), unnest($4::text[]), "
    "unnest($5::text[]), unnest($6::uuid[]), unnest($7::uuid[]), unnest($8::int[]), unnest($9::text[]), "
    "unnest($10::text[]), unnest($11::text[]), unnest($12::text[]), unnest($13::int[]), unnest($14::int[]), "
    "unnest($15::text[]), unnest($16::text[]), unnest($17::text[]), unnest($18::float8[]), "
    "unnest($19::boolean[]), unnest($20::jsonb[]), unnest($21::text[]), unnest($22::int[]), "
    "to_timestamp(unnest($23::bigint[]) / 1000.0::float8) "
    "ON CONFLICT (request_id, run) DO NOTHING "
    "RETURNING request_id, run, purpose, task_type, user_input, refined_input, prompt_version, output, "
    "latency_ms, score, passed, detail, error, created_at), "
    "logged AS (INSERT INTO execution_logs (request_id, task_type, user_input, refined_input, "
    "prompt_version, worker_output, worker_latency_ms, evaluation_score, evaluation_passed, "
    "evaluation_detail, error_message, created_at) "
    "SELECT request_id, task_type, user_input, refined_input, prompt_version, output, latency_ms, score, "
    "passed, detail, error, created_at FROM won WHERE purpose = 'serve') "
    /* created_at is the transaction's time, for all rows the same. */
    "SELECT request_id, run, (SELECT to_char(now() AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')) FROM won",
};

static void send_batch(struct recorder *recorder);

/* What one transaction needs beside its items, in an arena of its own. */
struct batch {
    struct arena *arena;
    struct pg_step steps[6];
    int step_count;
};

/* Arrays of one parameter each, from a column of the items that pass. */
static void add_rows(struct batch *batch, struct item *items, const struct pg_statement *statement,
    int columns, bool dead, const char *last) {
    const char **values = arena_alloc(batch->arena, sizeof *values * (size_t)(columns + 1));
    int rows = 0;
    for (int column = 0; column < columns; column++) {
        struct buffer array = buffer_in(batch->arena);
        pg_array_begin(&array);
        for (struct item *item = items; item; item = item->next)
            if (!item->unrecordable && (dead ? item->is_dead : item->has_result)) {
                pg_array_add(&array, dead ? item->dead[column] : item->values[column]);
                rows++;
            }
        pg_array_end(&array);
        values[column] = buffer_text(&array);
    }
    values[columns] = last;
    if (rows)
        batch->steps[batch->step_count++] = (struct pg_step){statement, columns + (last != NULL), values};
}

static bool is_rehearsal(const struct item *item) {
    return item->has_result && !item->unrecordable && strcmp(item->values[PURPOSE], "rehearse") == 0 &&
           item->values[OPTIMIZATION_ID] && item->values[CANDIDATE];
}

static void add_rehearsals(struct batch *batch, struct item *items) {
    enum { COLUMNS = sizeof REHEARSAL_COLUMNS / sizeof *REHEARSAL_COLUMNS };
    const char **values = arena_alloc(batch->arena, sizeof *values * COLUMNS);
    while (items && !is_rehearsal(items))
        items = items->next;
    if (!items)
        return;
    for (int column = 0; column < COLUMNS; column++) {
        struct buffer array = buffer_in(batch->arena);
        pg_array_begin(&array);
        for (struct item *item = items; item; item = item->next)
            if (is_rehearsal(item))
                pg_array_add(&array, item->values[REHEARSAL_COLUMNS[column]]);
        pg_array_end(&array);
        values[column] = buffer_text(&array);
    }
    batch->steps[batch->step_count++] = (struct pg_step){&REHEARSALS, COLUMNS, values};
}

/* Each partition once: from where it stands in Postgres to behind the last item of it. */
static void add_positions(struct recorder *recorder, struct batch *batch) {
    struct buffer arrays[4];
    for (int i = 0; i < 4; i++) {
        arrays[i] = buffer_in(batch->arena);
        pg_array_begin(&arrays[i]);
    }
    for (struct tracked *tracked = recorder->tracked; tracked; tracked = tracked->next) {
        int64_t next = tracked->position;
        for (struct item *item = recorder->sent; item; item = item->next)
            if (item->job->partition == tracked->partition && item->job->offset >= next &&
                strcmp(item->job->topic, tracked->topic) == 0)
                next = item->job->offset + 1;
        if (next == tracked->position)
            continue;
        pg_array_add(&arrays[0], tracked->topic);
        pg_array_add(&arrays[1], arena_format(batch->arena, "%d", tracked->partition));
        pg_array_add(&arrays[2], arena_format(batch->arena, "%lld", (long long)tracked->position));
        pg_array_add(&arrays[3], arena_format(batch->arena, "%lld", (long long)next));
    }
    const char **values = arena_alloc(batch->arena, sizeof *values * 4);
    for (int i = 0; i < 4; i++) {
        pg_array_end(&arrays[i]);
        values[i] = buffer_text(&arrays[i]);
    }
    batch->steps[batch->step_count++] = (struct pg_step){&ADVANCE, 4, values};
}

/* Only an item that is alone in its batch is ever unrecordable: that is how it was found. */
static void add_unrecordable(struct batch *batch, const struct item *item) {
    const struct job *job = item->job;
    const char **values = arena_alloc(batch->arena, sizeof *values * 5);
    struct buffer bytes = buffer_in(batch->arena);
    buffer_string(&bytes, "\\x");
    for (size_t i = 0; i < job->length; i++)
        buffer_format(&bytes, "%02x", (unsigned char)job->value[i]);
    values[0] = job->topic;
    values[1] = arena_format(batch->arena, "%d", job->partition);
    values[2] = arena_format(batch->arena, "%lld", (long long)job->offset);
    values[3] = buffer_text(&bytes);
    values[4] = item->reason;
    batch->steps[batch->step_count++] = (struct pg_step){&UNRECORDABLE, 5, values};
}

/* Whether the position in Postgres moves with this item. */
static bool batch_moves(struct recorder *recorder, const struct item *item) {
    const struct job *job = item->job;
    return job->offset >= recorder_tracked(recorder, job->topic, job->partition)->position;
}

/* Moves what is to be sent next from waiting to sent: by count and bytes, in order. */
static void take_batch(struct recorder *recorder) {
    size_t bytes = 0;
    struct item **end = &recorder->sent;
    recorder->sent_count = 0;
    while (recorder->waiting && recorder->sent_count < recorder->batch_max && bytes < BATCH_BYTES_MAX) {
        struct item *item = recorder->waiting;
        recorder->waiting = item->next;
        item->next = NULL;
        *end = item;
        end = &item->next;
        bytes += item->job->length;
        recorder->sent_count++;
    }
    if (!recorder->waiting)
        recorder->waiting_end = &recorder->waiting;
}

static void put_back(struct recorder *recorder) {
    struct item **end = &recorder->sent;
    while (*end)
        end = &(*end)->next;
    *end = recorder->waiting;
    if (!recorder->waiting)
        recorder->waiting_end = end;
    recorder->waiting = recorder->sent;
    recorder->sent = NULL;
    if (!recorder->waiting)
        recorder->waiting_end = &recorder->waiting;
}

static void on_committed(struct recorder *recorder, const struct pg_result *result) {
    struct item *items = recorder->sent;
    recorder->sent = NULL;
    for (struct item *item = items; item; item = item->next) {
        struct tracked *tracked = recorder_tracked(recorder, item->job->topic, item->job->partition);
        if (item->job->offset >= tracked->position)
            tracked->position = item->job->offset + 1;
    }
    if (recorder->batch_max < BATCH_MAX)
        recorder->batch_max *= 2;
    recorder->busy = false;
    /* Postgres works on the next while these are told. */
    recorder_send(recorder);
    recorder_reply(recorder, items, result);
}

static void on_pause_over(uv_timer_t *timer);

static void pause_then_read(struct recorder *recorder) {
    uv_timer_start(&recorder->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_positions(struct recorder *recorder, bool read) {
    if (!read) {
        pause_then_read(recorder);
        return;
    }
    recorder->busy = false;
    recorder_send(recorder);
}

static void on_pause_over(uv_timer_t *timer) {
    recorder_read_positions(timer->data, on_positions);
}

/* Data that Postgres does not take (classes 22, 23 and 54) will not be taken later either. */
static bool is_bad_row(const char *sqlstate) {
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 ||
           strncmp(sqlstate, "54", 2) == 0;
}

/* A refused batch is halved until the bad row is alone. */
static void on_refused(struct recorder *recorder, const struct pg_result *result) {
    const char *message = pg_message(result);
    log_error("batch_refused", log_string("sqlstate", pg_sqlstate(result)), log_string("reason", message),
        log_integer("rows", recorder->sent_count));
    if (recorder->sent_count > 1) {
        recorder->batch_max = recorder->sent_count / 2;
    } else if (!recorder->sent->unrecordable) {
        recorder->sent->unrecordable = true;
        recorder->sent->reason = arena_string(recorder->sent->job->arena, message);
    }
    put_back(recorder);
    recorder->busy = false;
    recorder_send(recorder);
}

static void on_done(void *context, const struct pg_result *result) {
    struct recorder *recorder = context;
    if (pg_status(result) == PG_OK) {
        on_committed(recorder, result);
    } else if (pg_status(result) == PG_FAILED && is_bad_row(pg_sqlstate(result))) {
        on_refused(recorder, result);
    } else {
        /* The connection was lost and nobody knows whether it was committed, or the positions moved under us:
         * they are read again, and the batch is sent from there. What was recorded already loses and changes
         * nothing. */
        log_warn("batch_uncertain", log_string("sqlstate", pg_sqlstate(result)),
            log_string("reason", pg_message(result)), log_integer("rows", recorder->sent_count));
        put_back(recorder);
        pause_then_read(recorder);
    }
}

static void send_batch(struct recorder *recorder) {
    take_batch(recorder);
    struct batch batch = {.arena = arena_create(65536)};
    add_positions(recorder, &batch);
    /* One that came again stands there already: its partition was lost and came back meanwhile. */
    if (recorder->sent->unrecordable && batch_moves(recorder, recorder->sent))
        add_unrecordable(&batch, recorder->sent);
    add_rows(&batch, recorder->sent, &DEAD_LETTERS, DEAD_COLUMN_COUNT, true, run_cluster_id(recorder->run));
    batch.step_count += recorder_add_model_calls(batch.arena, recorder->sent, &batch.steps[batch.step_count]);
    add_rehearsals(&batch, recorder->sent);
    add_rows(&batch, recorder->sent, &RECORD, RESULT_COLUMN_COUNT, false, NULL);
    recorder->busy = true;
    pace_sent(&recorder->pace, uv_now(run_loop(recorder->run)), recorder->sent_count, BUSY_RATE);
    pg_transaction(run_pg(recorder->run), batch.steps, batch.step_count, on_done, recorder);
    arena_destroy(&batch.arena);
}

static void on_gap_over(uv_timer_t *timer) {
    recorder_send(timer->data);
}

void recorder_send(struct recorder *recorder) {
    if (recorder->busy || !recorder->waiting)
        return;
    uint64_t wait_ms = pace_wait_ms(&recorder->pace, uv_now(run_loop(recorder->run)), BUSY_GAP_MS);
    if (wait_ms)
        uv_timer_start(&recorder->gap, on_gap_over, wait_ms, 0);
    else
        send_batch(recorder);
}
