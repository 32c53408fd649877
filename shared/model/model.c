/* The settings of language models and the table of providers, of which they choose one. */
#include "shared/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/model/provider.h"
#include "shared/model/spans.h"
#include "shared/trace.h"

struct model_configuration model_configuration;

struct setting model_settings[] = {
    {.name = "LLM_API_KEY",
        .type = SETTING_SECRET,
        .value = &model_configuration.api_key,
        .otherwise = "",
        .help = "Key of the model's API; empty together with LLM_BASE_URL means the built-in mock."},
    {.name = "LLM_BASE_URL",
        .type = SETTING_STRING,
        .value = &model_configuration.base_url,
        .otherwise = "",
        .help =
            "Where {LLM_BASE_URL}/chat/completions is; https://api.openai.com/v1 when only a key is set."},
    {.name = "LLM_MODEL",
        .type = SETTING_STRING,
        .value = &model_configuration.model,
        .otherwise = "gpt-4o-mini",
        .min = 1,
        .help = "The model's name, as its API knows it."},
    {.name = "LLM_TIMEOUT_MS",
        .type = SETTING_INTEGER,
        .value = &model_configuration.timeout_ms,
        .otherwise = "60000",
        .min = 1,
        .max = 3600000,
        .help = "How long one call of the model may take."},
    {.name = "LLM_CONNECT_TIMEOUT_MS",
        .type = SETTING_INTEGER,
        .value = &model_configuration.connect_timeout_ms,
        .otherwise = "5000",
        .min = 1,
        .max = 600000,
        .help = "How long connecting to the model may take."},
    {.name = "LLM_CA_FILE",
        .type = SETTING_STRING,
        .value = &model_configuration.ca_file,
        .otherwise = "",
        .help =
            "PEM file of certificates to trust instead of the system's, for a model behind a private CA."},
    {.name = "LLM_MAX_TOKENS",
        .type = SETTING_INTEGER,
        .value = &model_configuration.max_tokens,
        .otherwise = "1024",
        .min = 1,
        .max = 1000000,
        .help = "Tokens that an answer may have at most."},
    {.name = "LLM_OUTPUT_BYTES_MAX",
        .type = SETTING_INTEGER,
        .value = &model_configuration.output_bytes_max,
        .otherwise = "1048576",
        .min = 1,
        .max = 4194304,
        .help = "Bytes that an answer's text may have at most; a longer one is an error."},
    {0},
};

/* model_open chooses among these by name. */
static const struct model_provider *const providers[] = {&model_mock, &model_openai};

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

const char *model_error_name(enum model_error error) {
    static const char *const NAMES[MODEL_ERROR_COUNT] = {"none", "unreachable", "timeout", "cut",
        "rate_limited", "server", "request", "unauthorized", "context_too_long", "refused", "invalid_answer",
        "too_long", "form", "away", "budget", "cancelled"};
    return NAMES[error];
}

enum { OBSERVERS_MAX = 4 };

struct observer {
    void (*ended)(void *context, const struct model_try *attempt);
    void *context;
};

struct model {
    struct observer observers[OBSERVERS_MAX];
    int observer_count;
    const struct model_provider *provider;
    struct model_target target; /* as observers see it */
    void *state;
    struct counted_call *calls;
};

/* A call on its way, so that its outcome can be counted and closing can give it up. */
struct counted_call {
    struct counted_call *previous, *next;
    struct model *model;
    struct model_call *under_way;
    model_done done;
    void *context;
    uint64_t started; /* uv_hrtime */
    /* For observers; NULL and empty where there are none. */
    struct arena *arena;
    struct model_request request; /* a copy, in arena */
    int64_t began_ns;             /* Unix time */
};

