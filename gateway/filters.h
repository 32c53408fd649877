/* Which results a list shows: the query of GET /api/v1/requests, checked and as parameters of SQL. */
#ifndef GATEWAY_FILTERS_H
#define GATEWAY_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

struct http_request;
struct json_errors;

enum { FILTER_VALUES = 5 };

/* The condition over execution_logs, with the parameters $1…$5. */
#define FILTER_SQL                                                                                           \
    "($1::text IS NULL OR task_type = $1) AND "                                                              \
    "($2::boolean IS NULL OR (error_message IS NOT NULL) = $2) AND "                                         \
    "($3::boolean IS NULL OR evaluation_passed = $3) AND "                                                   \
    "($4::bigint IS NULL OR created_at >= timestamptz 'epoch' + $4 * interval '1 microsecond') AND "         \
    "($5::bigint IS NULL OR created_at < timestamptz 'epoch' + $5 * interval '1 microsecond')"

struct filters {
    const char *values[FILTER_VALUES]; /* for FILTER_SQL, in the request's arena; NULL: not narrowed by it */
    int64_t limit, offset;
    int64_t cursor; /* 0: none */
};

/* Reads the query. False with what is wrong in errors, where pointer is "?" and the parameter's name. */
bool filters_read(struct http_request *http, struct filters *filters, struct json_errors *errors);

#endif
