/* Brings the connection to Postgres, takes it down, and brings it again: look up, connect, serve, wait, from
 * the start. */
#include "shared/pg.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/pg_private.h"

enum { BACKOFF_FIRST_MS = 50, BACKOFF_MAX_MS = 1000, WAITING_LOG_MS = 1000 };

static const char *database_url;
int64_t pg_connect_timeout_ms, pg_query_timeout_ms;

struct setting pg_settings[] = {
    {"DATABASE_URL", SETTING_SECRET, &database_url, NULL, .min = 1,
        .help = "Postgres, as postgresql://user:password@host:port/database; several hosts: the one that "
                "takes writes."},
    {"PG_CONNECT_TIMEOUT_MS", SETTING_INTEGER, &pg_connect_timeout_ms, "5000", 100, 600000,
        .help = "How long one attempt to connect to Postgres may take, in milliseconds."},
    {"PG_QUERY_TIMEOUT_MS", SETTING_INTEGER, &pg_query_timeout_ms, "10000", 100, 3600000,
        .help = "After so many milliseconds without the oldest query's answer the connection is given up."},
    {0},
};

static void connect_step(struct pg *pg);

void pg_reason_copy(char copy[PG_REASON_BYTES], const char *reason) {
    size_t length = strnlen(reason, PG_REASON_BYTES - 1);
    /* Not in the middle of a UTF-8 sequence. */
    if (reason[length] != '\0')
        while (length > 0 && ((unsigned char)reason[length] & 0xc0) == 0x80)
            length--;
    for (size_t i = 0; i < length; i++)
        copy[i] = (unsigned char)reason[i] < ' ' ? ' ' : reason[i];
    while (length > 0 && copy[length - 1] == ' ')
        length--;
    copy[length] = '\0';
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static void unwatch(struct pg *pg) {
    if (pg->socket == NULL)
        return;
    uv_close((uv_handle_t *)pg->socket, free_handle);
    pg->socket = NULL;
}

static void on_socket(uv_poll_t *handle, int status, int events) {
    struct pg *pg = handle->data;
    (void)events;
    if (pg->state == PG_CONNECTING)
        connect_step(pg);
    else
        pg_serve(pg, status);
}

void pg_watch(struct pg *pg, int events) {
    if (pg->socket == NULL) {
        pg->socket = malloc(sizeof *pg->socket);
        if (pg->socket == NULL || uv_poll_init(pg->loop, pg->socket, PQsocket(pg->connection)) != 0)
            abort();
        pg->socket->data = pg;
        pg->socket_events = 0;
    }
    if (events == pg->socket_events)
        return;
    if (uv_poll_start(pg->socket, events, on_socket) != 0)
        abort();
    pg->socket_events = events;
}

void pg_disconnect(struct pg *pg) {
    pg_lookups_drop(&pg->lookups);
    /* Before libpq closes the socket: epoll must not be asked about one that is gone. */
    unwatch(pg);
    PQfinish(pg->connection);
    pg->connection = NULL;
}

static void start_timer(struct pg *pg, uint64_t timeout_ms) {
    if (uv_timer_start(&pg->timer, pg_deadline, timeout_ms, 0) != 0)
        abort();
}

/* Full jitter: anything up to the back-off, so that a fleet does not come back in step. */
static void wait_for_next_attempt(struct pg *pg) {
    uint64_t limit = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < pg->attempts && limit < BACKOFF_MAX_MS; i++)
        limit *= 2;
    if (limit > BACKOFF_MAX_MS)
        limit = BACKOFF_MAX_MS;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)uv_hrtime();
    pg->state = PG_WAITING;
    start_timer(pg, 1 + random % limit);
}

static void attempt_failed(struct pg *pg, const char *reason) {
    char line[PG_REASON_BYTES];
    pg_reason_copy(line, reason);
    pg_disconnect(pg);
    wait_for_next_attempt(pg);
    if (!log_due(&pg->waiting_logged_ms, WAITING_LOG_MS))
        return;
    struct pg_address_names names = pg_address_names(pg->address);
    log_warn("postgres_waiting", log_string("reason", line), log_string("host", names.host),
        log_string("port", names.port), log_string("database", names.database),
        log_string("user", names.user));
}

static void connected(struct pg *pg) {
    pg->state = PG_READY;
    pg->attempts = 0;
    uv_timer_stop(&pg->timer);
    log_info("postgres_connected", log_string("host", PQhost(pg->connection)),
        log_string("port", PQport(pg->connection)), log_string("database", PQdb(pg->connection)),
        log_string("user", PQuser(pg->connection)));
    pg_watch(pg, UV_READABLE);
    pg_start_session(pg);
}

