/* Gathers the task types that are asked for while a SELECT is under way, and asks for them together in the
 * next. */
#include "workers/generator/prompts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"
#include "shared/request_id.h"

struct asked {
    struct asked *next;
    const char *task_type;
    prompt_done done;
    void *context;
};

struct prompts {
    struct pg *pg;
    struct asked *waiting, **waiting_end; /* for the next SELECT */
    struct asked *sent;                   /* with the SELECT under way */
    bool under_way;
};

static const struct pg_statement ACTIVE_PROMPTS = {
    "active_prompts",
    "SELECT DISTINCT ON (task_type) task_type, id, version, content FROM prompts "
    "WHERE task_type = ANY($1::text[]) AND is_active ORDER BY task_type, version DESC, id DESC",
};

static void send_select(struct prompts *prompts);

struct prompts *prompts_open(struct pg *pg) {
    struct prompts *prompts = calloc(1, sizeof *prompts);
    if (!prompts)
        abort();
    prompts->pg = pg;
    prompts->waiting_end = &prompts->waiting;
    return prompts;
}

/* Few task types are asked for at once: a row is found by looking through them. */
static int row_of(const struct pg_result *result, const char *task_type) {
    for (int row = 0; row < pg_rows(result); row++)
        if (strcmp(pg_value(result, row, 0), task_type) == 0)
            return row;
    return -1;
}

static void tell(const struct asked *asked, const struct pg_result *result) {
    if (pg_status(result) != PG_OK) {
        asked->done(asked->context, pg_status(result) == PG_LOST ? PROMPT_AWAY : PROMPT_FAILED, NULL);
        return;
    }
    int row = row_of(result, asked->task_type);
    if (row < 0) {
        asked->done(asked->context, PROMPT_NONE, NULL);
        return;
    }
    char hash[65];
    struct prompt prompt = {strtoll(pg_value(result, row, 1), NULL, 10),
        strtoll(pg_value(result, row, 2), NULL, 10), pg_value(result, row, 3), hash};
    sha256_hex(prompt.content, hash);
    asked->done(asked->context, PROMPT_FOUND, &prompt);
}

static void on_rows(void *context, const struct pg_result *result) {
    struct prompts *prompts = context;
    struct asked *asked = prompts->sent;
    prompts->sent = NULL;
    prompts->under_way = false;
    if (pg_status(result) == PG_FAILED)
        log_error("prompts_not_read", log_string("reason", pg_message(result)));
    while (asked) {
        struct asked *next = asked->next;
        tell(asked, result);
        free(asked);
        asked = next;
    }
    send_select(prompts);
}

static bool asked_before(const struct asked *first, const struct asked *asked) {
    for (; first != asked; first = first->next)
        if (strcmp(first->task_type, asked->task_type) == 0)
            return true;
    return false;
}

static void send_select(struct prompts *prompts) {
    if (prompts->under_way || !prompts->waiting)
        return;
    struct arena *arena = arena_create(0);
    struct buffer types = buffer_in(arena);
    prompts->sent = prompts->waiting;
    prompts->waiting = NULL;
    prompts->waiting_end = &prompts->waiting;
    prompts->under_way = true;
    pg_array_begin(&types);
    for (const struct asked *asked = prompts->sent; asked; asked = asked->next)
        if (!asked_before(prompts->sent, asked))
            pg_array_add(&types, asked->task_type);
    pg_array_end(&types);
    pg_query(prompts->pg, &ACTIVE_PROMPTS, 1, (const char *const[]){buffer_text(&types)}, on_rows, prompts);
    arena_destroy(&arena);
}

void prompts_read(struct prompts *prompts, const char *task_type, prompt_done done, void *context) {
    struct asked *asked = malloc(sizeof *asked);
    if (!asked)
        abort();
    *asked = (struct asked){NULL, task_type, done, context};
    *prompts->waiting_end = asked;
    prompts->waiting_end = &asked->next;
    send_select(prompts);
}

void prompts_close(struct prompts **prompts) {
    free(*prompts);
    *prompts = NULL;
}
