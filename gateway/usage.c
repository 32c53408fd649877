/* GET /api/v1/usage: what calls of models used, summed up in the groups that were asked for. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "gateway/query.h"
#include "schemas/usage_report.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/pg.h"

enum { DAYS_DEFAULT = 30, LIMIT_DEFAULT = 100, LIMIT_MAX = 1000, DAY_BYTES = sizeof "2026-01-31" };

/* What calls can be grouped by, in the order of the statement's columns and of its parameters $3…$9. */
static const char *const DIMENSIONS[] = {
    "day", "task_type", "model", "provider", "purpose", "outcome", "tenant"};
enum { DIMENSION_COUNT = sizeof DIMENSIONS / sizeof *DIMENSIONS };

enum { COLUMN_CALLS = DIMENSION_COUNT, COLUMN_TOTALS = COLUMN_CALLS + 8, COLUMN_GROUPS = COLUMN_TOTALS + 8 };

/* Parameters: $1 and $2 the days, the last one exclusive; $3…$9 which of the dimensions make groups; $10 and
 * $11 task_type and model; $12 their order, as places in DIMENSIONS from 1; $13 and $14 limit and offset.
 * Always at least one row, so that the totals are told also where the page is empty. */
#define SUM(column) "LEAST(COALESCE(sum(" column "), 0), 9007199254740991)"
#define SUMS                                                                                                 \
    SUM("calls")                                                                                             \
    ", " SUM("failed") ", " SUM("prompt") ", " SUM("cached") ", " SUM("cache_write") ", " SUM(               \
        "completion") ", " SUM("reasoning") ", " SUM("cost")
static const struct pg_statement REPORT = {
    "usage_report",
    "WITH grouped AS MATERIALIZED (SELECT to_char(day, 'YYYY-MM-DD') AS day, task_type, model, provider, "
    "purpose, outcome, tenant, calls, failed, prompt, cached, cache_write, completion, reasoning, cost FROM ("
    "SELECT CASE WHEN $3::boolean THEN (ended_at AT TIME ZONE 'UTC')::date END AS day, "
    "CASE WHEN $4::boolean THEN task_type END AS task_type, CASE WHEN $5::boolean THEN model END AS model, "
    "CASE WHEN $6::boolean THEN provider END AS provider, CASE WHEN $7::boolean THEN purpose END AS purpose, "
    "CASE WHEN $8::boolean THEN outcome END AS outcome, CASE WHEN $9::boolean THEN tenant END AS tenant, "
    "count(*) AS calls, count(*) FILTER (WHERE outcome <> 'ok') AS failed, sum(prompt_tokens) AS prompt, "
    "sum(cached_tokens) AS cached, sum(cache_write_tokens) AS cache_write, sum(completion_tokens) AS "
    "completion, sum(reasoning_tokens) AS reasoning, sum(cost_nanousd) AS cost FROM model_calls WHERE "
    "ended_at >= $1::date::timestamp AT TIME ZONE 'UTC' AND ended_at < $2::date::timestamp AT TIME ZONE "
    "'UTC' "
    "AND ($10::text IS NULL OR model_calls.task_type = $10) AND ($11::text IS NULL OR model_calls.model = "
    "$11) "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7) AS summed), "
    "page AS (SELECT *, ARRAY[day, task_type, model, provider, purpose, outcome, tenant] AS keys FROM "
    "grouped "
    "ORDER BY (ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[1]], "
    "(ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[2]], "
    "(ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[3]], "
    "(ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[4]], "
    "(ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[5]], "
    "(ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[6]], "
    "(ARRAY[day, task_type, model, provider, purpose, outcome, tenant])[($12::int[])[7]] "
    "LIMIT $13::bigint OFFSET $14::bigint) "
    "SELECT page.day, page.task_type, page.model, page.provider, page.purpose, page.outcome, page.tenant, "
    "page.calls, page.failed, page.prompt, page.cached, page.cache_write, page.completion, page.reasoning, "
    "page.cost, totals.* FROM (SELECT " SUMS ", count(*) FROM grouped) AS totals LEFT JOIN page ON true "
    "ORDER BY keys[($12::int[])[1]], keys[($12::int[])[2]], keys[($12::int[])[3]], keys[($12::int[])[4]], "
    "keys[($12::int[])[5]], keys[($12::int[])[6]], keys[($12::int[])[7]]",
};

struct usage_query {
    bool grouped[DIMENSION_COUNT];
    const char *order;                   /* an array's text */
    char from[DAY_BYTES], to[DAY_BYTES]; /* both days are meant */
    const char *behind;                  /* the day after to */
    int64_t limit, offset;
};

static int dimension_of(const char *name, size_t length) {
    for (int i = 0; i < DIMENSION_COUNT; i++)
        if (strlen(DIMENSIONS[i]) == length && strncmp(DIMENSIONS[i], name, length) == 0)
            return i;
    return -1;
}

