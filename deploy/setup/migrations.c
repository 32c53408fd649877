/* Brings the tables to the version of this program: numbered SQL files, each applied once and never edited
 * afterwards. */
#include "schemas/migrations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/setup/setup.h"
#include "shared/log.h"

static bool create_list(PGconn *database) {
    if (!database_begin(database))
        return false;
    PGresult *result = database_query(database,
        "CREATE TABLE IF NOT EXISTS public.migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " sha256 TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
        0, NULL);
    PQclear(result);
    return database_end(database, result != NULL);
}

/* Whether text is number and nothing else; the column may have been altered by hand. */
static bool is_number(const char *text, int number) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && end > text && *end == '\0' && value == number;
}

/* Where migration stands in applied, -1 when it is not there. */
static int find(const PGresult *applied, const struct migration *migration) {
    for (int row = 0; row < PQntuples(applied); row++)
        if (is_number(PQgetvalue(applied, row, 0), migration->number))
            return row;
    return -1;
}

static bool is_unchanged(const PGresult *applied, int row, const struct migration *migration) {
    if (strcmp(PQgetvalue(applied, row, 1), migration->sha256) == 0)
        return true;
    log_error("migration_edited", log_integer("number", migration->number),
        log_string("name", migration->name),
        log_string("reason", "it was changed after it was applied: put it back and write a new one"));
    return false;
}

static PGresult *read_applied(PGconn *database) {
    return database_query(database, "SELECT number, sha256 FROM public.migrations", 0, NULL);
}

static bool apply_and_note(PGconn *database, const struct migration *migration) {
    /* PQexec, because a file holds many statements. */
    PGresult *result = PQexec(database, migration->sql);
    bool done = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
    PQclear(result);
    if (!done) {
        log_error("migration_failed", log_integer("number", migration->number),
            log_string("name", migration->name), log_string("reason", PQerrorMessage(database)));
        return false;
    }
    char number[16];
    snprintf(number, sizeof number, "%d", migration->number);
    result = database_query(database,
        "INSERT INTO public.migrations (number, name, sha256) VALUES ($1::int, $2, $3)", 3,
        (const char *const[]){number, migration->name, migration->sha256});
    PQclear(result);
    return result != NULL;
}

/* Looks again under the lock: another setup may have been faster. */
static bool apply(PGconn *database, const struct migration *migration) {
    if (!database_begin(database))
        return false;
    bool done = false, is_new = false;
    PGresult *applied = read_applied(database);
    if (applied != NULL) {
        int row = find(applied, migration);
        is_new = row < 0;
        done = is_new ? apply_and_note(database, migration) : is_unchanged(applied, row, migration);
    }
    PQclear(applied);
    done = database_end(database, done);
    if (done && is_new)
        log_info("migration_applied", log_integer("number", migration->number),
            log_string("name", migration->name));
    return done;
}

bool migrations_apply(PGconn *database) {
    PGresult *applied = create_list(database) ? read_applied(database) : NULL;
    if (applied == NULL)
        return false;
    bool done = true;
    for (const struct migration *migration = MIGRATIONS; done && migration->sql != NULL; migration++) {
        int row = find(applied, migration);
        done = row < 0 ? apply(database, migration) : is_unchanged(applied, row, migration);
    }
    PQclear(applied);
    return done;
}

bool partitions_maintain(PGconn *database) {
    PGresult *done = database_query(database,
        "SELECT action, partition_name FROM moru_maintain_partitions(7, 90) UNION ALL "
        "SELECT action, partition_name FROM moru_maintain_model_calls(7, 36500)",
        0, NULL);
    for (int row = 0; row < PQntuples(done); row++)
        log_info("partition_maintained", log_string("action", PQgetvalue(done, row, 0)),
            log_string("partition", PQgetvalue(done, row, 1)));
    PQclear(done);
    return done != NULL;
}
