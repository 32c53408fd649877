/* The optimizer as a worker: what it reads, what it looks after, and its three modes. */
#include "workers/optimizer/optimizer.h"

#include <stdlib.h>
#include <string.h>

#include "schemas/verdict.h"
#include "shared/arena.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/model/model.h"
#include "shared/pg.h"
#include "workers/optimizer/changes.h"
#include "workers/optimizer/cycle.h"
#include "workers/optimizer/once.h"
#include "workers/optimizer/optimizer_metrics.h"
#include "workers/optimizer/rehearse.h"
#include "workers/optimizer/triggers.h"
#include "workers/optimizer/watch.h"
#include "workers/optimizer/windows.h"
#include "workers/usage.h"

enum { LOOK_MS = 250, MINUTE_MS = 60000 };

static const double SECONDS_TO_HEAL[] = {0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 0};
static const double SCORES[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0};

struct metric optimizer_metrics[] = {
    {.name = "agent_optimization_runs_total",
        .type = METRIC_COUNTER,
        .help = "Cycles, by what became of them.",
        .labels = {"task_type", "result"}},
    {.name = "agent_prompt_version",
        .type = METRIC_GAUGE,
        .help = "Version of the prompt that an optimization put into service last.",
        .labels = {"task_type"}},
    {.name = "agent_optimization_duration_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "Time of a cycle.",
        .labels = {"task_type"},
        .buckets = SECONDS_TO_HEAL},
    {.name = "agent_rehearsal_score",
        .type = METRIC_HISTOGRAM,
        .help = "Mean scores of winners in rehearsal, on failed inputs and on inputs that had passed.",
        .labels = {"task_type", "set"},
        .buckets = SCORES},
    {.name = "agent_prompt_rollbacks_total",
        .type = METRIC_COUNTER,
        .help = "Prompts that did harm and were taken back.",
        .labels = {"task_type"}},
    {.name = "agent_time_to_heal_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "From the failure that crossed the threshold to the repaired prompt in service.",
        .labels = {"task_type"},
        .buckets = SECONDS_TO_HEAL},
    {.name = "agent_optimizations_running", .type = METRIC_GAUGE, .help = "Cycles under way."},
    {0},
};
struct metric *const metric_optimization_runs = &optimizer_metrics[0],
                     *const metric_prompt_version = &optimizer_metrics[1],
                     *const metric_optimization_duration = &optimizer_metrics[2],
                     *const metric_rehearsal_score = &optimizer_metrics[3],
                     *const metric_prompt_rollbacks = &optimizer_metrics[4],
                     *const metric_time_to_heal = &optimizer_metrics[5],
                     *const metric_optimizations_running = &optimizer_metrics[6];

static void on_look(uv_timer_t *timer) {
    struct optimizer *optimizer = timer->data;
    triggers_look(optimizer->triggers);
    if (pg_ready(run_pg(optimizer->run)))
        watch_review(optimizer->watch, NULL, NULL);
}

static void *open_optimizer(struct run *run) {
    struct optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer)
        abort();
    optimizer->run = run;
    optimizer->model = model_open(run_loop(run));
    optimizer->prompt_model = model_role(optimizer->model, "LLM_OPTIMIZER_MODEL", optimizer_settings.model);
    optimizer->usage = usage_open(run, optimizer->model);
    optimizer->windows = windows_open();
    optimizer->rehearsals = rehearsals_open(optimizer);
    optimizer->cycles = cycles_open(optimizer);
    optimizer->watch = watch_open(optimizer);
    optimizer->triggers = triggers_open(optimizer);
    optimizer->changes = changes_open(optimizer);
    uv_timer_init(run_loop(run), &optimizer->look);
    optimizer->look.data = optimizer;
    if (strcmp(optimizer_settings.mode, "once") == 0)
        optimizer->once = once_open(optimizer);
    else
        uv_timer_start(&optimizer->look, on_look, LOOK_MS, LOOK_MS);
    return optimizer;
}

static void close_optimizer(void *context) {
    struct optimizer *optimizer = context;
    uv_timer_stop(&optimizer->look);
    if (optimizer->once)
        once_close(&optimizer->once);
    changes_close(&optimizer->changes);
    triggers_close(&optimizer->triggers);
    watch_close(&optimizer->watch);
    model_close(&optimizer->model);
    cycles_close(&optimizer->cycles);
    rehearsals_close(&optimizer->rehearsals);
    windows_close(&optimizer->windows);
    usage_close(&optimizer->usage);
}

static void began(struct run *run) {
    struct optimizer *optimizer = run_state(run);
    if (optimizer->once)
        once_begin(optimizer->once);
}

static void replied(struct run *run, const char *key, const char *value, size_t length) {
    struct optimizer *optimizer = run_state(run);
    rehearsals_replied(optimizer->rehearsals, key, value, length);
}

static void handle(struct job *job) {
    struct optimizer *optimizer = job_worker(job);
    struct verdict verdict;
    struct json_errors errors = {0};
    struct window_state state;
    if (!verdict_decode(job->arena, job->value, job->length, &verdict, &errors)) {
        job_reject(job, json_first_error(job->arena, "not a verdict", &errors));
        return;
    }
    if (verdict.request_id)
        job->request_id = verdict.request_id;
    windows_add(optimizer->windows, job->partition, &verdict, optimizer_now_ms(), &state);
    triggers_consider(optimizer->triggers, &state);
    job_done(job);
}

/* The window is rebuilt from the topic, whatever was read before. */
static void assigned(struct run *run, const struct run_position *positions, int count) {
    struct optimizer *optimizer = run_state(run);
    for (int i = 0; i < count; i++)
        windows_drop_partition(optimizer->windows, positions[i].partition);
    run_positions_at(run, positions, count,
        optimizer_now_ms() - optimizer_settings.lookback_minutes * MINUTE_MS, run_start);
}

static struct setting *const settings[] = {optimizer_setting_rows, model_settings, NULL};
static const struct topic *const inputs[] = {&TOPIC_VERDICTS, NULL};
static const struct topic *const no_inputs[] = {NULL};
static const struct topic *const outputs[] = {&TOPIC_REQUESTS, &TOPIC_PROMPTS, NULL};
static const char PURPOSE[] =
    "Watches for prompts that fail, repairs them, proves the repair, and takes it back if it does harm.";

const struct worker optimizer_worker = {
    .service = "optimizer",
    .purpose = PURPOSE,
    .port = "8004",
    .settings = settings,
    .metrics = optimizer_metrics,
    .more_metrics = model_metrics,
    .inputs = inputs,
    .outputs = outputs,
    .usage = true,
    .postgres = true,
    .open = open_optimizer,
    .handle = handle,
    .began = began,
    .replied = replied,
    .assigned = assigned,
    .close = close_optimizer,
};

/* Joins no group, and listens on any free port. */
const struct worker optimizer_once_worker = {
    .service = "optimizer",
    .purpose = PURPOSE,
    .port = "0",
    .settings = settings,
    .metrics = optimizer_metrics,
    .more_metrics = model_metrics,
    .inputs = no_inputs,
    .outputs = outputs,
    .usage = true,
    .postgres = true,
    .open = open_optimizer,
    .handle = handle,
    .began = began,
    .replied = replied,
    .close = close_optimizer,
};