static void read_groups(struct http_request *http, struct usage_query *query, struct json_errors *errors) {
    const char *text = http_query(http, "group_by");
    struct buffer order = buffer_in(http_arena(http));
    if (!text)
        text = "day,task_type,model";
    pg_array_begin(&order);
    for (const char *at = text;; at += strcspn(at, ",") + 1) {
        int dimension = dimension_of(at, strcspn(at, ","));
        if (dimension < 0 || query->grouped[dimension]) {
            json_error_add(errors, http_arena(http), "?group_by",
                "must be some of day, task_type, model, provider, purpose, outcome, tenant, each once, with "
                "commas between");
            break;
        }
        query->grouped[dimension] = true;
        pg_array_add_integer(&order, dimension + 1);
        if (!at[strcspn(at, ",")])
            break;
    }
    pg_array_end(&order);
    query->order = buffer_text(&order);
}

/* Sets day to the text of otherwise when the query has none of that name. Returns noon of it. */
static time_t read_day(struct http_request *http, const char *name, time_t otherwise, char day[DAY_BYTES],
    struct json_errors *errors) {
    const char *text = http_query(http, name);
    struct tm utc = {.tm_hour = 12};
    const char *end = text ? strptime(text, "%Y-%m-%d", &utc) : NULL;
    time_t noon = end && !*end ? timegm(&utc) : otherwise;
    gmtime_r(&noon, &utc);
    if (!strftime(day, DAY_BYTES, "%Y-%m-%d", &utc) || (text && strcmp(text, day) != 0))
        json_error_add(errors, http_arena(http), arena_format(http_arena(http), "?%s", name),
            "must be a day as 2026-01-31");
    return noon;
}

static void read_days(struct http_request *http, struct usage_query *query, struct json_errors *errors) {
    enum { DAY_S = 86400 };
    time_t to = read_day(http, "to", time(NULL) / DAY_S * DAY_S + DAY_S / 2, query->to, errors);
    time_t from = read_day(http, "from", to - (time_t)(DAYS_DEFAULT - 1) * DAY_S, query->from, errors);
    char *behind = arena_alloc(http_arena(http), 32);
    struct tm utc;
    to += DAY_S;
    gmtime_r(&to, &utc);
    strftime(behind, 32, "%Y-%m-%d", &utc);
    query->behind = behind;
    if (!errors->count && from >= to)
        json_error_add(errors, http_arena(http), "?from", "must not be after to");
}

static int64_t integer(const struct pg_result *rows, int row, int column) {
    const char *text = pg_value(rows, row, column);
    return text ? strtoll(text, NULL, 10) : 0;
}

static struct usage_item sums_of(const struct pg_result *rows, int row, int first) {
    return (struct usage_item){
        .calls = integer(rows, row, first),
        .failed = integer(rows, row, first + 1),
        .prompt_tokens = integer(rows, row, first + 2),
        .cached_tokens = integer(rows, row, first + 3),
        .cache_write_tokens = integer(rows, row, first + 4),
        .completion_tokens = integer(rows, row, first + 5),
        .reasoning_tokens = integer(rows, row, first + 6),
        .cost_usd = (double)integer(rows, row, first + 7) / 1e9,
    };
}

static void answer(struct http_request *http, void *state, const struct pg_result *rows) {
    const struct usage_query *query = state;
    struct usage_item *items = arena_alloc(http_arena(http), sizeof *items * (size_t)(pg_rows(rows) + 1));
    size_t count = 0;
    for (int row = 0; row < pg_rows(rows); row++) {
        /* Without a group there is one row of nothing but the totals. */
        if (!pg_value(rows, row, COLUMN_CALLS))
            continue;
        struct usage_item *item = &items[count++];
        *item = sums_of(rows, row, COLUMN_CALLS);
        const char **const members[] = {&item->day, &item->task_type, &item->model, &item->provider,
            &item->purpose, &item->outcome, &item->tenant};
        for (int i = 0; i < DIMENSION_COUNT; i++)
            *members[i] = pg_value(rows, row, i);
    }
    struct usage_report report = {.items = items,
        .items_count = count,
        .totals = sums_of(rows, 0, COLUMN_TOTALS),
        .from = query->from,
        .to = query->to,
        .total = integer(rows, 0, COLUMN_GROUPS),
        .limit = query->limit,
        .offset = query->offset};
    query_respond(http, 200, &USAGE_REPORT_MESSAGE, &report);
}

void usage_get(struct http_request *http, void *context) {
    struct gateway *gateway = context;
    struct arena *arena = http_arena(http);
    struct json_errors errors = {0};
    struct usage_query *query = arena_alloc(arena, sizeof *query);
    read_groups(http, query, &errors);
    read_days(http, query, &errors);
    query->limit = query_integer(http, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX, &errors);
    query->offset = query_integer(http, "offset", 0, 0, INT64_C(1) << 53, &errors);
    if (query_refused(http, &errors))
        return;
    const char *values[14] = {query->from, query->behind};
    for (int i = 0; i < DIMENSION_COUNT; i++)
        values[2 + i] = query->grouped[i] ? "true" : "false";
    values[9] = http_query(http, "task_type");
    values[10] = http_query(http, "model");
    values[11] = query->order;
    values[12] = arena_format(arena, "%lld", (long long)query->limit);
    values[13] = arena_format(arena, "%lld", (long long)query->offset);
    query_ask(gateway->management, http, &(struct pg_step){&REPORT, 14, values}, 1, answer, query);
}
