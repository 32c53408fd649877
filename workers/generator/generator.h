/* The generator as a worker of the run-loop. */
#ifndef WORKERS_GENERATOR_GENERATOR_H
#define WORKERS_GENERATOR_GENERATOR_H

#include "schemas/request.h"
#include "shared/model/model.h"
#include "workers/run.h"

struct finished;
struct http_request;
struct in_flight;
struct prompts;
struct refined;
struct usage;

/* Lives as long as the process. */
struct generator {
    struct run *run;
    struct model *model;
    struct usage *usage;
    struct prompts *prompts;
    struct finished *finished;
    struct refined *refined; /* NULL: refining costs nothing, so nothing of it is kept */
    struct in_flight *in_flight;
};

/* One generation on its way; lives in its job's arena, from try to try. */
struct work {
    struct work *next; /* in its bucket of in_flight */
    struct job *job;
    struct request request;    /* of a direct call only task_type and the request id are set */
    const char *refined_input; /* NULL until it is refined */
    int64_t prompt_id, prompt_version;
    const char *prompt, *prompt_hash; /* prompt NULL until it is read */
    const char *rehearsed_prompt;     /* NULL unless it is a rehearsal */
    bool is_new;                      /* in this try Postgres has been asked: there is no result yet */
    bool kept;                        /* its refined input is among those that are kept */
    bool tried;                       /* a try has failed, and the next one may be another process's */
    bool joined;                      /* it waits for another work on the same request */
    const struct result *stored;      /* the result it turned out to have; NULL: none */
    const char *output;
    const char *model; /* who wrote it, by its configured name */
    int64_t replaced, latency_ms;
    bool cut;                   /* output ended at its greatest length */
    struct model_budget budget; /* of all calls of the model for it */
    uint64_t started;           /* uv_hrtime */
    int waiting;                /* answers this try still waits for */
    /* Why this try cannot go on; told once nothing is under way any more. */
    enum { GOING_ON, FAILS_FOR_NOW, COMES_AGAIN, FAILS_FOR_GOOD, POSTPONED } failure;
    const char *reason;
    int64_t retry_after_ms;
    bool unpaid;               /* it failed because the daily budget is spent */
    struct http_request *http; /* a direct call: whom to answer, NULL once the client has left */
};

extern const struct worker generator_worker;

/* Goes on with the work until the output is there, then emits it and ends the job. */
void generate(struct work *work);

/* POST /api/v1/task: the same work without Kafka. */
void generator_task(struct http_request *http, void *context);

/* For work of a direct call, when it has ended. */
void generator_task_done(struct job *job, const char *reason);

/* Counts a request as succeeded or failed, with the time since it began. */
void generator_count(const struct work *work, bool succeeded);

#endif
