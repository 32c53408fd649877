/* The settings of language models and the table of providers, of which they choose one. */
#include "shared/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/model_provider.h"

struct model_configuration model_configuration;

struct setting model_settings[] = {
    {.name = "LLM_API_KEY", .type = SETTING_SECRET, .value = &model_configuration.api_key, .otherwise = "",
        .help = "Key of the model's API; empty together with LLM_BASE_URL means the built-in mock."},
    {.name = "LLM_BASE_URL", .type = SETTING_STRING, .value = &model_configuration.base_url, .otherwise = "",
        .help = "Where {LLM_BASE_URL}/chat/completions is; https://api.openai.com/v1 when only a key is set."},
    {.name = "LLM_MODEL", .type = SETTING_STRING, .value = &model_configuration.model,
        .otherwise = "gpt-4o-mini", .min = 1, .help = "The model's name, as its API knows it."},
    {.name = "LLM_TIMEOUT_MS", .type = SETTING_INTEGER, .value = &model_configuration.timeout_ms,
        .otherwise = "60000", .min = 1, .max = 3600000, .help = "How long one call of the model may take."},
    {.name = "LLM_CONNECT_TIMEOUT_MS", .type = SETTING_INTEGER,
        .value = &model_configuration.connect_timeout_ms, .otherwise = "5000", .min = 1, .max = 600000,
        .help = "How long connecting to the model may take."},
    {.name = "LLM_MAX_TOKENS", .type = SETTING_INTEGER, .value = &model_configuration.max_tokens,
        .otherwise = "1024", .min = 1, .max = 1000000, .help = "Tokens that an answer may have at most."},
    {.name = "LLM_OUTPUT_BYTES_MAX", .type = SETTING_INTEGER, .value = &model_configuration.output_bytes_max,
        .otherwise = "1048576", .min = 1, .max = 4194304,
        .help = "Bytes that an answer's text may have at most; a longer one is an error."},
    {0},
};

/* model_open chooses among these by name. */
static const struct model_provider *const providers[] = {&model_mock, &model_openai};

struct model {
    const struct model_provider *provider;
    void *state;
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
        log_string("model", remote ? model_configuration.model : NULL), log_string("base_url", remote ? url : NULL));
    return model;
}

const char *model_name(const struct model *model) {
    return model->provider->name;
}

struct model_call *model_call(struct model *model, const struct model_request *request, model_done done, void *context) {
    return model->provider->call(model->state, request, done, context);
}

void model_cancel(struct model *model, struct model_call **call) {
    if (*call)
        model->provider->cancel(model->state, *call);
    *call = NULL;
}

void model_close(struct model **model) {
    (*model)->provider->close((*model)->state);
    free(*model);
    *model = NULL;
}
