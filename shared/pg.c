/* Sends queries down one pipelined Postgres connection and gives each its answer. */
#include "shared/pg.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libpq's result has the same tag as ours, and would silently be the same type. */
#define pg_result libpq_result
#include <libpq-fe.h>
#undef pg_result

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/pg_private.h"

struct pg_result {
    enum pg_status status;
    const PGresult *answer; /* NULL when PG_LOST */
    char message[PG_REASON_BYTES];
};

/* A statement and what the connection at hand knows of it. */
struct pg_prepared {
    struct pg_prepared *next;
    const struct pg_statement *statement;
    bool valid;          /* a Prepare under this generation was sent and has not failed */
    unsigned generation; /* part of the name on the server, so that a stale one need not be taken back */
    PGresult *failure;   /* why the last Prepare failed; NULL when it did not */
};

struct sent_step {
    struct pg_prepared *prepared;
    unsigned generation;
    int count;
    const char *const *values; /* copied for a query of its own; not there for a transaction's steps */
};

/* What ends with one Sync: a Prepare, or the steps of one implicit transaction. It lives in its own arena. */
struct pg_query {
    struct pg_query *next;
    struct arena *arena;
    struct pg_prepared *prepares; /* NULL: these are steps */
    pg_done done;
    void *context;
    int count, answered; /* steps; those that have succeeded so far */
    struct sent_step *steps;
    bool may_resend;
    PGresult *answer;  /* of the last step that succeeded */
    PGresult *failure; /* the first one */
};

static void queue_add(struct pg_queue *queue, struct pg_query *query) {
    query->next = NULL;
    *queue->end = query;
    queue->end = &query->next;
    queue->count++;
}

static struct pg_query *queue_take(struct pg_queue *queue) {
    struct pg_query *query = queue->first;
    if (query == NULL)
        return NULL;
    queue->first = query->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    return query;
}

static struct pg_query *query_create(size_t bytes) {
    struct arena *arena = arena_create(bytes);
    struct pg_query *query = arena_alloc(arena, sizeof *query);
    query->arena = arena;
    return query;
}

static void query_clear(struct pg_query *query) {
    PQclear(query->answer);
    PQclear(query->failure);
    query->answer = query->failure = NULL;
    query->answered = 0;
}

static void query_destroy(struct pg_query *query) {
    query_clear(query);
    struct arena *arena = query->arena;
    arena_destroy(&arena);
}

/* Tells whoever asked, if anybody did, and ends the query. */
static void tell(struct pg_query *query, enum pg_status status, const PGresult *answer, const char *message) {
    if (query->done != NULL) {
        struct pg_result result = {.status = status, .answer = answer};
        pg_reason_copy(result.message, message != NULL ? message : "");
        query->done(query->context, &result);
    }
    query_destroy(query);
}

static void tell_lost(struct pg_queue *queue, const char *reason) {
    struct pg_query *query;
    while ((query = queue_take(queue)) != NULL)
        tell(query, PG_LOST, NULL, reason);
}

static void run_from_loop(struct pg *pg) {
    if (uv_idle_start(&pg->idle, pg_tell_from_loop) != 0)
        abort();
}

/* Sending. Whatever libpq refuses here breaks the connection, but callers are told from the loop only. */

static void break_connection(struct pg *pg) {
    pg->broken = true;
    run_from_loop(pg);
}

static struct pg_prepared *prepared_find(struct pg *pg, const struct pg_statement *statement) {
    struct pg_prepared *prepared = pg->prepared;
    while (prepared != NULL && prepared->statement != statement)
        prepared = prepared->next;
    if (prepared == NULL) {
        prepared = arena_alloc(pg->arena, sizeof *prepared);
        prepared->statement = statement;
        prepared->next = pg->prepared;
        pg->prepared = prepared;
    }
    return prepared;
}

static void server_name(char name[64], const struct pg_prepared *prepared, unsigned generation) {
    snprintf(name, 64, "%.50s_%u", prepared->statement->name, generation);
}