static const struct model_provider *choose(void) {
    const char *name = *model_configuration.api_key || *model_configuration.base_url ? "openai" : "mock";
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (strcmp(providers[i]->name, name) == 0)
            return providers[i];
    abort();
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

struct model *model_open(uv_loop_t *loop) {
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        abort();
    model->provider = choose();
    model->state = model->provider->open(loop);
    char url[512];
    url_for_log(model_configuration.base_url, url, sizeof url);
    bool remote = model->provider != &model_mock;
    log_info("model_chosen", log_string("provider", model->provider->name),
        log_string("model", remote ? model_configuration.model : NULL),
        log_string("base_url", remote ? url : NULL));
    model->target = (struct model_target){.name = model->provider->name,
        .provider = model->provider,
        .model = remote ? model_configuration.model : model->provider->name,
        .base_url = remote ? model_configuration.base_url : NULL};
    model_spans_open(model);
    return model;
}

const char *model_name(const struct model *model) {
    return model->provider->name;
}

void model_observe(
    struct model *model, void (*ended)(void *context, const struct model_try *attempt), void *context) {
    if (model->observer_count == OBSERVERS_MAX)
        abort();
    model->observers[model->observer_count++] = (struct observer){ended, context};
}

static int64_t unix_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void keep_for_observers(struct counted_call *call, const struct model_request *request) {
    if (!call->model->observer_count)
        return;
    struct arena *arena = call->arena = arena_create(0);
    call->began_ns = unix_ns();
    call->request = *request;
    call->request.system = arena_string(arena, request->system);
    call->request.user = arena_string(arena, request->user);
    call->request.model = arena_string(arena, request->model);
    call->request.purpose = arena_string(arena, request->purpose);
    call->request.request_id = arena_string(arena, request->request_id);
    call->request.task_type = arena_string(arena, request->task_type);
    call->request.tenant = arena_string(arena, request->tenant);
    if (request->trace) {
        struct trace *trace = arena_alloc(arena, sizeof *trace);
        *trace = *request->trace;
        call->request.trace = trace;
    }
}

static void tell_observers(struct counted_call *call, const struct model_answer *answer) {
    struct model *model = call->model;
    if (!call->arena)
        return;
    const struct model_try attempt = {.request = &call->request,
        .target = &model->target,
        .answer = answer,
        .number = 1,
        .began_ns = call->began_ns,
        .ended_ns = unix_ns()};
    for (int i = 0; i < model->observer_count; i++)
        model->observers[i].ended(model->observers[i].context, &attempt);
    arena_destroy(&call->arena);
}

static void forget(struct counted_call *call) {
    *(call->previous ? &call->previous->next : &call->model->calls) = call->next;
    if (call->next)
        call->next->previous = call->previous;
    free(call);
}

static void on_done(void *context, const struct model_answer *answer) {
    static const char *const OUTCOMES[] = {
        [MODEL_OK] = "ok", [MODEL_RETRY] = "retry", [MODEL_REJECT] = "reject"};
    struct counted_call call = *(struct counted_call *)context;
    const char *provider = call.model->provider->name;
    forget(context);
    tell_observers(&call, answer);
    metric_count(&model_metrics[0], 1, provider, OUTCOMES[answer->status]);
    metric_observe(&model_metrics[1], (double)(uv_hrtime() - call.started) / 1e9, provider);
    metric_count(&model_metrics[2], (double)answer->prompt_tokens, provider, "prompt");
    metric_count(&model_metrics[2], (double)answer->completion_tokens, provider, "completion");
    call.done(call.context, answer);
}

void model_call(struct model *model, const struct model_request *request, model_done done, void *context) {
    struct counted_call *call = malloc(sizeof *call);
    if (!call)
        abort();
    *call = (struct counted_call){
        .next = model->calls, .model = model, .done = done, .context = context, .started = uv_hrtime()};
    if (call->next)
        call->next->previous = call;
    model->calls = call;
    keep_for_observers(call, request);
    call->under_way = model->provider->call(model->state, request, on_done, call);
}

void model_close(struct model **model) {
    for (struct counted_call *call = (*model)->calls, *next; call; call = next) {
        next = call->next;
        (*model)->provider->cancel((*model)->state, call->under_way);
        tell_observers(call, &(struct model_answer){.status = MODEL_RETRY,
                                 .error_kind = MODEL_ERROR_CANCELLED,
                                 .error = "given up",
                                 .retry_after_ms = -1});
        free(call);
    }
    (*model)->provider->close((*model)->state);
    free(*model);
    *model = NULL;
}
