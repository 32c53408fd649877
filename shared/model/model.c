/* The settings of language models, the table of adapters, and the calls' way in. */
#include "shared/model/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/model/provider.h"
#include "shared/model/spans.h"
#include "shared/model/tries.h"
#include "shared/trace.h"

struct model_configuration model_configuration;

static const char *const BOOLEANS[] = {"false", "true", NULL};

#define INTEGER(setting, member, text, least, most, sentence)                                                \
    {                                                                                                        \
        .name = (setting), .type = SETTING_INTEGER, .value = &tries_configuration.member,                    \
        .otherwise = (text), .min = (least), .max = (most), .help = (sentence)                               \
    }

struct setting model_settings[] = {
    {.name = "LLM_PROVIDER",
        .type = SETTING_STRING,
        .value = &model_configuration.provider,
        .otherwise = "",
        .help = "openai (and servers like it), gemini, anthropic or mock; empty: a base URL means openai, "
                "only a key means gemini, neither means mock."},
    {.name = "LLM_API_KEY",
        .type = SETTING_SECRET,
        .value = &model_configuration.api_key,
        .otherwise = "",
        .help = "Key of the model's API."},
    {.name = "LLM_BASE_URL",
        .type = SETTING_STRING,
        .value = &model_configuration.base_url,
        .otherwise = "",
        .help = "Where the provider's API is, up to the version in its path; empty: the provider's own."},
    {.name = "LLM_MODEL",
        .type = SETTING_STRING,
        .value = &model_configuration.model,
        .otherwise = "",
        .help = "The model's name, as its API knows it; empty: the provider's default."},
    {.name = "LLM_MODELS",
        .type = SETTING_STRING,
        .value = &model_configuration.models,
        .otherwise = "",
        .help = "Further models that a request may name: name=provider:model@base_url, commas between them; "
                "name= and @base_url may be left out."},
    {.name = "LLM_FALLBACKS",
        .type = SETTING_STRING,
        .value = &model_configuration.fallbacks,
        .otherwise = "",
        .help = "Models that are asked, in this order, when the one that a call is for does not serve: names "
                "from LLM_MODELS or entries as there, commas between them."},
    {.name = "GEMINI_API_KEY",
        .type = SETTING_SECRET,
        .value = &model_configuration.gemini_api_key,
        .otherwise = "",
        .help = "Key for models of gemini; empty: LLM_API_KEY where the first model is one."},
    {.name = "OPENAI_API_KEY",
        .type = SETTING_SECRET,
        .value = &model_configuration.openai_api_key,
        .otherwise = "",
        .help = "Key for models of openai; empty: LLM_API_KEY where the first model is one."},
    {.name = "ANTHROPIC_API_KEY",
        .type = SETTING_SECRET,
        .value = &model_configuration.anthropic_api_key,
        .otherwise = "",
        .help = "Key for models of anthropic; empty: LLM_API_KEY where the first model is one."},
    {.name = "LLM_TIMEOUT_MS",
        .type = SETTING_INTEGER,
        .value = &model_configuration.timeout_ms,
        .otherwise = "60000",
        .min = 1,
        .max = 3600000,
        .help = "How long one try of a call may take."},
    {.name = "LLM_FIRST_BYTE_TIMEOUT_MS",
        .type = SETTING_INTEGER,
        .value = &model_configuration.first_byte_timeout_ms,
        .otherwise = "60000",
        .min = 1,
        .max = 3600000,
        .help =
            "How long one try may wait for the first byte of an answer; worth shortening where answers are "
            "streams."},
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
    {.name = "LLM_STREAM",
        .type = SETTING_CHOICE,
        .value = &model_configuration.stream,
        .otherwise = "false",
        .choices = BOOLEANS,
        .help = "Whether answers that are text are asked for as streams."},
    INTEGER("LLM_TRIES_MAX", tries_max, "5", 1, 100,
        "Tries that all model calls of a request may make together, fallbacks and questions asked again "
        "included."),
    INTEGER("LLM_BUDGET_MS", budget_ms, "60000", 1, 3600000,
        "Time that these tries and the waits between them may take together, in milliseconds."),
    INTEGER("LLM_RETRY_AFTER_MAX_MS", retry_after_max_ms, "60000", 0, 3600000,
        "The longest Retry-After of a model that is heeded, in milliseconds."),
    INTEGER("LLM_AWAY_WAIT_MS", away_wait_ms, "10000", 0, 3600000,
        "How long a request whose caller waits is kept while the model is away, in milliseconds."),
    INTEGER("LLM_CONCURRENCY_MIN", concurrency_min, "1", 1, 100000,
        "Calls of one model that may always be in flight in one process."),
    INTEGER("LLM_CONCURRENCY_MAX", concurrency_max, "10000", 1, 100000,
        "Calls of one model that may be in flight in one process at most; within, the number follows 429s "
        "and latency."),
    INTEGER("LLM_REQUESTS_PER_MINUTE", requests_per_minute, "0", 0, 1e9,
        "Calls that one process may begin of one model in a minute, spread evenly; 0: any."),
    INTEGER("LLM_TOKENS_PER_MINUTE", tokens_per_minute, "0", 0, 1e12,
        "Tokens, of questions and answers, that these calls may use in a minute; 0: any."),
    {0},
};