static void add_pending(struct pg *pg, struct pg_query *query) {
    if (pg->pending.first == NULL)
        pg->progress_ms = uv_now(pg->loop);
    queue_add(&pg->pending, query);
    if (!uv_is_active((uv_handle_t *)&pg->timer) &&
        uv_timer_start(&pg->timer, pg_deadline, (uint64_t)pg_query_timeout_ms, 0) != 0)
        abort();
}

/* A Prepare has a Sync of its own: its failure aborts nobody's transaction, and nobody's failure undoes it.
 */
static bool send_prepare(struct pg *pg, struct pg_prepared *prepared) {
    char name[64];
    PQclear(prepared->failure);
    prepared->failure = NULL;
    prepared->valid = true;
    prepared->generation++;
    server_name(name, prepared, prepared->generation);
    struct pg_query *query = query_create(sizeof(struct pg_query));
    query->prepares = prepared;
    add_pending(pg, query);
    return PQsendPrepare(pg->connection, name, prepared->statement->sql, 0, NULL) == 1 &&
           PQpipelineSync(pg->connection) == 1;
}

static bool send_step(struct pg *pg, const struct sent_step *step, const char *const *values) {
    char name[64];
    server_name(name, step->prepared, step->generation);
    return PQsendQueryPrepared(pg->connection, name, step->count, values, NULL, NULL, 0) == 1;
}

static bool send_prepares(struct pg *pg, struct pg_query *query) {
    for (int i = 0; i < query->count; i++) {
        struct sent_step *step = &query->steps[i];
        if (!step->prepared->valid && !send_prepare(pg, step->prepared))
            return false;
        step->generation = step->prepared->generation;
    }
    return true;
}

/* What the socket does not take at once is written when it becomes writable. */
static void flush(struct pg *pg) {
    int left = PQflush(pg->connection);
    if (left < 0)
        break_connection(pg);
    else
        pg_watch(pg, UV_READABLE | (left > 0 ? UV_WRITABLE : 0));
}

/* steps hold the values, query->steps the rest. */
static void send_query(struct pg *pg, struct pg_query *query, const struct pg_step *steps) {
    if (pg->state != PG_READY || pg->broken) {
        queue_add(&pg->lost, query);
        run_from_loop(pg);
        return;
    }
    bool sent = send_prepares(pg, query);
    add_pending(pg, query);
    for (int i = 0; sent && i < query->count; i++)
        sent = send_step(pg, &query->steps[i], steps != NULL ? steps[i].values : query->steps[i].values);
    if (sent && PQpipelineSync(pg->connection) == 1)
        flush(pg);
    else
        break_connection(pg);
}

static struct pg_query *query_of_steps(
    struct pg *pg, const struct pg_step *steps, int count, pg_done done, void *context) {
    struct pg_query *query =
        query_create(sizeof(struct pg_query) + (size_t)count * sizeof(struct sent_step) + 256);
    query->done = done;
    query->context = context;
    query->count = count;
    query->steps = arena_alloc(query->arena, (size_t)count * sizeof *query->steps);
    for (int i = 0; i < count; i++) {
        query->steps[i].prepared = prepared_find(pg, steps[i].statement);
        query->steps[i].count = steps[i].count;
    }
    return query;
}

void pg_query(struct pg *pg, const struct pg_statement *statement, int count, const char *const *values,
    pg_done done, void *context) {
    const struct pg_step step = {statement, count, values};
    struct pg_query *query = query_of_steps(pg, &step, 1, done, context);
    /* Kept, so that it can be sent again when people's DDL has made the prepared statement stale. */
    const char **copies = arena_alloc(query->arena, (size_t)count * sizeof *copies);
    for (int i = 0; i < count; i++)
        copies[i] = arena_string(query->arena, values[i]);
    query->steps[0].values = copies;
    query->may_resend = true;
    send_query(pg, query, NULL);
}

