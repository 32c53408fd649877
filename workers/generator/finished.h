/* Which requests already have their result: asked of Postgres after the job came, together with what other
 * jobs ask while a query is under way. */
#ifndef WORKERS_GENERATOR_FINISHED_H
#define WORKERS_GENERATOR_FINISHED_H

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

/* result lives in the arena that was given with the question; NULL unless FINISHED_BEFORE. */
typedef void (*finished_done)(void *context, enum finished_found found, const struct result *result);

struct finished *finished_open(struct pg *pg);

/* request_id (a UUID) and arena are borrowed until done, which is called once, from the loop. */
void finished_ask(struct finished *finished, struct arena *arena, const char *request_id, int64_t run,
    finished_done done, void *context);

#endif
