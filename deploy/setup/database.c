/* Connects moru-setup to Postgres and runs statements there, one after the other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/setup/setup.h"
#include "shared/log.h"

static void drop_notice(void *context, const PGresult *notice) {
    (void)context;
    (void)notice;
}

/* libpq's messages end with a line feed and may have several lines. */
static void one_line(char *text) {
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    for (char *feed = text; (feed = strpbrk(feed, "\n\t")) != NULL;)
        *feed = ' ';
}

static void check_url(void) {
    /* libpq's message would quote the URL, and the password in it. */
    PQconninfoOption *options = PQconninfoParse(setup_config.database_url, NULL);
    if (options == NULL) {
        fprintf(stderr, "DATABASE_URL is not a valid Postgres connection string\n");
        exit(2);
    }
    PQconninfoFree(options);
}

PGconn *database_connect(void) {
    /* The URL is expanded where dbname stands, so it overrides what comes before it. */
    static const char *const keywords[] = {"connect_timeout", "target_session_attrs",
        "fallback_application_name", "dbname", "client_encoding", NULL};
    const char *const values[] = {
        "3", "read-write", program_invocation_short_name, setup_config.database_url, "UTF8", NULL};
    check_url();
    for (;;) {
        PGconn *database = PQconnectdbParams(keywords, values, 1);
        if (PQstatus(database) == CONNECTION_OK) {
            PQsetNoticeReceiver(database, drop_notice, NULL);
            return database;
        }
        char reason[500];
        snprintf(reason, sizeof reason, "%s", PQerrorMessage(database));
        PQfinish(database);
        one_line(reason);
        if (!setup_wait("postgres_waiting", reason))
            return NULL;
    }
}

/* Takes result. */
static PGresult *checked(PGconn *database, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    char reason[1000];
    snprintf(reason, sizeof reason, "%s", PQerrorMessage(database));
    one_line(reason);
    log_error("postgres_failed", log_string("reason", reason));
    PQclear(result);
    return NULL;
}

PGresult *database_query(PGconn *database, const char *sql, int count, const char *const *values) {
    return checked(database, PQexecParams(database, sql, count, NULL, values, NULL, NULL, 0));
}

bool database_begin(PGconn *database) {
    /* One lock for all of setup; a second one waits here until the first has committed. */
    PGresult *result =
        checked(database, PQexec(database, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('moru-setup'))"));
    PQclear(result);
    return result != NULL;
}

bool database_end(PGconn *database, bool commit) {
    PGresult *result = checked(database, PQexec(database, commit ? "COMMIT" : "ROLLBACK"));
    PQclear(result);
    return commit && result != NULL;
}
