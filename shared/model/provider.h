/* What model.c and the providers share: the settings' values and the table's rows. */
#ifndef SHARED_MODEL_PROVIDER_H
#define SHARED_MODEL_PROVIDER_H

#include "shared/model/model.h"

struct model_configuration {
    const char *api_key; /* secret; "": none */
    const char *base_url;
    const char *model;
    const char *ca_file; /* "": the system's */
    int64_t timeout_ms, connect_timeout_ms;
    int64_t max_tokens;
    int64_t output_bytes_max;
};

extern struct model_configuration model_configuration;

/* One model that can be asked: who serves it, where, under which name and key. */
struct model_target {
    const char *name; /* as requests, logs, metrics and usage name it */
    const struct model_provider *provider;
    const char *model; /* as its API knows it */
    const char *base_url;
    const char *api_key; /* secret; "": none */
};

/* A provider is one such row in model.c's table, in a file or folder of its own. */
struct model_provider {
    const char *name;
    void *(*open)(uv_loop_t *loop);
    /* One try; done is called once, from the loop, never from inside call. */
    struct model_call *(*call)(
        void *provider, const struct model_request *request, model_done done, void *context);
    void (*cancel)(void *provider, struct model_call *call);
    void (*close)(void *provider);
};

extern const struct model_provider model_mock, model_openai;

#endif
