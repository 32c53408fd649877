/* Results as they stand in the table results, asked for by request and run. */
#ifndef SHARED_STORED_RESULT_H
#define SHARED_STORED_RESULT_H

#include <stddef.h>

#include "schemas/result.h"
#include "shared/pg.h"

struct arena;

/* $1: array of request ids, $2: array of runs, as long. One row for each pair that is recorded, in any
 * order: column 0 is the request id in small letters, column 1 the run. */
extern const struct pg_statement STORED_RESULTS;

/* Fills *result from a row; what it points at is in arena. */
void stored_result_read(struct arena *arena, const struct pg_result *rows, int row, struct result *result);

/* Which of the pairs that were asked for, from 0, the row belongs to. */
size_t stored_result_place(const struct pg_result *rows, int row);

#endif
