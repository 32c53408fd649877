/* The generator's work: the prompt is read, the request refined, then the model writes the output. What has
 * its result already, or is under way, is not worked on again. */
#include "workers/generator/generator.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schemas/generation.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/model/model.h"
#include "shared/request_id.h"
#include "workers/generator/finished.h"
#include "workers/generator/in_flight.h"
#include "workers/generator/prompts.h"
#include "workers/generator/refined.h"
#include "workers/usage.h"

enum { REFINED_CODE_POINTS_MAX = 400000 };

static const char REFINE_PROMPT[] =
    "You refine requests before another model works on them. Rewrite the user's request so that it is clear, "
    "complete and specific. Keep its meaning and its language, add no new wishes, and do not answer it. "
    "Reply with the rewritten request only.";

static struct metric metrics[] = {
    {.name = "agent_requests_total",
        .type = METRIC_COUNTER,
        .help = "Requests served, by outcome.",
        .labels = {"service", "task_type", "status"}},
    {.name = "agent_request_duration_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "Time from a job's start to its output.",
        .labels = {"service", "task_type"}},
    {.name = "agent_prompt_version",
        .type = METRIC_GAUGE,
        .help = "Version of the prompt that served last.",
        .labels = {"task_type"}},
    {.name = "agent_requests_repeated_total",
        .type = METRIC_COUNTER,
        .help = "Requests that came again and were not worked on: how is stored or joined.",
        .labels = {"how"}},
    {0},
};

void generator_count(const struct work *work, bool succeeded) {
    metric_count(&metrics[0], 1, "generator", work->request.task_type, succeeded ? "succeeded" : "failed");
    metric_observe(
        &metrics[1], (double)(uv_hrtime() - work->started) / 1e9, "generator", work->request.task_type);
    if (work->prompt_id)
        metric_set(&metrics[2], (double)work->prompt_version, work->request.task_type);
}

static void emit_generation(struct work *work) {
    struct job *job = work->job;
    struct generation generation = {
        .request = work->request,
        .refined_input = work->refined_input,
        .output = work->output,
        .prompt_id = work->prompt_id,
        .prompt_version = work->prompt_version,
        .prompt_hash = work->prompt_hash,
        .model = work->model,
        .latency_ms = work->latency_ms,
        .replaced = work->replaced,
        .has_cut = work->cut,
        .cut = work->cut,
    };
    struct buffer body = buffer_in(job->arena);
    generation_encode(&body, &generation);
    job_emit(job, TOPIC_GENERATIONS.kafka_names[job->lane], -1, work->request.envelope.request_id, body.data,
        body.length, "moru.generation.v1");
    generator_count(work, true);
    job_done(job);
}

static void fail(struct work *work, int failure, const char *reason, int64_t retry_after_ms) {
    if ((int)work->failure >= failure)
        return;
    work->failure = failure;
    work->reason = arena_string(work->job->arena, reason);
    work->retry_after_ms = retry_after_ms;
}

static void end_try(struct work *work) {
    struct job *job = work->job;
    int failure = work->failure;
    work->failure = GOING_ON;
    if (failure == POSTPONED) {
        job_postpone(job);
    } else if (failure == FAILS_FOR_NOW) {
        work->tried = true;
        job_retry(job, work->reason, -1);
    } else if (failure == COMES_AGAIN) {
        work->tried = true;
        job_come_again(job, work->reason, work->retry_after_ms, work->budget.tries);
    } else {
        if (job->topic)
            generator_count(work, false);
        job_reject(job, work->reason);
    }
}

static void on_prompt(void *context, enum prompt_found found, const struct prompt *prompt) {
    struct work *work = context;
    struct arena *arena = work->job->arena;
    work->waiting--;
    if (found == PROMPT_FOUND) {
        work->prompt = arena_string(arena, prompt->content);
        work->prompt_hash = arena_string(arena, prompt->hash);
        work->prompt_id = prompt->id;
        work->prompt_version = prompt->version;
    } else if (found == PROMPT_NONE) {
        fail(work, FAILS_FOR_GOOD,
            arena_format(arena, "task type '%s' has no active prompt", work->request.task_type), -1);
    } else if (found == PROMPT_AWAY) {
        fail(work, POSTPONED, "Postgres is away", -1);
    } else {
        fail(work, FAILS_FOR_NOW, "Postgres refused to read the prompt", -1);
    }
    if (!work->waiting)
        generate(work);
}

/* All tries that the model had are behind this, so that the job has no others. */
static void failed_call(struct work *work, const struct model_answer *answer) {
    const char *reason = arena_format(work->job->arena, "the model failed: %s", answer->error);
    if (work->budget.tries > work->job->attempt)
        work->job->attempt = work->budget.tries;
    work->unpaid = answer->error_kind == MODEL_ERROR_BUDGET;
    fail(work, answer->status == MODEL_RETRY ? COMES_AGAIN : FAILS_FOR_GOOD, reason, answer->retry_after_ms);
}

