/* Task types that were seen with an active prompt, and the question to Postgres about those that were not. */
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"

enum { TYPES_MAX = 10000 };

struct asked {
    struct task_types *types;
    char *task_type;
    void (*done)(void *context, enum task_type_known known, const char *known_types);
    void *context;
};

struct task_types {
    struct pg *pg;
    char **seen; /* sorted */
    size_t count;
};

static const struct pg_statement KNOWN = {
    "known_task_types",
    "SELECT DISTINCT task_type FROM prompts WHERE is_active ORDER BY task_type LIMIT 10000",
};

struct task_types *task_types_open(struct pg *pg) {
    struct task_types *types = calloc(1, sizeof *types);
    if (!types || !(types->seen = calloc(TYPES_MAX, sizeof *types->seen)))
        abort();
    types->pg = pg;
    return types;
}

/* Where task_type stands, or belongs. */
static size_t find(const struct task_types *types, const char *task_type, bool *found) {
    size_t low = 0, high = types->count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(types->seen[middle], task_type);
        *found = *found || order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool task_types_seen(const struct task_types *types, const char *task_type) {
    bool found;
    find(types, task_type, &found);
    return found;
}

static void add(struct task_types *types, const char *task_type) {
    bool found;
    size_t at = find(types, task_type, &found);
    if (found || types->count == TYPES_MAX)
        return;
    memmove(&types->seen[at + 1], &types->seen[at], (types->count - at) * sizeof *types->seen);
    if (!(types->seen[at] = strdup(task_type)))
        abort();
    types->count++;
}

static const char *join(struct arena *arena, const struct pg_result *result) {
    struct buffer text = buffer_in(arena);
    for (int row = 0; row < pg_rows(result) && text.length < 2000; row++)
        buffer_format(&text, "%s%s", row ? ", " : "", pg_value(result, row, 0));
    return buffer_text(&text);
}

static void on_known(void *context, const struct pg_result *result) {
    struct asked *asked = context;
    struct arena *arena = arena_create(0);
    enum task_type_known known = TASK_TYPE_UNSURE;
    if (pg_status(result) == PG_OK) {
        known = TASK_TYPE_UNKNOWN;
        for (int row = 0; row < pg_rows(result); row++) {
            add(asked->types, pg_value(result, row, 0));
            if (strcmp(pg_value(result, row, 0), asked->task_type) == 0)
                known = TASK_TYPE_KNOWN;
        }
    } else if (pg_status(result) == PG_FAILED) {
        log_error("task_types_not_read", log_string("reason", pg_message(result)));
    }
    asked->done(asked->context, known, known == TASK_TYPE_UNSURE ? "" : join(arena, result));
    arena_destroy(&arena);
    free(asked->task_type);
    free(asked);
}

void task_types_check(struct task_types *types, const char *task_type,
    void (*done)(void *context, enum task_type_known known, const char *known_types), void *context) {
    if (task_types_seen(types, task_type) || !pg_ready(types->pg)) {
        done(context, task_types_seen(types, task_type) ? TASK_TYPE_KNOWN : TASK_TYPE_UNSURE, "");
        return;
    }
    struct asked *asked = calloc(1, sizeof *asked);
    if (!asked || !(asked->task_type = strdup(task_type)))
        abort();
    asked->types = types;
    asked->done = done;
    asked->context = context;
    pg_query(types->pg, &KNOWN, 0, NULL, on_known, asked);
}

void task_types_close(struct task_types **types) {
    for (size_t i = 0; i < (*types)->count; i++)
        free((*types)->seen[i]);
    free((*types)->seen);
    free(*types);
    *types = NULL;
}