void pg_transaction(struct pg *pg, const struct pg_step *steps, int count, pg_done done, void *context) {
    assert(count > 0);
    send_query(pg, query_of_steps(pg, steps, count, done, context), steps);
}

/* Receiving. */

static bool sqlstate_is(const PGresult *result, const char *sqlstate) {
    const char *actual = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return actual != NULL && strcmp(actual, sqlstate) == 0;
}

/* A FATAL error, or one that libpq made up, ends the connection and says nothing about the query. */
static bool refused_by_server(const PGresult *result) {
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity != NULL && strcmp(severity, "ERROR") == 0 &&
           PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL;
}

static const char *primary_message(const PGresult *result) {
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return message != NULL ? message : PQresultErrorMessage(result);
}

static void finish_prepare(struct pg_query *query) {
    struct pg_prepared *prepared = query->prepares;
    if (query->failure != NULL) {
        prepared->valid = false;
        prepared->failure = query->failure;
        query->failure = NULL;
    }
    query_destroy(query);
}

/* True when the step failed only because its prepared statement is out of date; it is then prepared again at
 * its next use. */
static bool is_stale(const struct pg_query *query, struct sent_step *step) {
    if (!sqlstate_is(query->failure, "26000") &&
        !(sqlstate_is(query->failure, "0A000") &&
            strstr(primary_message(query->failure), "cached plan") != NULL))
        return false;
    if (step->generation == step->prepared->generation)
        step->prepared->valid = false;
    return true;
}

static void finish_failed(struct pg *pg, struct pg_query *query) {
    const PGresult *failure = query->failure;
    if (query->answered < query->count) {
        struct sent_step *step = &query->steps[query->answered];
        bool stale = is_stale(query, step);
        if (stale && step->prepared->failure != NULL) {
            failure = step->prepared->failure;
        } else if (stale && query->may_resend) {
            query->may_resend = false;
            query_clear(query);
            send_query(pg, query, NULL);
            return;
        }
    }
    tell(query, PG_FAILED, failure, primary_message(failure));
}

/* The Sync is answered: only now an implicit transaction is committed. */
static void finish(struct pg *pg) {
    struct pg_query *query = queue_take(&pg->pending);
    pg->progress_ms = uv_now(pg->loop);
    if (query->prepares != NULL)
        finish_prepare(query);
    else if (query->failure != NULL)
        finish_failed(pg, query);
    else
        tell(query, PG_OK, query->answer, NULL);
}

static void take_answer(struct pg *pg, PGresult *result) {
    struct pg_query *query = pg->pending.first;
    char reason[PG_REASON_BYTES];
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        finish(pg);
        return;
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        return;
    case PGRES_EMPTY_QUERY:
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        PQclear(query->answer);
        query->answer = result;
        query->answered++;
        return;
    case PGRES_FATAL_ERROR:
        if (refused_by_server(result)) {
            PQclear(query->failure);
            query->failure = result;
            return;
        }
        break;
    default:
        break;
    }
    pg_reason_copy(reason, primary_message(result));
    PQclear(result);
    pg_drop(pg, *reason != '\0' ? reason : "an answer of an unexpected kind");
}

/* Any answer may lead to pg_close or pg_drop, so the state is looked at each time. */
static void take_answers(struct pg *pg) {
    int nothing = 0;
    while (pg->state == PG_READY && pg->pending.first != NULL && !PQisBusy(pg->connection)) {
        PGresult *result = PQgetResult(pg->connection);
        if (result != NULL) {
            nothing = 0;
            take_answer(pg, result);
        } else if (++nothing > 1) {
            /* One NULL parts two commands; a second means that libpq waits for nothing more. */
            const char *reason = PQerrorMessage(pg->connection);
            pg_drop(pg, *reason != '\0' ? reason : "answers are out of step");
        }
    }
}

