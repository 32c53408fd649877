/* The way of a call: it finds an upstream, is tried, and ends, or waits for its next try: for a place, for
 * its back-off, or for a model that is away. */
#include "shared/model/tries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/backoff.h"
#include "shared/log.h"
#include "shared/model/tries_private.h"
#include "shared/trace.h"

enum {
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MAX_MS = 5000,
    SWEEP_MS = 50,
    FAILURES_A_TARGET = 1, /* then the next try is rather made of a fallback */
    AWAY_GRACE_MS = 100,   /* answers that were on their way when a target died */
    AWAY_IN_ROW = 10,
};

uint64_t tries_now(const struct tries *tries) {
    return uv_now(tries->loop);
}

void model_copy_error(char copy[FAILURE_BYTES], const char *error) {
    snprintf(copy, FAILURE_BYTES, "%s", error);
    size_t length = strlen(copy);
    if (length < strlen(error))
        while (length && ((unsigned char)error[length] & 0xc0) == 0x80)
            copy[--length] = '\0';
}

enum breaker_outcome breaker_outcome_of(const struct model_answer *answer) {
    switch (answer->error_kind) {
    case MODEL_ERROR_UNREACHABLE:
        return BREAKER_UNREACHABLE;
    case MODEL_ERROR_TIMEOUT:
    case MODEL_ERROR_CUT:
    case MODEL_ERROR_SERVER:
        return BREAKER_FAILED;
    default:
        return BREAKER_ALIVE;
    }
}

static bool patient(const struct call *call) {
    return !call->request.somebody_waits;
}

/* The upstreams of a call in the order they are asked: its own, then the fallbacks; NULL: no more. */
static struct upstream *choice_at(const struct call *call, int place) {
    const struct model_targets *targets = &call->tries->targets;
    if (!place)
        return &call->tries->upstreams[call->first];
    for (int i = 0; i < targets->fallback_count; i++)
        if (targets->fallbacks[i] != call->first && !--place)
            return &call->tries->upstreams[targets->fallbacks[i]];
    return NULL;
}

bool tries_main_away(const struct tries *tries) {
    const struct model_targets *targets = &tries->targets;
    if (tries->upstreams[tries->main].breaker.state == BREAKER_CLOSED)
        return false;
    for (int i = 0; i < targets->fallback_count; i++)
        if (tries->upstreams[targets->fallbacks[i]].breaker.state == BREAKER_CLOSED)
            return false;
    return true;
}

static bool barred(const struct call *call, const struct upstream *upstream) {
    return call->barred >> upstream_index(upstream) & 1;
}

bool call_may_use(const struct call *call, const struct upstream *upstream) {
    struct upstream *choice;
    for (int i = 0; (choice = choice_at(call, i)); i++)
        if (choice == upstream)
            return !barred(call, upstream);
    return false;
}

/* Ends. */

static void on_soon(uv_timer_t *timer) {
    struct tries *tries = timer->data;
    /* Who hears may close, and then there are no more. */
    for (size_t left = tries->ending.count; left && tries->ending.first; left--) {
        struct call *call = tries->ending.first;
        struct model_answer answer = {.status = call->status,
            .error_kind = call->error_kind,
            .text = "",
            .error = call->failure,
            .retry_after_ms = call->retry_after_ms,
            .model = call->failed_model};
        call_move(call, NULL);
        call->done(call->context, &answer);
        call_free(call);
    }
    if (tries->ending.count)
        uv_timer_start(timer, on_soon, 0, 0);
}

static void end(struct call *call, enum model_status status, enum model_error kind, int64_t retry_after_ms) {
    struct tries *tries = call->tries;
    call->status = status;
    call->error_kind = kind;
    call->retry_after_ms = retry_after_ms;
    call_move(call, &tries->ending);
    uv_timer_start(&tries->soon, on_soon, 0, 0);
}

/* With what its last try failed of. */
static void end_failed(struct call *call) {
    if (!*call->failure) {
        snprintf(call->failure, FAILURE_BYTES, "the tries or the time of the request were used up before");
        call->error_kind = MODEL_ERROR_TIMEOUT;
    }
    end(call, MODEL_REJECT, call->error_kind, -1);
}

static void end_later(struct call *call, const struct upstream *upstream, uint64_t wait_ms) {
    if (!*call->failure) {
        snprintf(call->failure, FAILURE_BYTES, "the model '%s' takes no requests for %llu s",
            upstream->target->name, (unsigned long long)(wait_ms + 999) / 1000);
        call->error_kind = MODEL_ERROR_RATE_LIMITED;
    }
    end(call, MODEL_RETRY, call->error_kind, (int64_t)wait_ms);
}

