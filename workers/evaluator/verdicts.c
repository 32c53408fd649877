/* Verdicts: failures go out with their jobs; passes are added up for each prompt, since millions of them need
 * not be told one by one. */
#include "workers/evaluator/verdicts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schemas/verdict.h"
#include "shared/arena.h"
#include "shared/buffer.h"

enum { PERIOD_MS = 1000, TALLIES_MAX = 1000 };

static const char TYPE[] = "moru.verdict.v1";

/* Passes of one prompt since the last telling. */
struct tally {
    int64_t prompt_id, prompt_version, passed;
    double sum, squares;
    char task_type[64 * 4 + 1]; /* 64 code points */
};

struct verdicts {
    struct run *run;
    uv_timer_t timer;
    struct tally tallies[TALLIES_MAX];
    int count;
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tell_tally(struct verdicts *verdicts, const struct tally *tally, struct arena *arena) {
    struct verdict verdict = {.task_type = tally->task_type,
        .prompt_id = tally->prompt_id,
        .prompt_version = tally->prompt_version,
        .evaluated_at = now_ms(),
        .passed = tally->passed,
        .score_sum = tally->sum,
        .score_squares = tally->squares};
    struct buffer body = buffer_in(arena);
    verdict_encode(&body, &verdict);
    run_emit(verdicts->run,
        &(struct run_record){.topic = TOPIC_VERDICTS.kafka_names[0],
            .key = tally->task_type,
            .value = body.data,
            .length = body.length,
            .type = TYPE},
        NULL, NULL);
}

static void tell_all(struct verdicts *verdicts) {
    struct arena *arena = arena_create(0);
    for (int i = 0; i < verdicts->count; i++)
        tell_tally(verdicts, &verdicts->tallies[i], arena);
    verdicts->count = 0;
    arena_destroy(&arena);
}

static void on_timer(uv_timer_t *timer) {
    tell_all(timer->data);
}

struct verdicts *verdicts_open(struct run *run) {
    struct verdicts *verdicts = calloc(1, sizeof *verdicts);
    if (!verdicts)
        abort();
    verdicts->run = run;
    uv_timer_init(run_loop(run), &verdicts->timer);
    verdicts->timer.data = verdicts;
    uv_timer_start(&verdicts->timer, on_timer, PERIOD_MS, PERIOD_MS);
    return verdicts;
}

/* Few prompts serve at once: a tally is found by looking through them. */
static struct tally *tally_of(struct verdicts *verdicts, const struct generation *generation) {
    for (int i = 0; i < verdicts->count; i++)
        if (verdicts->tallies[i].prompt_id == generation->prompt_id)
            return &verdicts->tallies[i];
    if (verdicts->count == TALLIES_MAX)
        tell_all(verdicts);
    struct tally *tally = &verdicts->tallies[verdicts->count++];
    *tally = (struct tally){.prompt_id = generation->prompt_id, .prompt_version = generation->prompt_version};
    size_t length = strlen(generation->request.task_type);
    memcpy(tally->task_type, generation->request.task_type,
        length < sizeof tally->task_type ? length : sizeof tally->task_type - 1);
    return tally;
}

static void emit_failure(
    struct job *job, const struct generation *generation, double score, const char *detail) {
    const struct request *request = &generation->request;
    struct verdict verdict = {.task_type = request->task_type,
        .prompt_id = generation->prompt_id,
        .prompt_version = generation->prompt_version,
        .evaluated_at = now_ms(),
        .score_sum = score,
        .score_squares = score * score,
        .request_id = request->envelope.request_id,
        .user_input = request->user_input,
        .refined_input = generation->refined_input,
        .output = generation->output,
        .has_score = true,
        .score = score,
        .detail = detail};
    struct buffer body = buffer_in(job->arena);
    verdict_encode(&body, &verdict);
    job_emit(job, TOPIC_VERDICTS.kafka_names[0], -1, request->task_type, body.data, body.length, TYPE);
}

void verdicts_add(struct verdicts *verdicts, struct job *job, const struct generation *generation,
    double score, bool passed, const char *detail) {
    if (generation->request.envelope.purpose != PURPOSE_SERVE)
        return;
    if (!passed) {
        emit_failure(job, generation, score, detail);
        return;
    }
    struct tally *tally = tally_of(verdicts, generation);
    tally->passed++;
    tally->sum += score;
    tally->squares += score * score;
}

static void on_closed(uv_handle_t *timer) {
    free(timer->data);
}

/* The loop turns on for what others still send. */
void verdicts_close(struct verdicts **verdicts) {
    uv_close((uv_handle_t *)&(*verdicts)->timer, on_closed);
    *verdicts = NULL;
}
