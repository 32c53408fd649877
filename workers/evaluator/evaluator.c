/* The evaluator's work: rules first, then the model judges. */
#include "workers/evaluator/evaluator.h"

#include <math.h>
#include <stdlib.h>

#include "schemas/evaluation.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/model/model.h"
#include "workers/evaluator/verdicts.h"
#include "workers/usage.h"

static const double RULE_WEIGHT = 0.4, MODEL_WEIGHT = 0.6, PASS_SCORE = 0.7;
static const double SCORES[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0};

static struct metric metrics[] = {
    {.name = "agent_evaluation_score",
        .type = METRIC_HISTOGRAM,
        .help = "Scores of evaluated outputs.",
        .labels = {"task_type"},
        .buckets = SCORES},
    {.name = "agent_evaluation_pass_total",
        .type = METRIC_COUNTER,
        .help = "Evaluations, by result.",
        .labels = {"task_type", "result"}},
    {.name = "agent_judgement_failures_total",
        .type = METRIC_COUNTER,
        .help = "Evaluations without a score, because the judge gave no usable answer.",
        .labels = {"task_type"}},
    {.name = "agent_requests_total",
        .type = METRIC_COUNTER,
        .help = "Evaluations made, by outcome.",
        .labels = {"service", "task_type", "status"}},
    {.name = "agent_request_duration_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "Time from a job's start to its evaluation.",
        .labels = {"service", "task_type"}},
    {0},
};

static void count(const struct work *work) {
    const char *task_type = work->generation.request.task_type;
    const char *result = !work->judged.valid ? "unknown" : work->passed ? "passed" : "failed";
    if (work->judged.valid)
        metric_observe(&metrics[0], work->score, task_type);
    else
        metric_count(&metrics[2], 1, task_type);
    metric_count(&metrics[1], 1, task_type, result);
    metric_count(&metrics[3], 1, "evaluator", task_type, "succeeded");
    metric_observe(&metrics[4], (double)(uv_hrtime() - work->started) / 1e9, "evaluator", task_type);
}

static const char *write_detail(const struct work *work) {
    struct buffer detail = buffer_in(work->job->arena);
    buffer_string(&detail, "{\"rule_score\":");
    json_write_double(&detail, work->rules.score);
    buffer_string(&detail, ",\"llm_score\":");
    json_write_double(&detail, work->judged.valid ? work->judged.score : NAN);
    buffer_string(&detail, ",\"rule_details\":{");
    for (int i = 0; i < work->rules.count; i++)
        buffer_format(&detail, "%s\"%s\":%s", i ? "," : "", work->rules.checks[i].name,
            work->rules.checks[i].passed ? "true" : "false");
    buffer_format(&detail, "},\"llm_details\":%s", work->judged.detail);
    if (work->generation.replaced)
        buffer_format(&detail, ",\"replaced_characters\":%lld", (long long)work->generation.replaced);
    if (work->generation.has_cut && work->generation.cut)
        buffer_string(&detail, ",\"output_cut\":true");
    buffer_byte(&detail, '}');
    return buffer_text(&detail);
}

static void emit_evaluation(struct work *work) {
    struct job *job = work->job;
    struct evaluator *state = job_worker(job);
    struct evaluation evaluation = {
        .generation = work->generation,
        .has_score = work->judged.valid,
        .score = work->score,
        .has_passed = work->judged.valid,
        .passed = work->passed,
        .detail = work->detail,
    };
    struct buffer body = buffer_in(job->arena);
    evaluation_encode(&body, &evaluation);
    job_emit(job, TOPIC_EVALUATIONS.kafka_names[job->lane], -1, job->request_id, body.data, body.length,
        "moru.evaluation.v1");
    if (work->judged.valid)
        verdicts_add(state->verdicts, job, &work->generation, work->score, work->passed, work->detail);
}

static void conclude(struct work *work) {
    /* Without a judgement there is no score: nobody shall take it for a failure of the prompt. */
    if (work->judged.valid) {
        work->score =
            round((RULE_WEIGHT * work->rules.score + MODEL_WEIGHT * work->judged.score) * 1000) / 1000;
        work->passed = work->score >= PASS_SCORE;
    }
    work->detail = write_detail(work);
    count(work);
    log_info("evaluated", log_job(work->job), log_string("task_type", work->generation.request.task_type),
        log_double("score", work->judged.valid ? work->score : NAN), log_bool("passed", work->passed));
    if (work->job->topic)
        emit_evaluation(work);
    job_done(work->job);
}

