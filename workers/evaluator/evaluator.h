/* The evaluator as a worker of the run-loop. */
#ifndef WORKERS_EVALUATOR_EVALUATOR_H
#define WORKERS_EVALUATOR_EVALUATOR_H

#include "schemas/generation.h"
#include "shared/model/model.h"
#include "workers/evaluator/rules.h"
#include "workers/run.h"

struct http_request;
struct usage;
struct verdicts;

/* Lives as long as the process. */
struct evaluator {
    struct run *run;
    struct model *model;
    const char *judge; /* the name of the model that judges; NULL: the first one */
    struct usage *usage;
    struct verdicts *verdicts;
};

/* What the judge said of an output. */
struct judged {
    bool valid;         /* it was JSON of the form asked for */
    double score;       /* 0…1, when valid */
    const char *detail; /* llm_details as JSON: the figures and the reasoning, or {"error": "…"} */
};

/* One evaluation on its way; lives in its job's arena, from try to try. */
struct work {
    struct job *job;
    struct generation generation; /* of a direct call only what the call gave is set */
    struct rule_result rules;
    struct judged judged;
    struct model_budget budget; /* of all calls of the judge for it */
    double score;               /* when judged.valid */
    bool passed;                /* when judged.valid */
    bool unpaid;                /* not judged, because the daily budget is spent */
    const char *detail;         /* JSON */
    uint64_t started;           /* uv_hrtime */
    struct http_request *http;  /* a direct call: whom to answer, NULL once the client has left */
};

extern const struct worker evaluator_worker;

/* Judges the output, then emits the evaluation or ends the direct call. */
void evaluate(struct work *work);

/* judge.c: the judge's prompt, what it is shown, and how its answer is read. */
extern const char JUDGE_PROMPT[];
extern const struct model_form JUDGEMENT_FORM;
const char *judge_question(struct arena *arena, const struct generation *generation);
/* answer is of JUDGEMENT_FORM. */
void judge_read(struct arena *arena, const char *answer, size_t length, struct judged *judged);
/* A judgement that failed, for this reason. */
void judge_failed(struct arena *arena, const char *reason, struct judged *judged);

/* POST /api/v1/evaluate: the same work without Kafka. */
void evaluator_evaluate(struct http_request *http, void *context);
void evaluator_evaluate_done(struct job *job, const char *reason);

#endif
