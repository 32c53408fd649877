/* One target: its limits and its breaker, who waits for it, and what is counted of it. */
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/model/tries_private.h"

/* What a bare "nothing is left" of the rate headers may stop a target for: limits refill bit by bit. */
enum { HINT_MAX_MS = 1000, BYTES_A_TOKEN = 4 };

struct metric model_metrics[] = {
    {.name = "agent_model_calls_total",
        .type = METRIC_COUNTER,
        .help = "Requests to models, by outcome of the try: ok, retry, reject; form_refused: made again "
                "within it, "
                "in another form.",
        .labels = {"provider", "outcome"}},
    {.name = "agent_model_call_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "Time of one try of a model call.",
        .labels = {"provider"}},
    {.name = "agent_model_tokens_total",
        .type = METRIC_COUNTER,
        .help = "Tokens that the model reported.",
        .labels = {"provider", "kind"}},
    {.name = "agent_model_tries_total",
        .type = METRIC_COUNTER,
        .help = "Tries of model calls, by the model that was asked and by outcome: ok, or what went wrong.",
        .labels = {"target", "outcome"}},
    {.name = "agent_model_retries_total",
        .type = METRIC_COUNTER,
        .help = "Tries that followed a failed one of the same call.",
        .labels = {"target"}},
    {.name = "agent_model_fallbacks_total",
        .type = METRIC_COUNTER,
        .help = "Tries made of a target in the place of the one that the call was for.",
        .labels = {"target"}},
    {.name = "agent_model_in_flight", .type = METRIC_GAUGE, .help = "Tries under way.", .labels = {"target"}},
    {.name = "agent_model_concurrency_limit",
        .type = METRIC_GAUGE,
        .help = "Tries that may be under way at once, as the target's answers tell.",
        .labels = {"target"}},
    {.name = "agent_model_waiting",
        .type = METRIC_GAUGE,
        .help = "Calls that wait for a place within the target's limits.",
        .labels = {"target"}},
    {.name = "agent_model_breaker_state",
        .type = METRIC_GAUGE,
        .help = "The target's circuit breaker: 0 closed, 1 half-open, 2 open.",
        .labels = {"target"}},
    {.name = "agent_model_breaker_transitions_total",
        .type = METRIC_COUNTER,
        .help = "Changes of the breaker's state, by the new one.",
        .labels = {"target", "to"}},
    {.name = "agent_model_away_waiting",
        .type = METRIC_GAUGE,
        .help = "Calls that wait because all models that may serve them are away."},
    {0},
};
enum {
    CALLS,
    SECONDS,
    TOKENS,
    TRIES,
    RETRIES,
    FALLBACKS,
    IN_FLIGHT,
    LIMIT,
    WAITING,
    STATE,
    TRANSITIONS,
    AWAY
};

static const char *name_of(const struct upstream *upstream) {
    return upstream->target->name;
}

int upstream_index(const struct upstream *upstream) {
    return (int)(upstream - upstream->tries->upstreams);
}

bool upstream_serves(const struct upstream *upstream, uint64_t now_ms) {
    return upstream->breaker.state == BREAKER_CLOSED && now_ms >= upstream->paused_until_ms;
}

static double tokens_of(const struct upstream *upstream, const struct call *call) {
    if (upstream->tokens.per_ms <= 0)
        return 0;
    const struct model_request *request = &call->request;
    return (double)(strlen(request->system) + strlen(request->user)) / BYTES_A_TOKEN +
           (double)model_max_tokens(request);
}

/* How long until the call may have its place, as far as time alone decides. */
static uint64_t wait_ms(struct upstream *upstream, const struct call *call, uint64_t now_ms) {
    uint64_t wait = upstream->paused_until_ms > now_ms ? upstream->paused_until_ms - now_ms : 0;
    uint64_t requests = rate_wait_ms(&upstream->requests, now_ms, 1);
    uint64_t tokens = rate_wait_ms(&upstream->tokens, now_ms, tokens_of(upstream, call));
    wait = requests > wait ? requests : wait;
    return tokens > wait ? tokens : wait;
}

static bool place_free(const struct upstream *upstream) {
    return upstream->in_flight < concurrency_limit(&upstream->concurrency);
}

static struct call *first_waiting(const struct upstream *upstream) {
    struct call *call = upstream->waiting[SOMEBODY_WAITS].first;
    return call ? call : upstream->waiting[NOBODY_WAITS].first;
}

/* Of those that wait for a model that is away, one that may go to this one: rather one that nobody waits for,
 * since a probe that fails costs it nothing. */
static struct call *find_probe(const struct upstream *upstream) {
    for (int patience = PATIENCES; patience-- > 0;)
        for (struct call *call = upstream->tries->away[patience].first; call; call = call->next)
            if (call_may_use(call, upstream))
                return call;
    return NULL;
}

static void on_timer(uv_timer_t *timer);