static const struct model_adapter *const adapters[] = {
    &model_mock, &model_openai, &model_gemini, &model_anthropic};

const struct model_adapter *model_adapter_of(const struct model_provider *provider) {
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++)
        if (strcmp(adapters[i]->provider, provider->name) == 0)
            return adapters[i];
    abort();
}

void model_refuse(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

const char *model_error_name(enum model_error error) {
    static const char *const NAMES[MODEL_ERROR_COUNT] = {"none", "unreachable", "timeout", "cut",
        "rate_limited", "server", "request", "unauthorized", "context_too_long", "refused", "invalid_answer",
        "too_long", "form", "away", "budget", "cancelled"};
    return NAMES[error];
}

bool model_error_may_pass(enum model_error error) {
    switch (error) {
    case MODEL_ERROR_UNREACHABLE:
    case MODEL_ERROR_TIMEOUT:
    case MODEL_ERROR_CUT:
    case MODEL_ERROR_RATE_LIMITED:
    case MODEL_ERROR_SERVER:
    case MODEL_ERROR_UNAUTHORIZED:
    case MODEL_ERROR_AWAY:
    case MODEL_ERROR_BUDGET:
        return true;
    default:
        return false;
    }
}

struct model_request *model_request_copy(struct arena *arena, const struct model_request *request) {
    struct model_request *copy = arena_alloc(arena, sizeof *copy);
    *copy = *request;
    copy->system = arena_string(arena, request->system);
    copy->user = arena_string(arena, request->user);
    copy->model = arena_string(arena, request->model);
    copy->purpose = arena_string(arena, request->purpose);
    copy->request_id = arena_string(arena, request->request_id);
    copy->task_type = arena_string(arena, request->task_type);
    copy->tenant = arena_string(arena, request->tenant);
    if (request->trace) {
        struct trace *trace = arena_alloc(arena, sizeof *trace);
        *trace = *request->trace;
        copy->trace = trace;
    }
    return copy;
}

int64_t model_max_tokens(const struct model_request *request) {
    return request->max_tokens ? request->max_tokens : model_configuration.max_tokens;
}

struct model {
    struct tries *tries;
    struct structured *structured;
};

struct model *model_open(uv_loop_t *loop) {
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        abort();
    model->tries = tries_open(loop);
    model->structured = structured_open(model->tries);
    model_spans_open(model);
    return model;
}

const char *model_name(const struct model *model) {
    return tries_first(model->tries)->provider->name;
}

bool model_costs(const struct model *model) {
    return tries_cost(model->tries);
}

const char *model_role(struct model *model, const char *setting, const char *entry) {
    return tries_role(model->tries, setting, entry);
}

bool model_knows(const struct model *model, const char *name) {
    return tries_knows(model->tries, name);
}

const char *model_names(const struct model *model) {
    return tries_names(model->tries);
}

const char *model_away(const struct model *model) {
    return tries_away(model->tries);
}

void model_on_back(struct model *model, void (*back)(void *context), void *context) {
    tries_on_back(model->tries, back, context);
}

void model_observe(
    struct model *model, void (*ended)(void *context, const struct model_try *attempt), void *context) {
    tries_observe(model->tries, ended, context);
}

void model_set_gate(struct model *model, const struct model_gate *gate) {
    tries_set_gate(model->tries, gate);
}

void model_call(struct model *model, const struct model_request *request, model_done done, void *context) {
    if (request->form)
        structured_call(model->structured, request, done, context);
    else
        tries_call(model->tries, request, done, context);
}

void model_close(struct model **model) {
    tries_close(&(*model)->tries);
    structured_close(&(*model)->structured);
    free(*model);
    *model = NULL;
}
