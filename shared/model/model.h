/* Language models behind one interface: a request goes in, text or a typed error comes out. */
#ifndef SHARED_MODEL_MODEL_H
#define SHARED_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/metrics.h"
#include "shared/settings.h"

struct arena;
struct http_client;
struct trace;
struct model;
struct model_call;

/* LLM_PROVIDER, LLM_API_KEY (secret), LLM_BASE_URL, LLM_MODEL, LLM_TIMEOUT_MS, LLM_FIRST_BYTE_TIMEOUT_MS,
 * LLM_CONNECT_TIMEOUT_MS, LLM_MAX_TOKENS, LLM_OUTPUT_BYTES_MAX, LLM_STREAM; LLM_MODELS, LLM_FALLBACKS and
 * keys for these; the budget, limits and waits of tries. */
extern struct setting model_settings[];
extern struct metric model_metrics[];

/* The form of a structured answer: the provider is asked for it in its own way, and what comes is checked all
 * the same. */
struct model_form {
    const char *name;   /* "judgement": letters, digits and _ */
    const char *schema; /* a JSON Schema (2020-12) */
    /* Whether the text, one object in braces, is of that form; else *why, in arena. NULL: any JSON object. */
    bool (*check)(struct arena *arena, const char *text, size_t length, const char **why);
};

/* What all calls for one request may cost together, across retries, fallbacks and questions asked again.
 * Lives as long as the calls that share it. */
struct model_budget {
    int tries;        /* made so far */
    uint64_t ends_ms; /* by uv_now; 0: the first call begins it */
};

struct model_request {
    const char *system; /* "" : none */
    const char *user;
    double temperature;
    int max_tokens;                /* 0: LLM_MAX_TOKENS */
    const struct model_form *form; /* NULL: text */
    bool stream;                   /* the answer is read as it comes; done still gets the whole of it */
    const char *model;             /* a configured model's name; NULL: the process's first */
    struct model_budget *budget;   /* NULL: one of the call's own */
    bool somebody_waits;           /* it rather fails than waits long for a model that is away */
    int64_t timeout_ms;            /* of one try, set for the provider; 0: LLM_TIMEOUT_MS */
    /* For usage, spans and logs. */
    const char *purpose;       /* refine, generate, judge, analyse, propose */
    const char *request_id;    /* "" : none */
    const char *task_type;     /* "" : none */
    const char *tenant;        /* NULL: default */
    const struct trace *trace; /* the hop it belongs to; NULL: none */
};

enum model_status {
    MODEL_OK,
    MODEL_RETRY,  /* may pass: timeout, 429, 5xx, lost connection, an answer that broke off */
    MODEL_REJECT, /* will not: any other 4xx, a refusal, an answer that is no answer */
};

/* What went wrong, as metrics, spans and usage tell it; model_error_name gives the word. */
enum model_error {
    MODEL_ERROR_NONE,
    MODEL_ERROR_UNREACHABLE,      /* no connection, or no address */
    MODEL_ERROR_TIMEOUT,          /* of connecting, the first byte or the whole call */
    MODEL_ERROR_CUT,              /* the connection broke within the answer, or a stream had no end */
    MODEL_ERROR_RATE_LIMITED,     /* 429 */
    MODEL_ERROR_SERVER,           /* 5xx, and what counts as such (408, 529) */
    MODEL_ERROR_REQUEST,          /* 400 and other 4xx */
    MODEL_ERROR_UNAUTHORIZED,     /* 401, 403 */
    MODEL_ERROR_CONTEXT_TOO_LONG, /* the input is longer than the model takes */
    MODEL_ERROR_REFUSED,          /* by the model or its provider's filter */
    MODEL_ERROR_INVALID_ANSWER,   /* no JSON of the protocol, or nothing in it */
    MODEL_ERROR_TOO_LONG,         /* past LLM_OUTPUT_BYTES_MAX */
    MODEL_ERROR_FORM,             /* a structured answer twice not of its form */
    MODEL_ERROR_AWAY,             /* every model that might serve is away: its breaker is open */
    MODEL_ERROR_BUDGET,           /* the daily budget is spent */
    MODEL_ERROR_CANCELLED,        /* given up by who asked */
    MODEL_ERROR_COUNT
};