static void ask_model(struct work *work, struct model_request question, model_done done) {
    struct job *job = work->job;
    struct generator *state = job_worker(job);
    question.temperature = 0.2;
    question.model = work->request.requested_model;
    question.budget = &work->budget;
    question.somebody_waits = job->reply_to || !job->topic;
    question.request_id = job->request_id;
    question.task_type = work->request.task_type;
    question.tenant = work->request.envelope.tenant;
    question.trace = &job->trace;
    work->waiting = 1;
    model_call(state->model, &question, done, work);
}

static void keep_refined(struct work *work) {
    struct generator *state = job_worker(work->job);
    if (!state->refined || !work->job->topic)
        return;
    work->kept = true;
    refined_keep(
        state->refined, work->request.envelope.request_id, work->request.envelope.run, work->refined_input);
}

static void on_refined(void *context, const struct model_answer *answer) {
    struct work *work = context;
    work->waiting--;
    if (answer->status != MODEL_OK)
        failed_call(work, answer);
    else if (answer->cut || strspn(answer->text, " \t\r\n") == answer->length ||
             json_code_points(answer->text) > REFINED_CODE_POINTS_MAX)
        /* Nothing of use came, or half a request: it stands as it was. */
        work->refined_input = work->request.user_input;
    else
        work->refined_input = arena_copy(work->job->arena, answer->text, answer->length);
    if (work->refined_input)
        keep_refined(work);
    if (!work->waiting)
        generate(work);
}

static void on_output(void *context, const struct model_answer *answer) {
    struct work *work = context;
    work->waiting--;
    if (answer->status == MODEL_OK) {
        work->output = arena_copy(work->job->arena, answer->text, answer->length);
        work->replaced = answer->replaced;
        work->cut = answer->cut;
        work->model = arena_string(work->job->arena, answer->model);
    } else {
        failed_call(work, answer);
    }
    generate(work);
}

static void on_finished(
    void *context, enum finished_found found, const struct result *result, const char *refined_input) {
    struct work *work = context;
    work->waiting--;
    if (found == FINISHED_BEFORE)
        work->stored = result;
    else if (found == FINISHED_NOT)
        work->is_new = true;
    else if (found == FINISHED_AWAY)
        fail(work, POSTPONED, "Postgres is away", -1);
    else
        fail(work, FAILS_FOR_NOW, "Postgres refused to look for the result", -1);
    if (refined_input && !work->refined_input) {
        work->refined_input = refined_input;
        work->kept = true;
    }
    if (!work->waiting)
        generate(work);
}

static bool rehearses(const struct work *work) {
    return work->request.envelope.purpose == PURPOSE_REHEARSE && work->request.prompt;
}

/* A rehearsal brings its prompt along: that is no row of prompts yet, which id and version 0 say. */
static void take_rehearsed_prompt(struct work *work) {
    char hash[65];
    sha256_hex(work->request.prompt, hash);
    work->prompt = work->request.prompt;
    work->prompt_hash = arena_string(work->job->arena, hash);
    work->prompt_id = work->prompt_version = 0;
    /* The stages behind have no use for it. */
    work->request.prompt = NULL;
    work->rehearsed_prompt = work->prompt;
}

/* A generation's prompt is the one that is active when its author is asked: each try reads it anew. Both
 * questions go to Postgres in one go. */
static void ask_postgres(struct work *work) {
    struct generator *state = job_worker(work->job);
    const struct envelope *envelope = &work->request.envelope;
    if (rehearses(work))
        take_rehearsed_prompt(work);
    work->waiting = !work->is_new + !work->prompt;
    if (!work->is_new)
        finished_ask(
            state->finished, work->job->arena, envelope->request_id, envelope->run, on_finished, work);
    if (!work->prompt)
        prompts_read(state->prompts, work->request.task_type, on_prompt, work);
}

static void refine(struct work *work) {
    ask_model(work,
        (struct model_request){
            .system = REFINE_PROMPT, .user = work->request.user_input, .purpose = "refine"},
        on_refined);
}

static void ask_author(struct work *work) {
    ask_model(work,
        (struct model_request){.system = work->prompt, .user = work->refined_input, .purpose = "generate"},
        on_output);
}

static void tell_generated(struct work *work) {
    work->latency_ms = (int64_t)((uv_hrtime() - work->started) / 1000000);
    log_info("generated", log_job(work->job), log_string("task_type", work->request.task_type),
        log_integer("prompt_version", work->prompt_version), log_integer("latency_ms", work->latency_ms));
    if (work->job->topic)
        emit_generation(work);
    else
        job_done(work->job);
}

