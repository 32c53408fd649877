/* The layers of a call below model.h: model_call asks structured.c for an answer of a form, that asks
 * tries.c, and that asks a provider's adapter, which makes one try of it. */
#ifndef SHARED_MODEL_PROVIDER_H
#define SHARED_MODEL_PROVIDER_H

#include "shared/model/model.h"

struct model_configuration {
    const char *provider; /* "": told by the two that follow */
    const char *api_key;  /* secret; "": none */
    const char *base_url;
    const char *model;                                               /* "": the provider's default */
    const char *ca_file;                                             /* "": the system's */
    const char *gemini_api_key, *openai_api_key, *anthropic_api_key; /* secret */
    const char *models, *fallbacks;                                  /* see targets.h */
    int64_t timeout_ms, first_byte_timeout_ms, connect_timeout_ms;
    int64_t max_tokens;
    int64_t output_bytes_max;
    const char *stream; /* "true" or "false" */
};

extern struct model_configuration model_configuration;

/* One model that can be asked: who serves it, where, under which name and key. */
struct model_target {
    const char *name; /* as requests, logs, metrics and usage name it */
    const struct model_provider *provider;
    const char *model;    /* as its API knows it */
    const char *base_url; /* without a slash at its end */
    const char *api_key;  /* secret; "": none */
};

/* What is known of a provider without asking it: a row of providers.c. */
struct model_provider {
    const char *name;
    const char *default_model, *default_base_url; /* NULL: it needs none */
};

struct model_protocol;

/* How a provider is asked: one such row in model.c's table, in a file or folder of its own. */
struct model_adapter {
    const char *provider;                  /* its name */
    const struct model_protocol *protocol; /* over HTTP, by exchange.c; NULL: it is not asked over HTTP */
    /* One for each target, which is borrowed until close. A target with which no call could be made ends the
     * process with one line on standard error and exit code 2. */
    void *(*open)(uv_loop_t *loop, const struct model_target *target);
    /* One try; request is borrowed until done or cancel. done is called once, from the loop, never from
     * inside call. */
    struct model_call *(*call)(
        void *opened, const struct model_request *request, model_done done, void *context);
    void (*cancel)(void *opened, struct model_call *call);
    void (*close)(void *opened);
};

extern const struct model_adapter model_mock, model_openai, model_gemini, model_anthropic;

/* providers.c. NULL: there is none of that name. */
const struct model_provider *model_provider_find(const char *name);

const struct model_adapter *model_adapter_of(const struct model_provider *provider);

/* One line on standard error, and exit code 2: a setting is wrong. */
__attribute__((format(printf, 1, 2), noreturn)) void model_refuse(const char *format, ...);

/* A copy in arena, with all that it points to but form and budget. */
struct model_request *model_request_copy(struct arena *arena, const struct model_request *request);

int64_t model_max_tokens(const struct model_request *request);

struct tries; /* tries.h */

/* structured.c: answers of a form, over tries. */
struct structured;
struct structured *structured_open(struct tries *tries);
/* As model_call, of a request with a form: text is the object that is of it. An answer that is not is asked
 * for once more; then it is MODEL_ERROR_FORM. The tokens are those of both. */
void structured_call(
    struct structured *structured, const struct model_request *request, model_done done, void *context);
/* When the tries are closed, which tell nothing more. */
void structured_close(struct structured **structured);

/* Counts a request to the target's server that was made again in another form, within the same try. */
void model_count_form_refused(const struct model_target *target);

#endif
