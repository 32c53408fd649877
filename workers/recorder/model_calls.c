/* Calls of models as rows: hundreds of each message, so their columns are written straight into one array
 * each. */
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/pg.h"
#include "workers/recorder/recorder.h"

/* No conflict is looked for: positions move in the same transaction, so a message is recorded once. */
static const struct pg_statement MODEL_CALLS = {
    "record_model_calls",
    "INSERT INTO model_calls (ended_at, cost_nanousd, request_id, duration_ms, prompt_tokens, cached_tokens, "
    "cache_write_tokens, completion_tokens, reasoning_tokens, number, provider, model, purpose, outcome, "
    "task_type, tenant) "
    "SELECT to_timestamp(ended_at / 1000.0), cost, request_id, duration, prompt, cached, cache_write, "
    "completion, reasoning, number, provider, model, purpose, outcome, task_type, tenant "
    "FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::int[], $5::int[], $6::int[], $7::int[], "
    "$8::int[], $9::int[], $10::smallint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], "
    "$16::text[]) AS call(ended_at, cost, request_id, duration, prompt, cached, cache_write, completion, "
    "reasoning, number, provider, model, purpose, outcome, task_type, tenant)",
};

enum { COLUMNS = 16 };

static void add_call(struct buffer *columns, const struct call_usage *call) {
    const int64_t before_id[] = {call->ended_at, call->cost_nanousd};
    const int64_t after_id[] = {call->duration_ms, call->prompt_tokens, call->cached_tokens,
        call->cache_write_tokens, call->completion_tokens, call->reasoning_tokens,
        call->has_number ? call->number : 1};
    const char *const texts[] = {call->provider, call->model, call->purpose,
        call->outcome ? call->outcome : "ok", call->task_type, call->tenant ? call->tenant : "default"};
    struct buffer *column = columns;
    for (size_t i = 0; i < sizeof before_id / sizeof *before_id; i++)
        pg_array_add_integer(column++, before_id[i]);
    pg_array_add(column++, call->request_id);
    for (size_t i = 0; i < sizeof after_id / sizeof *after_id; i++)
        pg_array_add_integer(column++, after_id[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        pg_array_add(column++, texts[i]);
}

bool recorder_add_model_calls(struct arena *arena, const struct item *items, struct pg_step *step) {
    struct buffer columns[COLUMNS];
    bool any = false;
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = buffer_in(arena);
        pg_array_begin(&columns[i]);
    }
    for (const struct item *item = items; item; item = item->next)
        for (size_t i = 0; item->usage && !item->unrecordable && i < item->usage->calls_count; i++) {
            add_call(columns, &item->usage->calls[i]);
            any = true;
        }
    const char **values = arena_alloc(arena, sizeof *values * COLUMNS);
    for (int i = 0; i < COLUMNS; i++) {
        pg_array_end(&columns[i]);
        values[i] = buffer_text(&columns[i]);
    }
    *step = (struct pg_step){&MODEL_CALLS, COLUMNS, values};
    return any;
}