static void on_judged(void *context, const struct model_answer *answer) {
    struct work *work = context;
    struct job *job = work->job;
    const char *failure =
        arena_format(job->arena, "the judge failed: %s", answer->error ? answer->error : "");
    if (answer->status == MODEL_RETRY) {
        job_come_again(job, failure, answer->retry_after_ms, work->budget.tries);
        return;
    }
    work->unpaid = answer->error_kind == MODEL_ERROR_BUDGET;
    /* No money for the judge is no reason to lose an output that is paid for; a direct call has none. */
    bool told_all_the_same = work->unpaid && job->topic;
    if (answer->status == MODEL_REJECT && model_error_may_pass(answer->error_kind) && !told_all_the_same) {
        if (work->budget.tries > job->attempt)
            job->attempt = work->budget.tries;
        job_reject(job, failure);
        return;
    }
    if (answer->status == MODEL_REJECT)
        judge_failed(
            job->arena, arena_format(job->arena, "the judge failed: %s", answer->error), &work->judged);
    else
        judge_read(job->arena, answer->text, answer->length, &work->judged);
    conclude(work);
}

void evaluate(struct work *work) {
    struct job *job = work->job;
    struct evaluator *state = job_worker(job);
    model_call(state->model,
        &(struct model_request){.system = JUDGE_PROMPT,
            .user = judge_question(job->arena, &work->generation),
            .form = &JUDGEMENT_FORM,
            .model = state->judge,
            .budget = &work->budget,
            .somebody_waits = job->reply_to || !job->topic,
            .purpose = "judge",
            .request_id = job->request_id,
            .task_type = work->generation.request.task_type,
            .tenant = work->generation.request.envelope.tenant,
            .trace = &job->trace},
        on_judged, work);
}

static struct work *begin(struct job *job) {
    struct work *work = arena_alloc(job->arena, sizeof *work);
    struct json_errors errors = {0};
    work->job = job;
    work->started = uv_hrtime();
    if (!generation_decode(job->arena, job->value, job->length, &work->generation, &errors)) {
        job_reject(job, json_first_error(job->arena, "not a generation", &errors));
        return NULL;
    }
    job->request_id = work->generation.request.envelope.request_id;
    job->task_type = work->generation.request.task_type;
    rules_apply(work->generation.request.task_type, work->generation.output, &work->rules);
    job->state = work;
    /* The tries that it had before it was deferred count. */
    work->budget.tries = job->attempt - 1;
    return work;
}

static void handle(struct job *job) {
    struct work *work = job->state;
    if (work || (work = begin(job)))
        evaluate(work);
}

static const char *model_is_away(const struct run *run) {
    const struct evaluator *state = run_state(run);
    return model_away(state->model);
}

static void on_model_back(void *context) {
    run_resume(context);
}

static const char *judge_model;

static struct setting evaluator_settings[] = {
    {.name = "LLM_JUDGE_MODEL",
        .type = SETTING_STRING,
        .value = &judge_model,
        .otherwise = "",
        .help = "The model that judges: a name from LLM_MODELS or an entry as there; empty: the first one."},
    {0},
};

static void *open_evaluator(struct run *run) {
    struct evaluator *state = calloc(1, sizeof *state);
    if (!state)
        abort();
    state->run = run;
    state->model = model_open(run_loop(run));
    state->judge = model_role(state->model, "LLM_JUDGE_MODEL", judge_model);
    model_on_back(state->model, on_model_back, run);
    state->usage = usage_open(run, state->model);
    state->verdicts = verdicts_open(run);
    return state;
}

static void close_evaluator(void *context) {
    struct evaluator *state = context;
    model_close(&state->model);
    verdicts_close(&state->verdicts);
    usage_close(&state->usage);
}

static struct setting *const settings[] = {evaluator_settings, model_settings, NULL};
static const struct topic *const inputs[] = {&TOPIC_GENERATIONS, NULL};
static const struct topic *const outputs[] = {&TOPIC_EVALUATIONS, &TOPIC_VERDICTS, NULL};
static const struct http_route routes[] = {{"POST", "/api/v1/evaluate", evaluator_evaluate}, {0}};

const struct worker evaluator_worker = {
    .service = "evaluator",
    .purpose = "Judges generated outputs by rules and by a model.",
    .port = "8002",
    .settings = settings,
    .metrics = metrics,
    .more_metrics = model_metrics,
    .inputs = inputs,
    .outputs = outputs,
    .usage = true,
    .routes = routes,
    .open = open_evaluator,
    .handle = handle,
    .away = model_is_away,
    .away_name = "model",
    .close = close_evaluator,
};
