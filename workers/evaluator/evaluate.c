/* POST /api/v1/evaluate: one evaluation over HTTP, without Kafka, by the same work. */
#include "schemas/evaluate_answer.h"
#include "schemas/evaluate_call.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "workers/evaluator/evaluator.h"

static void on_left(void *context) {
    struct work *work = context;
    work->http = NULL;
}

void evaluator_evaluate(struct http_request *http, void *context) {
    struct evaluator *state = context;
    struct evaluate_call call;
    struct json_errors errors = {0};
    size_t length;
    const char *body = http_body(http, &length);
    if (!evaluate_call_decode(http_arena(http), body, length, &call, &errors)) {
        http_problem(http, 400, "The body is not an evaluation call: see errors.", NULL, &errors);
        return;
    }
    struct job *job = job_direct(
        state->run, call.request_id, http_header(http, "traceparent"), NULL, evaluator_evaluate_done);
    struct work *work = arena_alloc(job->arena, sizeof *work);
    struct generation *generation = &work->generation;
    work->job = job;
    work->http = http;
    work->started = uv_hrtime();
    generation->request.envelope.request_id = job->request_id;
    generation->request.task_type = job->task_type = arena_string(job->arena, call.task_type);
    generation->request.user_input = arena_string(job->arena, call.user_input);
    generation->refined_input = arena_string(job->arena, call.refined_input);
    generation->output = arena_string(job->arena, call.worker_output);
    rules_apply(generation->request.task_type, generation->output, &work->rules);
    job->state = work;
    http_on_leave(http, on_left, work);
    evaluate(work);
}

void evaluator_evaluate_done(struct job *job, const char *reason) {
    struct work *work = job->state;
    if (!work->http)
        return;
    if (reason && work->unpaid) {
        http_problem_until_midnight(work->http, reason, job->request_id);
        return;
    }
    if (reason) {
        http_problem(work->http, 502, reason, job->request_id, NULL);
        return;
    }
    struct evaluate_answer answer = {.request_id = job->request_id,
        .has_score = work->judged.valid,
        .score = work->score,
        .has_passed = work->judged.valid,
        .passed = work->passed,
        .detail = work->detail};
    struct buffer text = buffer_in(job->arena);
    evaluate_answer_encode(&text, &answer);
    http_respond(work->http, 200, "application/json", text.data, text.length);
}
