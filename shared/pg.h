/* Postgres on the event loop: one connection in pipeline mode that comes back by itself. The only file that
 * includes libpq is pg.c. */
#ifndef SHARED_PG_H
#define SHARED_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/settings.h"

struct arena;
struct buffer;
struct pg;
struct pg_result;

/* DATABASE_URL, PG_CONNECT_TIMEOUT_MS, PG_QUERY_TIMEOUT_MS: the rows for a process's settings. */
extern struct setting pg_settings[];

/* A statement with $1…$n, prepared once a connection at its first use. Static: its address is its
 * identity. */
struct pg_statement {
    const char *name; /* unique in the process, snake_case */
    const char *sql;
};

enum pg_status {
    PG_OK,
    PG_FAILED, /* the server refused it: pg_sqlstate and pg_message say why; nothing of it remains */
    PG_LOST,   /* the connection ended, or no answer came in time: whether it was committed is not known */
};

/* Called once for each query, from the loop, never from inside pg_query. result is borrowed for the call. */
typedef void (*pg_done)(void *context, const struct pg_result *result);

/* Begins to connect, and goes on for as long as it takes: says so in the log once a second at most, with
 * back-off and jitter. Host names are resolved off the loop thread; several hosts mean the one that takes
 * writes. changed (may be NULL) is called when the connection comes and when it goes. url comes from
 * pg_settings. */
struct pg *pg_open(uv_loop_t *loop, void (*changed)(void *context, bool ready), void *context);

bool pg_ready(const struct pg *pg);

/* Sends one statement as a transaction of its own. values: one text for each parameter, NULL for SQL NULL,
 * borrowed for the call only. Without a connection done is told PG_LOST, from the loop. */
void pg_query(struct pg *pg, const struct pg_statement *statement, int count, const char *const *values,
    pg_done done, void *context);

struct pg_step {
    const struct pg_statement *statement;
    int count;
    const char *const *values;
};

/* Sends steps as one transaction, in one go; done is told the last step's result, or the first failure. */
void pg_transaction(struct pg *pg, const struct pg_step *steps, int count, pg_done done, void *context);

enum pg_status pg_status(const struct pg_result *result);
/* "" when there is none. Never holds the password. */
const char *pg_message(const struct pg_result *result);
/* Five characters, or "" when PG_LOST. */
const char *pg_sqlstate(const struct pg_result *result);
int pg_rows(const struct pg_result *result);
/* NULL for SQL NULL. */
const char *pg_value(const struct pg_result *result, int row, int column);
/* Rows an INSERT, UPDATE or DELETE touched. */
long pg_affected(const struct pg_result *result);

/* Appends one element to the text form of an array, '{…}': begin with pg_array_begin, then elements (NULL
 * gives NULL), then pg_array_end. */
void pg_array_begin(struct buffer *buffer);
void pg_array_add(struct buffer *buffer, const char *value);
void pg_array_add_integer(struct buffer *buffer, int64_t value);
void pg_array_end(struct buffer *buffer);

/* Queries under way are told PG_LOST; nulls *pg. To be called before the loop ends. */
void pg_close(struct pg **pg);

#endif
