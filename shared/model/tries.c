/* The one target that the settings name, and calls of one try each, counted and told to observers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/model/provider.h"

struct metric model_metrics[] = {
    {.name = "agent_model_calls_total",
        .type = METRIC_COUNTER,
        .help = "Calls of the model, by outcome: ok, retry, reject.",
        .labels = {"provider", "outcome"}},
    {.name = "agent_model_call_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "Time of one call of the model.",
        .labels = {"provider"}},
    {.name = "agent_model_tokens_total",
        .type = METRIC_COUNTER,
        .help = "Tokens that the model reported.",
        .labels = {"provider", "kind"}},
    {0},
};

enum { OBSERVERS_MAX = 4 };

struct observer {
    void (*ended)(void *context, const struct model_try *attempt);
    void *context;
};

struct tries {
    struct observer observers[OBSERVERS_MAX];
    int observer_count;
    struct model_target target;
    void *provider;
    struct call *calls;
};

/* A call on its way; in its arena. */
struct call {
    struct call *previous, *next;
    struct tries *tries;
    struct arena *arena;
    const struct model_request *request;
    struct model_call *under_way;
    model_done done;
    void *context;
    uint64_t started; /* uv_hrtime */
    int64_t began_ns;
};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static const struct model_provider *choose(void) {
    const char *name = model_configuration.provider;
    if (!*name)
        name = *model_configuration.base_url ? "openai" : *model_configuration.api_key ? "gemini" : "mock";
    const struct model_provider *provider = model_provider_find(name);
    if (!provider)
        model_refuse("LLM_PROVIDER: '%.40s' is not one of mock, openai, gemini, anthropic", name);
    return provider;
}

static const char *or_default(const char *text, const char *otherwise) {
    return *text || !otherwise ? text : otherwise;
}

/* The URL up to its query, without user and password, which a log must not show. */
static void url_for_log(const char *url, char *text, size_t bytes) {
    const char *scheme = strstr(url, "://");
    size_t prefix = scheme ? (size_t)(scheme - url) + 3 : 0;
    const char *host = url + prefix;
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);
    if (at)
        host = at + 1;
    snprintf(text, bytes, "%.*s%.*s", (int)prefix, url, (int)strcspn(host, "?#"), host);
}

static void log_target(const struct model_target *target) {
    char url[512];
    bool remote = target->provider->protocol != NULL;
    url_for_log(target->base_url, url, sizeof url);
    log_info("model_chosen", log_string("provider", target->provider->name),
        log_string("model", remote ? target->model : NULL), log_string("base_url", remote ? url : NULL));
}

struct tries *tries_open(uv_loop_t *loop) {
    struct tries *tries = calloc(1, sizeof *tries);
    if (!tries)
        abort();
    const struct model_provider *provider = choose();
    tries->target = (struct model_target){
        .provider = provider,
        .model = or_default(model_configuration.model, provider->default_model),
        .base_url = or_default(model_configuration.base_url, provider->default_base_url),
        .api_key = model_configuration.api_key,
    };
    tries->target.name = *tries->target.model ? tries->target.model : provider->name;
    tries->provider = provider->open(loop, &tries->target);
    log_target(&tries->target);
    return tries;
}

const struct model_target *tries_first(const struct tries *tries) {
    return &tries->target;
}

void tries_observe(
    struct tries *tries, void (*ended)(void *context, const struct model_try *attempt), void *context) {
    if (tries->observer_count == OBSERVERS_MAX)
        abort();
    tries->observers[tries->observer_count++] = (struct observer){ended, context};
}

static void tell(const struct call *call, const struct model_answer *answer) {
    const struct model_try attempt = {.request = call->request,
        .target = &call->tries->target,
        .answer = answer,
        .number = 1,
        .began_ns = call->began_ns,
        .ended_ns = now_ns()};
    for (int i = 0; i < call->tries->observer_count; i++)
        call->tries->observers[i].ended(call->tries->observers[i].context, &attempt);
}

static void count(const struct call *call, const struct model_answer *answer) {
    static const char *const OUTCOMES[] = {
        [MODEL_OK] = "ok", [MODEL_RETRY] = "retry", [MODEL_REJECT] = "reject"};
    const char *provider = call->tries->target.provider->name;
    metric_count(&model_metrics[0], 1, provider, OUTCOMES[answer->status]);
    metric_observe(&model_metrics[1], (double)(uv_hrtime() - call->started) / 1e9, provider);
    metric_count(&model_metrics[2], (double)answer->prompt_tokens, provider, "prompt");
    metric_count(&model_metrics[2], (double)answer->completion_tokens, provider, "completion");
}

static void unlink_call(struct call *call) {
    *(call->previous ? &call->previous->next : &call->tries->calls) = call->next;
    if (call->next)
        call->next->previous = call->previous;
}

static void on_done(void *context, const struct model_answer *told) {
    struct call *call = context;
    struct arena *arena = call->arena;
    struct model_answer answer = *told;
    answer.model = call->tries->target.name;
    unlink_call(call);
    count(call, &answer);
    tell(call, &answer);
    call->done(call->context, &answer);
    arena_destroy(&arena);
}

void tries_call(struct tries *tries, const struct model_request *request, model_done done, void *context) {
    struct arena *arena = arena_create(strlen(request->system) + strlen(request->user) + 1024);
    struct call *call = arena_alloc(arena, sizeof *call);
    *call = (struct call){.next = tries->calls,
        .tries = tries,
        .arena = arena,
        .request = model_request_copy(arena, request),
        .done = done,
        .context = context,
        .started = uv_hrtime(),
        .began_ns = now_ns()};
    if (call->next)
        call->next->previous = call;
    tries->calls = call;
    if (request->budget)
        request->budget->tries++;
    call->under_way = tries->target.provider->call(tries->provider, call->request, on_done, call);
}

static void give_up(struct call *call) {
    struct tries *tries = call->tries;
    struct arena *arena = call->arena;
    unlink_call(call);
    tries->target.provider->cancel(tries->provider, call->under_way);
    tell(call, &(struct model_answer){.status = MODEL_RETRY,
                   .error_kind = MODEL_ERROR_CANCELLED,
                   .error = "the call was given up",
                   .retry_after_ms = -1,
                   .model = tries->target.name});
    arena_destroy(&arena);
}

void tries_close(struct tries **tries) {
    while ((*tries)->calls)
        give_up((*tries)->calls);
    (*tries)->target.provider->close((*tries)->provider);
    free(*tries);
    *tries = NULL;
}
