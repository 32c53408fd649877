/* What the parts of moru-setup share: its settings, its deadline, and the Postgres connection. */
#ifndef DEPLOY_SETUP_SETUP_H
#define DEPLOY_SETUP_SETUP_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct setup_config {
    const char *brokers, *database_url;
    int64_t replication, min_insync_replicas; /* 0: as each topic declares */
    int64_t timeout_ms;                       /* for Kafka and Postgres to come */
};
extern struct setup_config setup_config;

/* Milliseconds until SETUP_TIMEOUT_MS is over, counted from the start; at least 0. */
int64_t setup_remaining_ms(void);
/* Says event with the reason, once a second at most, and waits a moment. False when the time is over, said as
 * an error. */
bool setup_wait(const char *event, const char *reason);

/* Each returns false after it has said why in the log. */

/* Creates what is missing of the declared topics and grows those with fewer partitions than declared. */
bool topics_ensure(void);

/* The connection, once the server takes writes; ends the process with exit code 2 when DATABASE_URL is not
 * valid. NULL when the time is over. */
PGconn *database_connect(void);
/* Runs one statement; values: one text for each parameter. NULL after the reason was said, else PQclear it.
 */
PGresult *database_query(PGconn *database, const char *sql, int count, const char *const *values);
/* Begins a transaction that no other setup runs at the same time; COMMIT or ROLLBACK ends it. */
bool database_begin(PGconn *database);
bool database_end(PGconn *database, bool commit);

/* Applies the migrations that are missing, in order. */
bool migrations_apply(PGconn *database);
/* Partitions for the days to come. */
bool partitions_maintain(PGconn *database);
/* The first prompts, where a task type has none at all. */
bool prompts_seed(PGconn *database);

#endif