static void connect_step(struct pg *pg) {
    /* libpq may go on to another socket, even under the same number, so each step has a watch of its own. */
    unwatch(pg);
    switch (PQconnectPoll(pg->connection)) {
    case PGRES_POLLING_READING:
        pg_watch(pg, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        pg_watch(pg, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        if (PQsetnonblocking(pg->connection, 1) == 0 && PQenterPipelineMode(pg->connection) == 1)
            connected(pg);
        else
            attempt_failed(pg, PQerrorMessage(pg->connection));
        break;
    default:
        attempt_failed(pg, PQerrorMessage(pg->connection));
    }
}

static void drop_notice(void *context, const PGresult *notice) {
    (void)context;
    (void)notice;
}

static void begin_to_connect(struct pg *pg) {
    char reason[PG_REASON_BYTES] = "no address";
    pg->connection = pg_address_connect(pg->address, pg->lookups, pg->attempts - 1, reason);
    pg_lookups_drop(&pg->lookups);
    if (pg->connection == NULL) {
        attempt_failed(pg, reason);
        return;
    }
    /* By default libpq prints notices on standard error. */
    PQsetNoticeReceiver(pg->connection, drop_notice, NULL);
    if (PQstatus(pg->connection) == CONNECTION_BAD || PQsocket(pg->connection) < 0) {
        attempt_failed(pg, PQerrorMessage(pg->connection));
        return;
    }
    pg->state = PG_CONNECTING;
    pg_watch(pg, UV_WRITABLE);
}

static void on_resolved(void *context) {
    begin_to_connect(context);
}

void pg_connect(struct pg *pg) {
    pg->attempts++;
    pg->state = PG_RESOLVING;
    start_timer(pg, (uint64_t)pg_connect_timeout_ms);
    pg->lookups = pg_lookups_start(pg->address, pg->loop, on_resolved, pg);
    if (pg_lookups_ended(pg->lookups))
        begin_to_connect(pg);
}

void pg_deadline(uv_timer_t *timer) {
    struct pg *pg = timer->data;
    switch (pg->state) {
    case PG_WAITING:
        pg_connect(pg);
        break;
    case PG_RESOLVING:
        /* Some names may have been found: go on with these. */
        start_timer(pg, (uint64_t)pg_connect_timeout_ms);
        begin_to_connect(pg);
        break;
    case PG_CONNECTING:
        attempt_failed(pg, "no connection within PG_CONNECT_TIMEOUT_MS");
        break;
    case PG_READY:
        pg_check_overdue(pg);
        break;
    case PG_CLOSED:
        break;
    }
}

void pg_drop(struct pg *pg, const char *reason) {
    assert(pg->state == PG_READY);
    char line[PG_REASON_BYTES];
    pg_reason_copy(line, reason);
    log_warn("postgres_lost", log_string("reason", line), log_integer("pending", (int64_t)pg->pending.count));
    pg_disconnect(pg);
    wait_for_next_attempt(pg);
    if (pg->changed != NULL)
        pg->changed(pg->context, false);
    pg_lose_pending(pg, line);
}

struct pg *pg_open(uv_loop_t *loop, void (*changed)(void *context, bool ready), void *context) {
    struct arena *arena = arena_create(0);
    struct pg *pg = arena_alloc(arena, sizeof *pg);
    pg->arena = arena;
    pg->address = pg_address_open(arena, database_url);
    if (pg->address == NULL) {
        fprintf(stderr, "DATABASE_URL is not a valid Postgres connection string\n");
        exit(2);
    }
    pg->loop = loop;
    pg->changed = changed;
    pg->context = context;
    pg->pending.end = &pg->pending.first;
    pg->lost.end = &pg->lost.first;
    if (uv_timer_init(loop, &pg->timer) != 0 || uv_idle_init(loop, &pg->idle) != 0)
        abort();
    pg->timer.data = pg->idle.data = pg;
    pg->open_handles = 2;
    pg_connect(pg);
    return pg;
}

bool pg_ready(const struct pg *pg) {
    return pg->state == PG_READY;
}

static void handle_closed(uv_handle_t *handle) {
    struct pg *pg = handle->data;
    if (--pg->open_handles > 0)
        return;
    struct arena *arena = pg->arena;
    arena_destroy(&arena);
}

void pg_close(struct pg **closed) {
    struct pg *pg = *closed;
    *closed = NULL;
    if (pg == NULL)
        return;
    pg->state = PG_CLOSED;
    pg_disconnect(pg);
    pg_lose_everything(pg);
    pg_address_close(pg->address);
    uv_close((uv_handle_t *)&pg->timer, handle_closed);
    uv_close((uv_handle_t *)&pg->idle, handle_closed);
}
