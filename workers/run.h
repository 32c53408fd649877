/* The run-loop of every worker: poll Kafka, hand jobs to the worker, emit what they produced, commit. A
 * worker is one struct and knows nothing of Kafka. */
#ifndef WORKERS_RUN_H
#define WORKERS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "schemas/common.h"
#include "schemas/topics.h"
#include "shared/http_server.h"
#include "shared/metrics.h"
#include "shared/settings.h"
#include "shared/trace.h"

struct arena;
struct buffer;
struct kafka_header;
struct pg;
struct result;
struct run;

/* One piece of work. It lives in its arena, and both end once all its outputs are acknowledged. */
struct job {
    struct arena *arena;
    struct run *run;
    /* Where it came from first, also when it was deferred since. */
    const char *topic; /* Kafka name; NULL for a job that came by HTTP */
    enum lane lane;
    int partition;
    int64_t offset;
    const char *key; /* as a C string, "" when there was none */
    const char *value;
    size_t length;
    const struct kafka_header *headers;
    int header_count;
    struct trace trace;     /* of this hop */
    const char *request_id; /* the key when it is a UUID, else ""; the worker sets it when it knows better */
    const char *task_type;  /* for its span: "" until the worker has set it */
    const char *reply_to;   /* where somebody waits, or NULL */
    int attempt;            /* from 1 */
    void *state;            /* the worker's own; kept from try to try */
    struct job_internal *internal;
};

/* The fields of every log line about the job. */
#define log_job(job) log_request((job)->request_id, (job)->trace.id)

/* One partition and where to begin to read it. */
struct run_position {
    const char *topic;
    int partition;
    int64_t next; /* -1: from the beginning */
};

struct worker {
    const char *service;                   /* "generator" */
    const char *purpose;                   /* one sentence for --help */
    const char *port;                      /* default of LISTEN_PORT */
    const char *in_flight_max;             /* default of WORKER_IN_FLIGHT_MAX; NULL: 1000 */
    struct setting *const *settings;       /* tables beside those of the loop; NULL-terminated, or NULL */
    struct metric *metrics, *more_metrics; /* the worker's tables, or NULL */
    const struct topic *const *inputs; /* NULL-terminated; empty: it joins no group, and runs until run_end */
    const struct topic *const *outputs; /* NULL-terminated; dead-letters need not be named */
    bool usage;                         /* it calls models, and tells what they use: workers/usage.h */
    bool budget_fails_requests;      /* a request fails here when the daily budget for these calls is spent */
    bool postgres;                   /* it needs Postgres: no job begins while that is away */
    const struct http_route *routes; /* beside those of operations; context is what open returned */
    void *(*open)(struct run *run);
    /* Called for each try of a job. Ends it, now or later, with exactly one of the calls below. */
    void (*handle)(struct job *job);
    /* A job from a topic has ended and is about to be freed, however it went; may be NULL. */
    void (*ended)(struct job *job);
    /* NULL, or what it works with but can do without for a while, such as a model, and why that is away: NULL
     * while it is there. Meanwhile only the high lane is read, where somebody waits and is to be told; all
     * else stays in Kafka. run_resume tells when it may be back. */
    const char *(*away)(const struct run *run);
    const char *away_name; /* of that, in the checks of /ready: "model" */
    /* Called once, when Kafka, Postgres and replies (where they are needed) are there; may be NULL. */
    void (*began)(struct run *run);
    /* For a worker that asks others and waits: what comes for this process on the topic replies, as a message
     * of schema reply; key is the request id. NULL: it asks nobody. */
    void (*replied)(struct run *run, const char *key, const char *value, size_t length);
    /* For a worker that holds its own positions: partitions came; answer, now or later, with run_start. Its
     * jobs are not deferred: they wait for their next try in memory. NULL: Kafka holds them. */
    void (*assigned)(struct run *run, const struct run_position *positions, int count);
    void (*close)(void *state);
};

/* A worker's main(). */
int worker_main(const struct worker *worker, int argc, char **argv);

/* Looks again at what away says. */
void run_resume(struct run *run);

/* What open returned. */
void *run_state(const struct run *run);
uv_loop_t *run_loop(const struct run *run);
/* NULL for a worker without Postgres. */
struct pg *run_pg(const struct run *run);
const char *run_cluster_id(const struct run *run);
/* How many partitions a topic of inputs or outputs has, by its Kafka name; 0 while not known. */
int run_partition_count(const struct run *run, const char *topic);

