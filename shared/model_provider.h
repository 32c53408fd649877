/* What model.c and the providers share: the settings' values and the table's rows. */
#ifndef SHARED_MODEL_PROVIDER_H
#define SHARED_MODEL_PROVIDER_H

#include "shared/model.h"

struct model_configuration {
    const char *api_key; /* secret; "": none */
    const char *base_url;
    const char *model;
    int64_t timeout_ms, connect_timeout_ms;
    int64_t max_tokens;
    int64_t output_bytes_max;
};

extern struct model_configuration model_configuration;

extern const struct model_provider model_mock, model_openai;

#endif
