/* Which requests already have their result, or are refined at least: asked of Postgres after the job came,
 * together with what other jobs ask while a query is under way. */
#ifndef WORKERS_GENERATOR_FINISHED_H
#define WORKERS_GENERATOR_FINISHED_H

#include <stdbool.h>
#include <stdint.h>

#include "schemas/result.h"

struct arena;
struct finished;
struct pg;

enum finished_found {
    FINISHED_NOT,    /* there is no result */
    FINISHED_BEFORE, /* result is the stored one */
    FINISHED_AWAY,   /* Postgres is away */
    FINISHED_FAILED, /* Postgres refused the query */
};

/* result and refined_input live in the arena that was given with the question; result is NULL unless
 * FINISHED_BEFORE, refined_input unless FINISHED_NOT and somebody has kept it (refined.h). */
typedef void (*finished_done)(
    void *context, enum finished_found found, const struct result *result, const char *refined_input);

/* refined: whether refined inputs are looked for, which costs a second query. */
struct finished *finished_open(struct pg *pg, bool refined);

/* request_id (a UUID) and arena are borrowed until done, which is called once, from the loop. */
void finished_ask(struct finished *finished, struct arena *arena, const char *request_id, int64_t run,
    finished_done done, void *context);

#endif