static void tell_stored(struct work *work) {
    log_info(
        "result_found", log_job(work->job), log_string("status", result_status_name(work->stored->status)));
    metric_count(&metrics[3], 1, "stored");
    job_emit_result(work->job, work->stored);
    job_done(work->job);
}

void generate(struct work *work) {
    if (work->stored)
        tell_stored(work);
    else if (work->failure != GOING_ON)
        end_try(work);
    else if (!work->prompt || !work->is_new)
        ask_postgres(work);
    else if (!work->refined_input)
        refine(work);
    else if (!work->output)
        ask_author(work);
    else
        tell_generated(work);
}

/* Expired work is nobody's any more: it ends as a failure instead of costing a model's time. */
static bool expired(const struct request *request) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return request->envelope.expires_at < (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* NULL: it is to be served. */
static const char *unfit_reason(struct job *job, const struct request *request) {
    const struct model *model = ((struct generator *)job_worker(job))->model;
    if (expired(request))
        return "the request expired before it was served";
    if (request->requested_model && !model_knows(model, request->requested_model))
        return arena_format(
            job->arena, "there is no model '%s'; there are %s", request->requested_model, model_names(model));
    return NULL;
}

static struct work *begin(struct job *job) {
    struct work *work = arena_alloc(job->arena, sizeof *work);
    struct json_errors errors = {0};
    work->job = job;
    work->started = uv_hrtime();
    if (!request_decode(job->arena, job->value, job->length, &work->request, &errors)) {
        job_reject(job, json_first_error(job->arena, "not a request", &errors));
        return NULL;
    }
    job->request_id = work->request.envelope.request_id;
    job->task_type = work->request.task_type;
    const char *unfit = unfit_reason(job, &work->request);
    if (unfit) {
        job_reject(job, unfit);
        return NULL;
    }
    job->state = work;
    /* The tries that it had before it was deferred count. */
    work->budget.tries = job->attempt - 1;
    struct work *first = in_flight_add(((struct generator *)job_worker(job))->in_flight, work);
    if (!first)
        return work;
    work->joined = true;
    log_info("joined", log_job(job), log_integer("run", work->request.envelope.run));
    metric_count(&metrics[3], 1, "joined");
    job_join(job, first->job);
    return NULL;
}

static void ended(struct job *job) {
    struct work *work = job->state;
    struct generator *state = job_worker(job);
    if (!work || work->joined)
        return;
    in_flight_remove(state->in_flight, work);
    /* A job that was deferred ends here, too, and goes on elsewhere. */
    if (work->kept && !work->tried)
        refined_forget(state->refined, work->request.envelope.request_id, work->request.envelope.run);
}

static void handle(struct job *job) {
    struct work *work = job->state;
    if (!work && !(work = begin(job)))
        return;
    work->prompt = work->rehearsed_prompt;
    work->is_new = !job->topic;
    work->tried = false;
    generate(work);
}

static const char *model_is_away(const struct run *run) {
    const struct generator *state = run_state(run);
    return model_away(state->model);
}

static void on_model_back(void *context) {
    run_resume(context);
}

static void *open_generator(struct run *run) {
    struct generator *state = calloc(1, sizeof *state);
    if (!state)
        abort();
    state->run = run;
    state->model = model_open(run_loop(run));
    model_on_back(state->model, on_model_back, run);
    state->usage = usage_open(run, state->model);
    state->prompts = prompts_open(run_pg(run));
    if (model_costs(state->model))
        state->refined = refined_open(run_loop(run), run_pg(run));
    state->finished = finished_open(run_pg(run), state->refined != NULL);
    state->in_flight = in_flight_open();
    return state;
}

static void close_generator(void *context) {
    struct generator *state = context;
    model_close(&state->model);
    usage_close(&state->usage);
    refined_close(&state->refined);
}

static struct setting *const settings[] = {model_settings, NULL};
static const struct topic *const inputs[] = {&TOPIC_REQUESTS, NULL};
static const struct topic *const outputs[] = {&TOPIC_GENERATIONS, &TOPIC_REPLIES, NULL};
static const struct http_route routes[] = {{"POST", "/api/v1/task", generator_task}, {0}};

const struct worker generator_worker = {
    .service = "generator",
    .purpose = "Refines requests and has the model answer them under the prompt that is active in Postgres.",
    .port = "8001",
    .settings = settings,
    .metrics = metrics,
    .more_metrics = model_metrics,
    .inputs = inputs,
    .outputs = outputs,
    .usage = true,
    .budget_fails_requests = true,
    .postgres = true,
    .routes = routes,
    .open = open_generator,
    .handle = handle,
    .ended = ended,
    .away = model_is_away,
    .away_name = "model",
    .close = close_generator,
};
