/* Reads the query of a list; a parameter that is wrong is an error, never left out. */
#include "gateway/filters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/timestamp.h"

enum { LIMIT_DEFAULT = 20, LIMIT_MAX = 100 };

#define OFFSET_MAX ((INT64_C(1) << 53) - 1)

static void wrong(
    struct http_request *http, struct json_errors *errors, const char *name, const char *must_be) {
    struct arena *arena = http_arena(http);
    json_error_add(errors, arena, arena_format(arena, "?%s", name), "must be %s", must_be);
}

/* otherwise when there is none. */
static int64_t read_integer(struct http_request *http, const char *name, int64_t otherwise, int64_t min,
    int64_t max, struct json_errors *errors) {
    const char *text = http_query(http, name);
    if (!text)
        return otherwise;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!errno && end != text && !*end && value >= min && value <= max)
        return value;
    wrong(http, errors, name,
        arena_format(http_arena(http), "an integer from %lld to %lld", (long long)min, (long long)max));
    return otherwise;
}

/* One of two words, as SQL's true (the first one) or false; NULL when there is none. */
static const char *read_choice(struct http_request *http, const char *name, const char *yes, const char *no,
    struct json_errors *errors) {
    const char *text = http_query(http, name);
    if (!text)
        return NULL;
    if (strcmp(text, yes) == 0 || strcmp(text, no) == 0)
        return strcmp(text, yes) == 0 ? "true" : "false";
    wrong(http, errors, name, arena_format(http_arena(http), "%s or %s", yes, no));
    return NULL;
}

/* As microseconds since 1970, in text; NULL when there is none. */
static const char *read_time(struct http_request *http, const char *name, struct json_errors *errors) {
    const char *text = http_query(http, name);
    int64_t microseconds;
    if (!text)
        return NULL;
    if (timestamp_read(text, &microseconds))
        return arena_format(http_arena(http), "%lld", (long long)microseconds);
    wrong(http, errors, name, "a time as 2026-01-31T12:00:00Z (RFC 3339), or Unix milliseconds");
    return NULL;
}

bool filters_read(struct http_request *http, struct filters *filters, struct json_errors *errors) {
    *filters = (struct filters){
        .values =
            {
                http_query(http, "task_type"),
                /* What is queued has no row: a list of it would look as if nothing were. */
                read_choice(http, "status", "failed", "succeeded", errors),
                read_choice(http, "passed", "true", "false", errors),
                read_time(http, "created_after", errors),
                read_time(http, "created_before", errors),
            },
        .limit = read_integer(http, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX, errors),
        .offset = read_integer(http, "offset", 0, 0, OFFSET_MAX, errors),
        .cursor = read_integer(http, "cursor", 0, 1, OFFSET_MAX, errors),
    };
    return errors->count == 0;
}
