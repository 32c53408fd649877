/* POST /api/v1/task: one generation over HTTP, without Kafka, by the same work. */
#include "schemas/task_answer.h"
#include "schemas/task_call.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "workers/generator/generator.h"

static void on_left(void *context) {
    struct work *work = context;
    work->http = NULL;
}

void generator_task(struct http_request *http, void *context) {
    struct generator *state = context;
    struct task_call call;
    struct json_errors errors = {0};
    size_t length;
    const char *body = http_body(http, &length);
    if (!task_call_decode(http_arena(http), body, length, &call, &errors)) {
        http_problem(http, 400, "The body is not a task: see errors.", NULL, &errors);
        return;
    }
    struct job *job =
        job_direct(state->run, call.request_id, http_header(http, "traceparent"), NULL, generator_task_done);
    struct work *work = arena_alloc(job->arena, sizeof *work);
    work->job = job;
    work->http = http;
    work->started = uv_hrtime();
    work->is_new = true; /* its id is the caller's own: no result of a request is meant */
    work->request.envelope.request_id = job->request_id;
    work->request.task_type = job->task_type = arena_string(job->arena, call.task_type);
    work->refined_input = arena_string(job->arena, call.refined_input);
    job->state = work;
    http_on_leave(http, on_left, work);
    generate(work);
}

void generator_task_done(struct job *job, const char *reason) {
    struct work *work = job->state;
    generator_count(work, !reason);
    if (!work->http)
        return;
    if (reason) {
        if (work->unpaid) {
            http_problem_until_midnight(work->http, reason, work->request.envelope.request_id);
            return;
        }
        /* Without an active prompt the caller named a type that is not known; all else is the model's
         * failure. */
        http_problem(work->http, work->prompt ? 502 : 422, reason, work->request.envelope.request_id, NULL);
        return;
    }
    struct task_answer answer = {.request_id = work->request.envelope.request_id,
        .output = work->output,
        .prompt_version = work->prompt_version,
        .latency_ms = work->latency_ms};
    struct buffer text = buffer_in(job->arena);
    task_answer_encode(&text, &answer);
    http_respond(work->http, 200, "application/json", text.data, text.length);
}
