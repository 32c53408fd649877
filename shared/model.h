/* Language models behind one interface: a request goes in, text or a typed error comes out. */
#ifndef SHARED_MODEL_H
#define SHARED_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/metrics.h"
#include "shared/settings.h"

struct http_client;
struct model;
struct model_call;

/* LLM_API_KEY (secret), LLM_BASE_URL, LLM_MODEL, LLM_TIMEOUT_MS, LLM_CONNECT_TIMEOUT_MS, LLM_MAX_TOKENS,
 * LLM_OUTPUT_BYTES_MAX. */
extern struct setting model_settings[];
extern struct metric model_metrics[];

struct model_request {
    const char *system; /* "" : none */
    const char *user;
    double temperature;
    int max_tokens; /* 0: LLM_MAX_TOKENS */
    bool json;      /* ask for one JSON object, in the provider's own way */
};

enum model_status {
    MODEL_OK,
    MODEL_RETRY,  /* may pass: timeout, 429, 5xx, lost connection, an answer that broke off */
    MODEL_REJECT, /* will not: any other 4xx, a refusal, an answer that is no answer */
};

struct model_answer {
    enum model_status status;
    const char *text; /* MODEL_OK: valid UTF-8 without NUL, may be ""; borrowed for the call */
    size_t length;
    int replaced;                             /* NUL and invalid bytes that became U+FFFD in text */
    const char *error;                        /* else: why, for people; holds no secret */
    int64_t retry_after_ms;                   /* -1: the model did not say */
    int64_t prompt_tokens, completion_tokens; /* 0: not known */
    bool cut;                                 /* the answer ended at max_tokens */
};

/* answer is borrowed for the call. */
typedef void (*model_done)(void *context, const struct model_answer *answer);

/* A provider is one such row in model.c's table, in a place of its own (mock/, model_openai.c). */
struct model_provider {
    const char *name;
    void *(*open)(uv_loop_t *loop);
    struct model_call *(*call)(
        void *provider, const struct model_request *request, model_done done, void *context);
    void (*cancel)(void *provider, struct model_call *call);
    void (*close)(void *provider);
};

/* Chooses the provider by the settings: mock without LLM_API_KEY and LLM_BASE_URL, else openai; says in the
 * log which. */
struct model *model_open(uv_loop_t *loop);

/* "mock" or "openai". */
const char *model_name(const struct model *model);

/* Starts one call, without retries; done is called once, from the loop, never from inside model_call. The
 * request is copied. */
void model_call(struct model *model, const struct model_request *request, model_done done, void *context);

/* Calls under way are given up: their done is not called. Nulls *model. */
void model_close(struct model **model);

#endif
