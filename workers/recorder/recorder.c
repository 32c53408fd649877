/* Gathers what comes while a transaction is under way: small batches when it is quiet, large ones under
 * load. */
#include "workers/recorder/recorder.h"

#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"

enum { BATCH_MAX = 1000 };

struct tracked *recorder_tracked(struct recorder *recorder, const char *topic, int partition) {
    for (struct tracked *tracked = recorder->tracked; tracked; tracked = tracked->next)
        if (tracked->partition == partition && strcmp(tracked->topic, topic) == 0)
            return tracked;
    struct tracked *tracked = calloc(1, sizeof *tracked);
    if (!tracked || !(tracked->topic = strdup(topic)))
        abort();
    tracked->partition = partition;
    tracked->position = -1;
    tracked->next = recorder->tracked;
    recorder->tracked = tracked;
    return tracked;
}

static void handle(struct job *job) {
    struct recorder *state = job_worker(job);
    struct item *item = item_read(job);
    job->state = item;
    *state->waiting_end = item;
    state->waiting_end = &item->next;
    recorder_send(state);
}

static void *open_recorder(struct run *run) {
    struct recorder *state = calloc(1, sizeof *state);
    if (!state)
        abort();
    state->run = run;
    state->waiting_end = &state->waiting;
    state->batch_max = BATCH_MAX;
    uv_timer_init(run_loop(run), &state->pause);
    uv_timer_init(run_loop(run), &state->gap);
    state->pause.data = state->gap.data = state;
    recorder_maintain(state);
    return state;
}

static void close_recorder(void *context) {
    struct recorder *state = context;
    uv_timer_stop(&state->pause);
    uv_timer_stop(&state->gap);
    uv_timer_stop(&state->maintenance);
}

static struct setting *const settings[] = {recorder_settings, NULL};
static const struct topic *const inputs[] = {&TOPIC_EVALUATIONS, &TOPIC_USAGE, &TOPIC_DEAD_LETTERS, NULL};
static const struct topic *const outputs[] = {&TOPIC_REPLIES, NULL};

const struct worker recorder_worker = {
    .service = "recorder",
    .purpose = "Writes results into Postgres exactly once, then tells whoever waits.",
    .port = "8003",
    /* Of it a lane has 5/8 at least: BATCH_MAX in the transaction under way, and as many for the next one. */
    .in_flight_max = "3200",
    .settings = settings,
    .inputs = inputs,
    .outputs = outputs,
    .postgres = true,
    .open = open_recorder,
    .handle = handle,
    .began = recorder_began,
    .assigned = recorder_assigned,
    .close = close_recorder,
};
