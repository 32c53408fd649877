/* Prompts and their optimizations as people manage them over HTTP. */
#ifndef GATEWAY_PROMPTS_H
#define GATEWAY_PROMPTS_H

#include "schemas/prompt.h"

struct http_request;
struct pg_result;

/* prompts.c: the handlers of routes; context is the gateway. */
/* GET /api/v1/prompts */
void prompts_list(struct http_request *http, void *context);
/* POST /api/v1/prompts/{task_type} */
void prompts_add(struct http_request *http, void *context);
/* POST /api/v1/prompts/{task_type}/versions/{version}/activate */
void prompts_activate(struct http_request *http, void *context);
/* POST /api/v1/prompts/{task_type}/rollback */
void prompts_roll_back(struct http_request *http, void *context);

/* The columns of a prompt, of the table or a row named prompt, as prompt_from_row reads them. */
#define PROMPT_COLUMNS                                                                                       \
    "prompt.id, prompt.task_type, prompt.version, prompt.content, prompt.is_active, prompt.change_reason, "  \
    "prompt.created_by, " UTC_TEXT("prompt.created_at")

/* A column of time as RFC 3339 in UTC; NULL where it is NULL, "infinity" where somebody wrote that. */
#define UTC_TEXT(column)                                                                                     \
    "coalesce(to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), " column "::"     \
    "text)"

enum { PROMPT_COLUMN_COUNT = 8 };

/* first is the column of the prompt's id. What it points at is the row's. */
struct prompt prompt_from_row(const struct pg_result *rows, int row, int first);

/* The path's task type. NULL when it is none; then 400 was answered. */
const char *prompts_task_type(struct http_request *http);

/* Who the optional body says it is, "api" when it does not. NULL when it is no such body; then 400 was
 * answered. */
const char *prompts_author(struct http_request *http);

/* prompt_versions.c */
/* GET /api/v1/prompts/{task_type} */
void prompts_versions(struct http_request *http, void *context);
/* GET /api/v1/prompts/{task_type}/diff */
void prompts_diff(struct http_request *http, void *context);

/* optimizations.c */
/* POST /api/v1/prompts/{task_type}/optimize */
void optimizations_request(struct http_request *http, void *context);
/* GET /api/v1/optimizations */
void optimizations_list(struct http_request *http, void *context);
/* GET /api/v1/optimizations/{id} */
void optimizations_one(struct http_request *http, void *context);
/* POST /api/v1/optimizations/{id}/approve */
void optimizations_approve(struct http_request *http, void *context);
/* POST /api/v1/optimizations/{id}/reject */
void optimizations_reject(struct http_request *http, void *context);

#endif
