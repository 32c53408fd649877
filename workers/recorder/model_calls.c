/* Calls of models as rows: hundreds of each message, so their columns are written straight into one array
 * each. */
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/pg.h"
#include "workers/recorder/recorder.h"

/* No conflict is looked for: positions move in the same transaction, so a message is recorded once. Places in
 * arrays are read instead of unnest's rows, which would be made and kept for each of so many columns; what
 * calls have in common stands in short arrays, once a group. */
static const struct pg_statement MODEL_CALLS = {
    "record_model_calls",
    "INSERT INTO model_calls (ended_at, cost_nanousd, request_id, duration_ms, prompt_tokens, cached_tokens, "
    "cache_write_tokens, completion_tokens, reasoning_tokens, number, provider, model, purpose, outcome, "
    "task_type, tenant) "
    "SELECT to_timestamp(($1::bigint[])[i] / 1000.0::float8), ($2::bigint[])[i], "
    "nullif(($3::uuid[])[i], '00000000-0000-0000-0000-000000000000'), ($4::int[])[i], ($5::int[])[i], "
    "($6::int[])[i], ($7::int[])[i], ($8::int[])[i], ($9::int[])[i], ($10::smallint[])[i], ($12::text[])[g], "
    "($13::text[])[g], ($14::text[])[g], ($15::text[])[g], ($16::text[])[g], ($17::text[])[g] "
    "FROM (SELECT i, ($11::int[])[i] AS g FROM generate_series(1, cardinality($11::int[])) AS i OFFSET 0) AS "
    "call",
};

/* An array with NULLs would be searched for each of its places. */
static const char NO_REQUEST[] = "00000000-0000-0000-0000-000000000000";

enum { CALL_COLUMNS = 11, GROUP_COLUMNS = 6, COLUMNS = CALL_COLUMNS + GROUP_COLUMNS };

static void add_call(struct buffer *columns, const struct usage_call *call, int group) {
    const int64_t after_id[] = {call->duration_ms, call->prompt_tokens, call->cached_tokens,
        call->cache_write_tokens, call->completion_tokens, call->reasoning_tokens,
        call->has_number ? call->number : 1, group};
    pg_array_add_integer(columns++, call->ended_at);
    pg_array_add_integer(columns++, call->cost_nanousd);
    pg_array_add(columns++, call->request_id ? call->request_id : NO_REQUEST);
    for (size_t i = 0; i < sizeof after_id / sizeof *after_id; i++)
        pg_array_add_integer(columns++, after_id[i]);
}

static bool is_alike(const struct usage_group *a, const struct usage_group *b) {
    return strcmp(a->provider, b->provider) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->purpose, b->purpose) == 0 && strcmp(a->outcome, b->outcome) == 0 &&
           strcmp(a->task_type, b->task_type) == 0 && strcmp(a->tenant, b->tenant) == 0;
}

/* The groups of a transaction; of those that are alike mostly one. */
struct groups {
    const struct usage_group *seen[32];
    int numbers[32]; /* from 1 */
    int count;
};

static int group_number(struct groups *groups, struct buffer *columns, const struct usage_group *group) {
    enum { SEEN_MAX = sizeof groups->seen / sizeof *groups->seen };
    for (int i = 0; i < SEEN_MAX && i < groups->count; i++)
        if (is_alike(groups->seen[i], group))
            return groups->numbers[i];
    const char *const texts[GROUP_COLUMNS] = {
        group->provider, group->model, group->purpose, group->outcome, group->task_type, group->tenant};
    for (int i = 0; i < GROUP_COLUMNS; i++)
        pg_array_add(&columns[i], texts[i]);
    groups->seen[groups->count % SEEN_MAX] = group;
    groups->numbers[groups->count % SEEN_MAX] = groups->count + 1;
    return ++groups->count;
}

static void add_message(struct groups *groups, struct buffer *columns, const struct usage *usage) {
    for (size_t i = 0; i < usage->groups_count; i++) {
        const struct usage_group *group = &usage->groups[i];
        int number = group_number(groups, columns + CALL_COLUMNS, group);
        for (size_t call = 0; call < group->calls_count; call++)
            add_call(columns, &group->calls[call], number);
    }
}

bool recorder_add_model_calls(struct arena *arena, const struct item *items, struct pg_step *step) {
    struct buffer columns[COLUMNS];
    struct groups groups = {.count = 0};
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = buffer_in(arena);
        pg_array_begin(&columns[i]);
    }
    for (const struct item *item = items; item; item = item->next)
        if (item->usage && !item->unrecordable)
            add_message(&groups, columns, item->usage);
    const char **values = arena_alloc(arena, sizeof *values * COLUMNS);
    for (int i = 0; i < COLUMNS; i++) {
        pg_array_end(&columns[i]);
        values[i] = buffer_text(&columns[i]);
    }
    *step = (struct pg_step){&MODEL_CALLS, COLUMNS, values};
    return groups.count > 0;
}