static void wake_in(struct upstream *upstream, uint64_t ms) {
    if (!uv_is_active((uv_handle_t *)&upstream->timer) || uv_timer_get_due_in(&upstream->timer) > ms)
        uv_timer_start(&upstream->timer, on_timer, ms ? ms : 1, 0);
}

void upstream_arm(struct upstream *upstream) {
    uint64_t now = tries_now(upstream->tries);
    const struct breaker *breaker = &upstream->breaker;
    if (breaker->state == BREAKER_OPEN && find_probe(upstream))
        wake_in(upstream, breaker->probe_at_ms > now ? breaker->probe_at_ms - now : 0);
}

static void on_timer(uv_timer_t *timer) {
    struct upstream *upstream = timer->data;
    struct call *call =
        breaker_probe_due(&upstream->breaker, tries_now(upstream->tries)) ? find_probe(upstream) : NULL;
    if (call)
        upstream_probe(upstream, call);
    upstream_arm(upstream);
    upstream_pump(upstream);
}

void upstream_pump(struct upstream *upstream) {
    struct call *call;
    while (upstream->breaker.state == BREAKER_CLOSED && (call = first_waiting(upstream)) &&
           place_free(upstream)) {
        uint64_t wait = wait_ms(upstream, call, tries_now(upstream->tries));
        if (wait) {
            wake_in(upstream, wait);
            return;
        }
        call_try(call, upstream);
    }
}

void upstream_admit(struct upstream *upstream, struct call *call) {
    uint64_t now = tries_now(upstream->tries);
    bool first = !first_waiting(upstream);
    if (first && place_free(upstream) && !wait_ms(upstream, call, now)) {
        call_try(call, upstream);
        return;
    }
    call_wait(call, &upstream->waiting[call->request.somebody_waits ? SOMEBODY_WAITS : NOBODY_WAITS]);
    if (first)
        upstream_pump(upstream);
}

/* All that follows from a change of the breaker's state. */
static void follow_breaker(struct upstream *upstream) {
    enum breaker_state before = upstream->told, state = upstream->breaker.state;
    if (state == before)
        return;
    upstream->told = state;
    metric_count(&model_metrics[TRANSITIONS], 1, name_of(upstream), breaker_state_name(state));
    static const char *const EVENTS[] = {[BREAKER_CLOSED] = "model_breaker_closed",
        [BREAKER_HALF_OPEN] = "model_breaker_half_open",
        [BREAKER_OPEN] = "model_breaker_opened"};
    log_write(state == BREAKER_OPEN && before == BREAKER_CLOSED ? LOG_WARN : LOG_INFO, EVENTS[state],
        (const struct log_field[]){log_string("target", name_of(upstream)),
            log_string("reason", state == BREAKER_OPEN ? upstream->failure : NULL), {0}});
    struct tries *tries = upstream->tries;
    if (state == BREAKER_OPEN && before == BREAKER_CLOSED)
        concurrency_restart(&upstream->concurrency);
    for (int patience = 0; patience < PATIENCES; patience++)
        tries_redispatch(
            tries, state == BREAKER_CLOSED ? &tries->away[patience] : &upstream->waiting[patience]);
    /* Those that still wait may be there for another one. */
    if (state == BREAKER_CLOSED && tries->back)
        tries->back(tries->back_context);
    upstream_arm(upstream);
}

void upstream_trip(struct upstream *upstream) {
    breaker_trip(&upstream->breaker, tries_now(upstream->tries));
    follow_breaker(upstream);
}

void upstream_probe(struct upstream *upstream, struct call *call) {
    breaker_probe(&upstream->breaker);
    follow_breaker(upstream);
    call_try(call, upstream);
}

void upstream_take(struct upstream *upstream, struct call *call) {
    upstream->in_flight++;
    call->upstream = upstream;
    call->epoch = upstream->breaker.epoch;
    call->tokens = tokens_of(upstream, call);
    rate_take(&upstream->requests, 1);
    rate_take(&upstream->tokens, call->tokens);
}

void upstream_give_back(struct upstream *upstream, struct call *call) {
    uint64_t now = tries_now(upstream->tries);
    upstream->in_flight--;
    rate_take(&upstream->requests, -1);
    rate_take(&upstream->tokens, -call->tokens);
    breaker_ended(&upstream->breaker, now, call->epoch, BREAKER_UNKNOWN);
    follow_breaker(upstream);
    upstream_pump(upstream);
}

void upstream_count(struct upstream *upstream, const struct call *call) {
    if (call->tried > 1)
        metric_count(&model_metrics[RETRIES], 1, name_of(upstream));
    if (upstream_index(upstream) != call->first)
        metric_count(&model_metrics[FALLBACKS], 1, name_of(upstream));
}