/* Answers assigned. */
void run_start(struct run *run, const struct run_position *positions, int count);

/* Finds where, in each partition, the records from time_ms (Unix time in ms) on begin, off the loop's thread.
 * done is called from the loop with one position for each that was asked for; positions are borrowed for the
 * calls. It asks again until Kafka has answered. */
void run_positions_at(struct run *run, const struct run_position *positions, int count, int64_t time_ms,
    void (*done)(struct run *run, const struct run_position *positions, int count));

/* Ends the process with exit code 1 after one log line: for what must not go on. */
void run_fail(struct run *run, const char *reason);

/* Ends the process, as SIGTERM does, with this exit code. */
void run_end(struct run *run, int exit_code);

/* A record that belongs to no job: what a worker asks of others, or tells by itself. */
struct run_record {
    const char *topic; /* Kafka name */
    const char *key;   /* C string */
    const char *value;
    size_t length;
    const char *type;          /* "moru.request.v1" */
    const struct trace *trace; /* NULL: none */
    bool wants_reply;          /* with the header reply-to of this process */
};

/* Sends a copy of the record, again and again until Kafka has it or refuses it for good. done (may be NULL)
 * is called once, from the loop, with why it was refused or NULL. SIGTERM waits for it as for a job. */
void run_emit(struct run *run, const struct run_record *record,
    void (*done)(void *context, const char *reason), void *context);

/* Whether replies reach this process by now. */
bool run_replies_ready(const struct run *run);

/* A job from an HTTP request instead of a topic: handle is called for it, retries included. finished is told
 * how it ended, reason NULL when it was done; the job is freed when finished returns. state becomes
 * job->state. */
struct job *job_direct(struct run *run, const char *request_id, const char *traceparent, void *state,
    void (*finished)(struct job *job, const char *reason));

/* The job's worker state. */
void *job_worker(const struct job *job);

/* The last header of that name as a C string in the job's arena, or NULL. */
const char *job_header(const struct job *job, const char *name);

/* A header to be read, and whether its value is a number. */
struct header_field {
    const char *name; /* NULL ends the list */
    bool number;
};

/* Appends the headers of these names as a JSON object, for a schema that describes them: - becomes _ in
 * names, one that is not there is null. */
void job_headers_json(struct job *job, const struct header_field *fields, struct buffer *json);

/* Adds an output, sent by job_done with CloudEvents headers of this type. topic is a Kafka name and partition
 * -1, or a partition; key, value and type are borrowed and live in the job's arena or longer. */
void job_emit(struct job *job, const char *topic, int partition, const char *key, const char *value,
    size_t length, const char *type);

/* The same for an answer to somebody who waits (type moru.reply.v1 on the topic replies): when Kafka refuses
 * it for good it is left out, since whoever waits also asks Postgres. */
void job_emit_reply(struct job *job, int partition, const char *key, const char *value, size_t length);

/* Adds the reply with this result (schemas/result.h) for whoever waits for the job, if anybody does. */
void job_emit_result(struct job *job, const struct result *result);

/* The job is done once its outputs are acknowledged. */
void job_done(struct job *job);

/* The job, which nothing was begun for, repeats first, which is under way: it is done when that one ends,
 * however that goes. */
void job_join(struct job *job, struct job *first);

/* It failed in a way that may pass: it is handled again after a back-off with full jitter, at least
 * retry_after_ms (-1: nothing said); after the last try it is rejected with this reason. A wait of more than
 * 5 s is spent on the topic deferred: then another process may take it up, and state begins anew. */
void job_retry(struct job *job, const char *reason, int64_t retry_after_ms);

/* As job_retry, for who counts the tries of a job by itself (of a model, for one): tries have been made so
 * far, and attempt goes on behind them, also in another process. It is not rejected for their number. */
void job_come_again(struct job *job, const char *reason, int64_t retry_after_ms, int tries);

/* What the worker needs is away (Postgres): it is handled again when that is back; no try is counted. */
void job_postpone(struct job *job);

/* It will never work: it goes to dead-letters, as it came. */
void job_reject(struct job *job, const char *reason);

#endif