/* Waits. */

static bool used_up(const struct call *call) {
    const struct model_budget *budget = call->request.budget;
    return budget->tries >= tries_configuration.tries_max || tries_now(call->tries) >= budget->ends_ms;
}

/* Who is patient has all time for what is no try of its own. */
static void end_wait(struct call *call) {
    if (call->waiting_since_ms && patient(call))
        call->request.budget->ends_ms += tries_now(call->tries) - call->waiting_since_ms;
    call->waiting_since_ms = 0;
}

static void sweep_list(struct tries *tries, struct call_list *list, bool away) {
    uint64_t now = tries_now(tries);
    for (struct call *call = list->first, *next; call; call = next) {
        next = call->next;
        if (away && now - call->away_since_ms >= (uint64_t)tries_configuration.away_wait_ms) {
            char reason[FAILURE_BYTES];
            snprintf(reason, sizeof reason, "the model is away: %s", tries->upstreams[call->first].failure);
            model_copy_error(call->failure, reason);
            end(call, MODEL_REJECT, MODEL_ERROR_AWAY, -1);
        } else if (now >= call->request.budget->ends_ms) {
            if (!*call->failure) {
                snprintf(call->failure, FAILURE_BYTES, "there was no place for a call of the model in time");
                call->error_kind = MODEL_ERROR_RATE_LIMITED;
            }
            end_failed(call);
        }
    }
}

static void on_sweep(uv_timer_t *timer) {
    struct tries *tries = timer->data;
    size_t left = tries->away[SOMEBODY_WAITS].count;
    sweep_list(tries, &tries->away[SOMEBODY_WAITS], true);
    for (int i = 0; i < tries->count; i++) {
        left += tries->upstreams[i].waiting[SOMEBODY_WAITS].count;
        sweep_list(tries, &tries->upstreams[i].waiting[SOMEBODY_WAITS], false);
    }
    if (!left)
        uv_timer_stop(timer);
}