static void receive(struct pg *pg) {
    /* TLS may hold back the rest of a record of up to 16 KiB where epoll does not see it; libpq reads 8 at a
     * time. */
    int rounds = PQsslInUse(pg->connection) ? 3 : 1;
    while (pg->state == PG_READY && rounds-- > 0) {
        bool alive = PQconsumeInput(pg->connection) == 1;
        take_answers(pg);
        if (!alive && pg->state == PG_READY)
            pg_drop(pg, PQerrorMessage(pg->connection));
    }
}

void pg_serve(struct pg *pg, int status) {
    receive(pg);
    if (pg->state != PG_READY)
        return;
    if (status < 0)
        pg_drop(pg, "the socket failed");
    else
        flush(pg);
}

void pg_check_overdue(struct pg *pg) {
    /* After a pause of the whole process the answers may just not have been read yet. */
    receive(pg);
    if (pg->state != PG_READY || pg->pending.first == NULL)
        return;
    uint64_t waited = uv_now(pg->loop) - pg->progress_ms;
    if (waited >= (uint64_t)pg_query_timeout_ms)
        pg_drop(pg, "no answer within PG_QUERY_TIMEOUT_MS");
    else if (uv_timer_start(&pg->timer, pg_deadline, (uint64_t)pg_query_timeout_ms - waited, 0) != 0)
        abort();
}

void pg_lose_pending(struct pg *pg, const char *reason) {
    tell_lost(&pg->pending, reason);
}

void pg_lose_everything(struct pg *pg) {
    tell_lost(&pg->pending, "closed");
    tell_lost(&pg->lost, "closed");
    for (struct pg_prepared *prepared = pg->prepared; prepared != NULL; prepared = prepared->next)
        PQclear(prepared->failure);
}

/* The server itself ends a query that waits on after we gave up (say, for a lock), else each reconnection
 * would leave one more such session behind. Dates have one form, whatever the role's settings. */
static const struct pg_statement start_session = {"start_session",
    "SELECT set_config('statement_timeout', $1, false), set_config('TimeZone', 'UTC', false),"
    " set_config('DateStyle', 'ISO, MDY', false)"};

void pg_start_session(struct pg *pg) {
    for (struct pg_prepared *prepared = pg->prepared; prepared != NULL; prepared = prepared->next) {
        prepared->valid = false;
        PQclear(prepared->failure);
        prepared->failure = NULL;
    }
    pg->broken = false;
    char timeout[32];
    snprintf(timeout, sizeof timeout, "%lld", (long long)pg_query_timeout_ms + 1000);
    pg_query(pg, &start_session, 1, (const char *const[]){timeout}, NULL, NULL);
    if (pg->changed != NULL)
        pg->changed(pg->context, true);
}

void pg_tell_from_loop(uv_idle_t *idle) {
    struct pg *pg = idle->data;
    uv_idle_stop(idle);
    if (pg->broken && pg->state == PG_READY)
        pg_drop(pg, PQerrorMessage(pg->connection));
    /* Only those of now: who asks again at once is told in the next turn, after others had theirs. */
    struct pg_queue lost = pg->lost;
    if (lost.first == NULL)
        return;
    pg->lost = (struct pg_queue){.end = &pg->lost.first};
    tell_lost(&lost, "no connection to Postgres");
}

/* Reading results. */

enum pg_status pg_status(const struct pg_result *result) {
    return result->status;
}

const char *pg_message(const struct pg_result *result) {
    return result->message;
}

const char *pg_sqlstate(const struct pg_result *result) {
    return result->status == PG_FAILED ? PQresultErrorField(result->answer, PG_DIAG_SQLSTATE) : "";
}

int pg_rows(const struct pg_result *result) {
    return PQntuples(result->answer);
}

const char *pg_value(const struct pg_result *result, int row, int column) {
    assert(row < PQntuples(result->answer) && column < PQnfields(result->answer));
    return PQgetisnull(result->answer, row, column) ? NULL : PQgetvalue(result->answer, row, column);
}

long pg_affected(const struct pg_result *result) {
    /* PQcmdTuples only reads, but is not declared so. */
    return result->answer != NULL ? strtol(PQcmdTuples((PGresult *)result->answer), NULL, 10) : 0;
}
