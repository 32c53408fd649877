/* What the gateway's files share: its state, and the requests that wait for an answer. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "schemas/result.h"
#include "shared/metrics.h"
#include "shared/request_id.h"
#include "shared/settings.h"
#include "shared/trace.h"

struct arena;
struct door;
struct http_request;
struct keys;
struct models;
struct pg_result;
struct request_span;
struct task_types;
struct uploads;
struct waiters;

struct gateway_settings {
    int64_t request_timeout_ms, request_expiry_ms, grace_ms;
    int64_t waiting_max;
};
extern struct gateway_settings gateway_settings;

struct gateway {
    uv_loop_t loop;
    struct kafka *kafka;
    struct replies *replies;
    struct pg *pg;
    struct pg *management; /* for what people change: that may wait for locks, and requests may not */
    struct http_server *http;
    struct task_types *task_types;
    struct models *models;
    struct waiters *waiters;
    struct keys *keys;
    struct uploads *uploads;
    struct door *door;
    bool draining;
    uv_timer_t grace_timer, connecting_timer;
    uv_signal_t sigterm, sigint;
};

/* submit.c: one submission, from its body to its answer. It lives in its own arena, which outlasts the HTTP
 * request until Kafka has given its report; what Kafka is lent lives in another one, which ends with the
 * report, so that who waits for a result holds little. */
struct exchange {
    struct exchange *next; /* in the waiters' table */
    struct gateway *gateway;
    struct arena *arena;
    struct arena *lent;        /* of user_input and the record; NULL after Kafka's report */
    struct http_request *http; /* NULL once it is answered, or the client has left */
    char request_id[UUID_TEXT_BYTES];
    struct trace trace;
    struct request_span *span; /* NULL: nobody wants it */
    const char *user_input;    /* gone with Kafka's report */
    const char *task_type;
    const char *model; /* that is to serve it; NULL: the first one */
    const char *key;   /* the idempotency key, or NULL */
    int64_t wait_ms;   /* how long its caller waits for the result; 0: for Kafka's acknowledgement only */
    bool synchronous;  /* by POST /api/v1/request: the wait ends with 504 instead of 202 */
    bool acknowledged; /* Kafka has it */
    uint64_t started;  /* uv_hrtime */
    uint64_t waiting_since; /* loop time in ms */
    bool waiting;           /* in the waiters' table */
    bool sent;              /* Kafka's report is still to come */
    bool published;         /* it was handed to Kafka */
    uv_timer_t *timer;
};

/* POST /api/v1/request: waits for the result. */
void submit_synchronous(struct http_request *http, void *context);
/* POST /api/v1/requests: waits for Kafka's acknowledgement, or with Prefer: wait=N for the result. */
void submit_asynchronous(struct http_request *http, void *context);

/* Answers a exchange that waits with its result, 200 or 502; takes it out of the table. */
void exchange_finish(struct exchange *exchange, const struct result *result);

/* waiters.c: who waits for which request id. */
struct waiters *waiters_open(struct gateway *gateway);
void waiters_add(struct waiters *waiters, struct exchange *exchange);
void waiters_remove(struct waiters *waiters, struct exchange *exchange);
size_t waiters_count(const struct waiters *waiters);
/* Asks Postgres for those that are due now instead of within a second. */
void waiters_ask(struct waiters *waiters);
/* NULL when nobody here waits for it; where several do, one of them. */
struct exchange *waiters_find(struct waiters *waiters, const char *request_id);
/* What came on our partition of replies (shared/replies.h); context is the gateway. */
void waiters_replied(void *context, const char *key, const char *value, size_t length);
void waiters_close(struct waiters **waiters);

/* task_types.c: which task types are known, that is have an active prompt. */
enum task_type_known {
    TASK_TYPE_KNOWN,
    TASK_TYPE_UNKNOWN,
    TASK_TYPE_UNSURE, /* Postgres is away: the generator will find out */
};
struct task_types *task_types_open(struct pg *pg);
/* Asks Postgres about a type it has not seen. done is called once, at once or later; known_types lists the
 * known ones for people, and is borrowed for the call. */
void task_types_check(struct task_types *types, const char *task_type,
    void (*done)(void *context, enum task_type_known known, const char *known_types), void *context);
/* True for a type that has been seen: only these become labels of metrics. */
bool task_types_seen(const struct task_types *types, const char *task_type);
void task_types_close(struct task_types **types);

/* models.c: which models a request may name, as the workers' settings that the gateway is given too say. */
extern struct setting models_settings[];
/* A wrong setting ends the process with one line on standard error and exit code 2. */
struct models *models_open(void);
/* Says that name is no configured model's, and which there are, for as long as models lives; NULL: it may be
 * named (NULL: none is), or the gateway does not know the models. */
const char *models_refusal(const struct models *models, const char *name);
void models_close(struct models **models);

/* results.c */
/* GET /api/v1/request/{id} */
void results_one(struct http_request *http, void *context);
/* GET /api/v1/requests */
void results_list(struct http_request *http, void *context);
/* The columns of a result in the order that result_from_row reads them; table is results or
 * execution_logs. */
extern const char RESULT_COLUMNS[];
enum { RESULT_COLUMN_COUNT = 12 };
void result_from_row(struct arena *arena, const struct pg_result *rows, int row, struct result *result);

/* batch_upload.c: POST /api/v1/requests:batch */
extern const struct http_upload batch_upload;
struct uploads *uploads_open(struct gateway *gateway);

/* batch_answer.c */
extern struct metric batch_metrics[];

/* batches.c */
/* GET /api/v1/batches/{id} */
void batches_one(struct http_request *http, void *context);
/* GET /api/v1/batches/{id}/results */
void batches_results(struct http_request *http, void *context);

/* usage.c */
/* GET /api/v1/usage */
void usage_get(struct http_request *http, void *context);

/* budget.c: whether generators refuse requests since the daily budget is spent, asked of Postgres once a
 * second. */
struct door *door_open(struct gateway *gateway);
/* Says, in arena, that it is spent; NULL: requests may be taken. */
const char *door_refusal(const struct door *door, struct arena *arena);
void door_close(struct door **door);

/* metrics.c */
extern struct metric gateway_metrics[];
void count_request(const struct gateway *gateway, const char *task_type, const char *status, double seconds);

#endif