const char *model_error_name(enum model_error error);

/* Whether it was the model's, and not the request's: another time the same request may be served. */
bool model_error_may_pass(enum model_error error);

/* What a server's rate headers say is left of a limit (x-ratelimit-remaining-requests, -reset-requests,
 * anthropic-ratelimit-requests-remaining, …). Zeroed: nothing was said. */
struct model_allowance {
    bool known;
    int64_t remaining; /* requests or tokens */
    int64_t reset_ms;  /* from now until the limit is whole again; -1: not said */
};

struct model_answer {
    enum model_status status;
    enum model_error error_kind; /* MODEL_ERROR_NONE: MODEL_OK */
    const char *text;            /* MODEL_OK: valid UTF-8 without NUL, may be "", of a request with a form the
                                    object that is of it; borrowed for the call */
    size_t length;
    int replaced;           /* NUL and invalid bytes that became U+FFFD in text */
    const char *error;      /* else: why, for people; holds no secret */
    int64_t retry_after_ms; /* -1: the model did not say */
    struct model_allowance requests_left, tokens_left;
    /* 0: not known. prompt_tokens includes the cached ones, completion_tokens the reasoning. */
    int64_t prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens;
    bool cut;          /* the answer ended at max_tokens */
    const char *model; /* as configured, of who answered or failed last; borrowed for the call; NULL: nobody
                          was asked */
};

/* answer is borrowed for the call. */
typedef void (*model_done)(void *context, const struct model_answer *answer);

/* Chooses the provider by the settings, and says in the log which: LLM_PROVIDER; unset, a base URL means
 * openai, only a key gemini, neither mock. */
struct model *model_open(uv_loop_t *loop);

/* The provider's: "mock", "openai", "gemini", "anthropic". */
const char *model_name(const struct model *model);

/* Whether a call may cost something: not all of its models are the mock. */
bool model_costs(const struct model *model);

/* The name of the model that a role has for itself: entry is the value of a setting of that name, an entry as
 * in LLM_MODELS or the name of one that stands there; "": NULL, the first one serves. A wrong one ends the
 * process with one line on standard error and exit code 2. */
const char *model_role(struct model *model, const char *setting, const char *entry);

/* Whether a request may name it, and the names of all that it may, ", " between them. */
bool model_knows(const struct model *model, const char *name);
const char *model_names(const struct model *model);

/* NULL, or why work that nobody waits for should not be begun: the role's model (without a role the first)
 * and its fallbacks are away, and enough calls wait to find out when they are back. back is called, from the
 * loop, when that may have changed. */
const char *model_away(const struct model *model);
void model_on_back(struct model *model, void (*back)(void *context), void *context);

/* One try of a call, as it ended: what is counted, paid for and traced. All of it is borrowed for the call.
 */
struct model_target;
struct model_try {
    const struct model_request *request;
    const struct model_target *target;
    const struct model_answer *answer;
    int number;                 /* of the call's tries, from 1 */
    int64_t began_ns, ended_ns; /* Unix time */
};

/* Has each try told as it ends, also one that was given up (MODEL_ERROR_CANCELLED); observers are told in the
 * order they came. */
void model_observe(
    struct model *model, void (*ended)(void *context, const struct model_try *attempt), void *context);

/* Starts one call: as many tries, of the model and its fallbacks, as its budget allows. done is called once,
 * from the loop, never from inside model_call. The request is copied. An answer of MODEL_RETRY says that the
 * request is to come again in retry_after_ms with its count of tries; all else that is not MODEL_OK has used
 * up the budget or would not get better, and is MODEL_REJECT. */
void model_call(struct model *model, const struct model_request *request, model_done done, void *context);

/* Calls under way are given up: their done is not called. Nulls *model. */
void model_close(struct model **model);

#endif