void call_wait(struct call *call, struct call_list *list) {
    struct tries *tries = call->tries;
    call->waiting_since_ms = tries_now(tries);
    call_move(call, list);
    if (!patient(call) && !uv_is_active((uv_handle_t *)&tries->sweep))
        uv_timer_start(&tries->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

/* What failed because the model is away is no try of a call that can wait until it is back: not of this call,
 * and not of those that share its budget. */
static void give_tries_back(struct call *call) {
    call->request.budget->tries -= call->away_tries;
    call->request.budget->ends_ms = tries_now(call->tries) + (uint64_t)tries_configuration.budget_ms;
    call->away_tries = 0;
    memset(call->failures, 0, sizeof call->failures);
}

/* Calls for a model that is away must not fill the process while there is work for one that serves. */
static bool must_make_room(const struct call *call) {
    const struct tries *tries = call->tries;
    return patient(call) && tries->away[NOBODY_WAITS].count >= TRIES_AWAY_MIN && !tries_main_away(tries);
}

static void wait_for_return(struct call *call) {
    struct tries *tries = call->tries;
    struct upstream *upstream;
    if (must_make_room(call)) {
        snprintf(call->failure, FAILURE_BYTES, "the model '%s' is away",
            tries->upstreams[call->first].target->name);
        end(call, MODEL_RETRY, MODEL_ERROR_AWAY, TRIES_AWAY_LATER_MS);
        return;
    }
    if (!call->away_since_ms)
        call->away_since_ms = tries_now(tries);
    if (patient(call) && call->away_tries)
        give_tries_back(call);
    call_wait(call, &tries->away[patient(call) ? NOBODY_WAITS : SOMEBODY_WAITS]);
    for (int i = 0; (upstream = choice_at(call, i)); i++)
        upstream_arm(upstream);
}

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void on_backoff_over(uv_timer_t *timer) {
    struct call *call = timer->data;
    call->timer = NULL;
    uv_close((uv_handle_t *)timer, free_timer);
    call_dispatch(call);
}

static void back_off(struct call *call) {
    uint64_t wait = backoff_ms(call->tried, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, backoff_random());
    if (patient(call) || tries_now(call->tries) + wait < call->request.budget->ends_ms) {
        call->timer = malloc(sizeof *call->timer);
        if (!call->timer)
            abort();
        uv_timer_init(call->tries->loop, call->timer);
        call->timer->data = call;
        call_move(call, &call->tries->backing_off);
        uv_timer_start(call->timer, on_backoff_over, wait, 0);
    } else {
        end_failed(call);
    }
}

/* The choice of an upstream. */

static struct upstream *find_due(const struct call *call) {
    struct upstream *upstream;
    for (int i = 0; (upstream = choice_at(call, i)); i++)
        if (!barred(call, upstream) && breaker_probe_due(&upstream->breaker, tries_now(call->tries)))
            return upstream;
    return NULL;
}

/* The first that serves; one that failed this call again and again only where no other does. */
static struct upstream *find_serving(const struct call *call) {
    struct upstream *upstream, *tired = NULL;
    for (int i = 0; (upstream = choice_at(call, i)); i++) {
        if (barred(call, upstream) || !upstream_serves(upstream, tries_now(call->tries)))
            continue;
        if (call->failures[upstream_index(upstream)] < FAILURES_A_TARGET)
            return upstream;
        if (!tired || call->failures[upstream_index(upstream)] < call->failures[upstream_index(tired)])
            tired = upstream;
    }
    return tired;
}

/* Of those that said when to come again, the one that said the soonest. */
static struct upstream *find_paused(const struct call *call) {
    struct upstream *upstream, *soonest = NULL;
    for (int i = 0; (upstream = choice_at(call, i)); i++)
        if (!barred(call, upstream) && upstream->breaker.state == BREAKER_CLOSED &&
            (!soonest || upstream->paused_until_ms < soonest->paused_until_ms))
            soonest = upstream;
    return soonest;
}

static bool all_barred(const struct call *call) {
    struct upstream *upstream;
    for (int i = 0; (upstream = choice_at(call, i)); i++)
        if (!barred(call, upstream))
            return false;
    return true;
}

/* True: the tries of a patient call are used up, and meanwhile the upstream served nobody. That is told from
 * a request that it fails each time by the failures of others, or since nobody can connect. */
static bool served_nobody(const struct call *call, const struct upstream *upstream) {
    const struct breaker *breaker = &upstream->breaker;
    if (!patient(call) || !call->away_tries || breaker->alive_at_ms > call->away_from_ms + AWAY_GRACE_MS)
        return false;
    return call->error_kind == MODEL_ERROR_UNREACHABLE || breaker->state != BREAKER_CLOSED ||
           breaker->failed_in_row >= AWAY_IN_ROW;
}

/* Whether its tries or its time are over for good. */
static bool spent(struct call *call) {
    if (!used_up(call))
        return false;
    if (!call->upstream || !served_nobody(call, call->upstream))
        return true;
    give_tries_back(call);
    upstream_trip(call->upstream);
    return false;
}

static void wait_for_pause(struct call *call, struct upstream *upstream) {
    uint64_t wait = upstream->paused_until_ms - tries_now(call->tries);
    if (wait > TRIES_LATER_MS)
        end_later(call, upstream, wait);
    else
        upstream_admit(upstream, call);
}

void call_dispatch(struct call *call) {
    struct upstream *upstream;
    end_wait(call);
    if (spent(call) || all_barred(call))
        end_failed(call);
    else if ((upstream = find_due(call)))
        upstream_probe(upstream, call);
    else if ((upstream = find_serving(call)))
        upstream_admit(upstream, call);
    else if ((upstream = find_paused(call)))
        wait_for_pause(call, upstream);
    else
        wait_for_return(call);
}

void tries_redispatch(struct tries *tries, struct call_list *list) {
    (void)tries;
    for (size_t left = list->count; left && list->first; left--)
        call_dispatch(list->first);
}

/* Tries. */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void call_tell(const struct call *call, const struct model_answer *answer) {
    const struct tries *tries = call->tries;
    const struct model_try attempt = {.request = &call->request,
        .target = call->upstream->target,
        .answer = answer,
        .number = call->tried,
        .began_ns = call->began_ns,
        .ended_ns = tries->observer_count ? now_ns() : 0};
    for (int i = 0; i < tries->observer_count; i++)
        tries->observers[i].ended(tries->observers[i].context, &attempt);
}

static void succeed(struct call *call, const struct model_answer *answer) {
    struct model_answer told = *answer;
    told.model = call->upstream->target->name;
    call_move(call, NULL);
    call->done(call->context, &told);
    call_free(call);
}

static void keep_failure(struct call *call, const struct model_answer *answer) {
    model_copy_error(call->failure, answer->error);
    call->error_kind = answer->error_kind;
    call->failed_model = call->upstream->target->name;
    log_warn("model_try_failed",
        log_request(call->request.request_id, call->request.trace ? call->request.trace->id : NULL),
        log_string("purpose", call->request.purpose), log_string("target", call->failed_model),
        log_integer("attempt", call->tried), log_string("error", model_error_name(answer->error_kind)),
        log_string("reason", call->failure));
}

/* Its upstream was away at some time since the try began, be it that this try told so. */
static bool away_meanwhile(const struct call *call) {
    return call->epoch != call->upstream->breaker.epoch;
}

static void note_away(struct call *call, enum breaker_outcome outcome) {
    if (outcome == BREAKER_ALIVE) {
        call->away_tries = 0;
        call->away_from_ms = 0;
        return;
    }
    call->away_tries++;
    if (!call->away_from_ms)
        call->away_from_ms = tries_now(call->tries);
    if (patient(call) && away_meanwhile(call))
        give_tries_back(call);
}

/* One that has failed this call is not asked again at once. */
static void go_on(struct call *call) {
    const struct upstream *next = find_serving(call);
    if (next && call->failures[upstream_index(next)] >= FAILURES_A_TARGET && !used_up(call))
        back_off(call);
    else
        call_dispatch(call);
}

static void fail_try(struct call *call, struct upstream *upstream, const struct model_answer *answer) {
    call->failures[upstream_index(upstream)]++;
    note_away(call, breaker_outcome_of(answer));
    if (answer->status == MODEL_RETRY) {
        go_on(call);
    } else if (answer->error_kind == MODEL_ERROR_UNAUTHORIZED) {
        /* Another one has another key. */
        call->barred |= 1u << upstream_index(upstream);
        call_dispatch(call);
    } else {
        end_failed(call);
    }
}

static void on_tried(void *context, const struct model_answer *answer) {
    struct call *call = context;
    struct upstream *upstream = call->upstream;
    call->under_way = NULL;
    call_tell(call, answer);
    if (answer->status != MODEL_OK)
        keep_failure(call, answer);
    upstream_ended(upstream, call, answer);
    if (answer->status == MODEL_OK)
        succeed(call, answer);
    else
        fail_try(call, upstream, answer);
}

static void make_try(struct call *call) {
    const struct model_budget *budget = call->request.budget;
    uint64_t now = tries_now(call->tries);
    int64_t left = budget->ends_ms > now ? (int64_t)(budget->ends_ms - now) : 1;
    call->request.budget->tries++;
    call->tried++;
    call->request.timeout_ms = left < model_configuration.timeout_ms ? left : model_configuration.timeout_ms;
    call->began_ms = now;
    call->began = uv_hrtime();
    call->began_ns = call->tries->observer_count ? now_ns() : 0;
    upstream_count(call->upstream, call);
    call->under_way = call->upstream->adapter->call(call->upstream->opened, &call->request, on_tried, call);
}

void call_try(struct call *call, struct upstream *upstream) {
    struct tries *tries = call->tries;
    end_wait(call);
    call_move(call, &tries->trying);
    upstream_take(upstream, call);
    if (!tries->gate.ask) {
        make_try(call);
        return;
    }
    call->pass.asked = true;
    tries->gate.ask(tries->gate.context, upstream->target, &call->request, &call->pass);
}

void model_pass_open(struct model_pass *pass) {
    pass->asked = false;
    make_try((struct call *)pass);
}

void model_pass_refuse(struct model_pass *pass, const char *reason, int64_t retry_after_ms) {
    struct call *call = (struct call *)pass;
    pass->asked = false;
    model_copy_error(call->failure, reason);
    end(call, retry_after_ms < 0 ? MODEL_REJECT : MODEL_RETRY, MODEL_ERROR_BUDGET, retry_after_ms);
    upstream_give_back(call->upstream, call);
}

void tries_call(struct tries *tries, const struct model_request *request, model_done done, void *context) {
    struct call *call = call_create(tries, request);
    struct model_budget *budget = call->request.budget;
    call->done = done;
    call->context = context;
    if (!budget->ends_ms)
        budget->ends_ms = tries_now(tries) + (uint64_t)tries_configuration.budget_ms;
    call->first = request->model ? model_targets_find(&tries->targets, request->model) : 0;
    if (call->first >= 0) {
        call_dispatch(call);
        return;
    }
    call->first = 0;
    snprintf(call->failure, FAILURE_BYTES, "no model '%.100s' is configured", request->model);
    end(call, MODEL_REJECT, MODEL_ERROR_REQUEST, -1);
}
