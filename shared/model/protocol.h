/* How a provider is asked over HTTP: a protocol writes requests and reads answers; exchange.c does the rest,
 * once for all of them. */
#ifndef SHARED_MODEL_PROTOCOL_H
#define SHARED_MODEL_PROTOCOL_H

#include <cjson/cJSON.h>

#include "shared/buffer.h"
#include "shared/model/allowance.h"
#include "shared/model/provider.h"

enum { MODEL_HEADERS_MAX = 4 };

/* What an answer has told so far: a whole one at once, a stream event by event. */
struct model_reading {
    struct arena *arena;
    struct buffer text;
    struct buffer refusal; /* in the model's own words */
    const char *blocked;   /* a sentence: it was refused otherwise; NULL: it was not */
    const char *broken;    /* a sentence: it ended in a way that leaves it unfinished; NULL: it did not */
    bool readable;         /* there was something in which a text could stand */
    bool ended;            /* a stream has come to its good end */
    bool in_tool;          /* the text is a tool's input */
    struct model_answer answer; /* only the tokens and cut */
};

struct model_protocol {
    /* Appends the path behind target->base_url. */
    void (*write_path)(struct buffer *path, const struct model_target *target, bool stream);
    /* Sets headers[0…MODEL_HEADERS_MAX - 1], as many as it needs, besides Content-Type; they live in arena.
     */
    void (*write_headers)(struct arena *arena, const struct model_target *target, const char **headers);
    /* Appends the body. form_way counts from 0 the ways to ask for a form, the best first. */
    void (*write_body)(struct buffer *body, const struct model_target *target,
        const struct model_request *request, bool stream, int form_way);
    int form_ways;
    /* Whether a body with status 400 or 422 says that the server does not know this way; NULL: never. */
    bool (*form_refused)(const char *body);
    void (*read)(struct model_reading *reading, const cJSON *root);
    /* The data of one event of a stream. */
    void (*read_event)(struct model_reading *reading, const cJSON *root);
    const char *end_mark; /* the data, no JSON, that is a stream's good end; NULL: read_event knows it */
    /* The HTTP status that an error told inside an answer stands for; 0: it does not say. */
    int (*error_status)(const cJSON *error);
    /* Makes a failure more precise by what its body says; NULL: the status says all. */
    void (*read_error)(const cJSON *error, struct model_answer *answer);
    struct allowance_headers allowance;
};

/* For model_adapter rows of protocols. */
void *exchange_open(uv_loop_t *loop, const struct model_target *target);
struct model_call *exchange_call(
    void *exchange, const struct model_request *request, model_done done, void *context);
void exchange_cancel(void *exchange, struct model_call *call);
void exchange_close(void *exchange);

/* reading.c: texts and figures in answers. */

/* json (length bytes) as a tree in arena. A model may well write \u0000, half a surrogate pair or bytes that
 * are no UTF-8: each becomes U+FFFD, and *replaced counts them. NULL: it is no JSON. */
cJSON *reading_parse(struct arena *arena, const char *json, size_t length, int *replaced);
/* Has read or read_event take root, which came with so many replaced characters. */
void reading_take(struct model_reading *reading,
    void (*read)(struct model_reading *reading, const cJSON *root), const cJSON *root, int replaced);
/* The answer that was read, whole and without an error: a text, or why there is none. */
void reading_finish(
    struct model_reading *reading, const struct model_target *target, struct model_answer *answer);
/* The member as a string, or NULL. */
const char *reading_string(const cJSON *object, const char *name);
/* Sets *count if the member is a count. */
void reading_count(const cJSON *object, const char *name, int64_t *count);

/* failure.c: what went wrong, as a typed failure. */

struct http_call_answer;
void failure_set(
    struct model_answer *answer, enum model_status status, enum model_error kind, const char *error);
/* No answer came. */
void failure_unreached(struct arena *arena, const struct http_call_answer *http, struct model_answer *answer);
/* The server told an error with an HTTP status, or inside an answer (status is then what it stands for).
 * root: the body, NULL when it is no JSON. */
void failure_told(struct arena *arena, const struct model_target *target, int status, const cJSON *root,
    struct model_answer *answer);
/* The error that an answer or an event holds, or NULL. */
const cJSON *failure_inside(const cJSON *root);
/* error.code, where it is an HTTP status as a number or text, else 0. */
int failure_code(const cJSON *error);
/* The start of text on one line, without the key: servers like to repeat it. */
const char *failure_excerpt(struct arena *arena, const struct model_target *target, const char *text);

/* schema.c: what a provider takes of JSON Schema. */

enum schema_dialect {
    SCHEMA_PLAIN,  /* as it is, but for annotations of files */
    SCHEMA_STRICT, /* OpenAI's structured outputs: objects closed, no limits */
    SCHEMA_GEMINI, /* its subset of OpenAPI 3.0 */
};

/* Appends schema, which json_parse takes, in a dialect. */
void schema_write(struct buffer *buffer, const char *schema, enum schema_dialect dialect);
/* Whether each object of it requires all of its properties, as SCHEMA_STRICT must. */
bool schema_may_be_strict(const char *schema);

#endif