static void pause_for(struct upstream *upstream, int64_t ms, int64_t most, uint64_t now_ms) {
    uint64_t until = now_ms + (uint64_t)(ms < most ? ms : most);
    if (ms <= 0 || until <= upstream->paused_until_ms)
        return;
    upstream->paused_until_ms = until;
    /* Who has waited for less must not wait for this. */
    if (until - now_ms > TRIES_LATER_MS)
        for (int patience = 0; patience < PATIENCES; patience++)
            tries_redispatch(upstream->tries, &upstream->waiting[patience]);
}

static void take_hints(struct upstream *upstream, const struct model_answer *answer, uint64_t now_ms) {
    const struct model_allowance *left[] = {&answer->requests_left, &answer->tokens_left};
    for (int i = 0; i < 2; i++)
        if (left[i]->known && left[i]->remaining <= 0)
            pause_for(upstream, left[i]->reset_ms, HINT_MAX_MS, now_ms);
    if (answer->status == MODEL_RETRY)
        pause_for(upstream, answer->retry_after_ms, tries_configuration.retry_after_max_ms, now_ms);
}

static enum concurrency_outcome concurrency_outcome_of(const struct model_answer *answer) {
    if (answer->status == MODEL_OK)
        return CONCURRENCY_SERVED;
    return answer->error_kind == MODEL_ERROR_RATE_LIMITED || answer->error_kind == MODEL_ERROR_TIMEOUT
               ? CONCURRENCY_LIMITED
               : CONCURRENCY_OTHER;
}

static void count_ended(
    const struct upstream *upstream, const struct call *call, const struct model_answer *answer) {
    static const char *const OUTCOMES[] = {
        [MODEL_OK] = "ok", [MODEL_RETRY] = "retry", [MODEL_REJECT] = "reject"};
    const char *provider = upstream->target->provider->name;
    metric_count(&model_metrics[CALLS], 1, provider, OUTCOMES[answer->status]);
    metric_observe(&model_metrics[SECONDS], (double)(uv_hrtime() - call->began) / 1e9, provider);
    metric_count(&model_metrics[TOKENS], (double)answer->prompt_tokens, provider, "prompt");
    metric_count(&model_metrics[TOKENS], (double)answer->completion_tokens, provider, "completion");
    metric_count(&model_metrics[TRIES], 1, name_of(upstream),
        answer->status == MODEL_OK ? "ok" : model_error_name(answer->error_kind));
}

void upstream_ended(struct upstream *upstream, struct call *call, const struct model_answer *answer) {
    uint64_t now = tries_now(upstream->tries);
    count_ended(upstream, call, answer);
    concurrency_ended(
        &upstream->concurrency, now, call->began_ms, upstream->in_flight, concurrency_outcome_of(answer));
    upstream->in_flight--;
    if (call->tokens > 0 && answer->prompt_tokens)
        rate_take(
            &upstream->tokens, (double)(answer->prompt_tokens + answer->completion_tokens) - call->tokens);
    enum breaker_outcome outcome = breaker_outcome_of(answer);
    if (outcome != BREAKER_ALIVE)
        model_copy_error(upstream->failure, answer->error);
    take_hints(upstream, answer, now);
    breaker_ended(&upstream->breaker, now, call->epoch, outcome);
    follow_breaker(upstream);
    upstream_pump(upstream);
}

void upstreams_measure(struct tries *tries) {
    for (int i = 0; i < tries->count; i++) {
        const struct upstream *upstream = &tries->upstreams[i];
        const char *name = name_of(upstream);
        metric_set(&model_metrics[IN_FLIGHT], (double)upstream->in_flight, name);
        metric_set(&model_metrics[LIMIT], (double)concurrency_limit(&upstream->concurrency), name);
        metric_set(&model_metrics[WAITING],
            (double)(upstream->waiting[SOMEBODY_WAITS].count + upstream->waiting[NOBODY_WAITS].count), name);
        metric_set(&model_metrics[STATE], upstream->breaker.state, name);
        metric_count(&model_metrics[RETRIES], 0, name);
        metric_count(&model_metrics[FALLBACKS], 0, name);
    }
    metric_set(
        &model_metrics[AWAY], (double)(tries->away[SOMEBODY_WAITS].count + tries->away[NOBODY_WAITS].count));
}

void upstream_open(struct upstream *upstream, struct tries *tries, const struct model_target *target) {
    const struct tries_configuration *limits = &tries_configuration;
    uint64_t now = tries_now(tries);
    *upstream =
        (struct upstream){.tries = tries, .target = target, .adapter = model_adapter_of(target->provider)};
    upstream->opened = upstream->adapter->open(tries->loop, target);
    concurrency_open(&upstream->concurrency, limits->concurrency_min, limits->concurrency_max);
    rate_open(&upstream->requests, limits->requests_per_minute, now);
    rate_open(&upstream->tokens, limits->tokens_per_minute, now);
    uv_timer_init(tries->loop, &upstream->timer);
    upstream->timer.data = upstream;
}

void model_count_form_refused(const struct model_target *target) {
    metric_count(&model_metrics[CALLS], 1, target->provider->name, "form_refused");
}
