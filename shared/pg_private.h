/* What the files of the Postgres module share: pg.c sends queries and reads answers, pg_connect.c brings the
 * connection and takes it down, pg_address.c turns DATABASE_URL into addresses. */
#ifndef SHARED_PG_PRIVATE_H
#define SHARED_PG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct arena;
struct pg_address;
struct pg_conn; /* libpq's PGconn */
struct pg_lookups;
struct pg_prepared;
struct pg_query;

enum { PG_REASON_BYTES = 300 };

enum pg_state {
    PG_WAITING,    /* no connection; the timer starts the next attempt */
    PG_RESOLVING,  /* host names are being looked up */
    PG_CONNECTING, /* connection is set, libpq is shaking hands */
    PG_READY,
    PG_CLOSED, /* pg_close was called; memory goes when libuv has let go of the handles */
};

/* First in, first out. */
struct pg_queue {
    struct pg_query *first, **end; /* end: where the next one is linked */
    size_t count;
};

struct pg {
    uv_loop_t *loop;
    void (*changed)(void *context, bool ready); /* may be NULL */
    void *context;
    struct arena *arena; /* as long as pg */
    struct pg_address *address;

    enum pg_state state;
    struct pg_conn *connection; /* not NULL while PG_CONNECTING and PG_READY */
    struct pg_lookups *lookups; /* not NULL while PG_RESOLVING */
    unsigned attempts;          /* since the last connection */
    uint64_t waiting_logged_ms;

    uv_poll_t *socket; /* a handle of its own for each socket libpq opens; NULL: none watched */
    int socket_events;
    uv_timer_t timer; /* the one deadline of the state: back-off, connect timeout, or query timeout */
    uv_idle_t idle;   /* runs while there is something to tell from the loop */
    int open_handles; /* timer and idle, until libuv has closed them */

    struct pg_queue pending;      /* sent, in the order of their answers */
    struct pg_queue lost;         /* never sent; to be told PG_LOST from the loop */
    uint64_t progress_ms;         /* when the oldest pending one became the oldest */
    bool broken;                  /* libpq refused to send: the loop is to drop the connection */
    struct pg_prepared *prepared; /* list of the statements used so far */
};

extern int64_t pg_connect_timeout_ms, pg_query_timeout_ms;

/* pg_address.c */

/* NULL when url is not valid. */
struct pg_address *pg_address_open(struct arena *arena, const char *url);
void pg_address_close(struct pg_address *address);
/* host, port, database and user as in the URL, for the log; "" for libpq's default. */
struct pg_address_names {
    const char *host, *port, *database, *user;
};
struct pg_address_names pg_address_names(const struct pg_address *address);

/* Looks all host names up, off the loop thread; done is called once from the loop, unless given up or unless
 * they have ended at once because there is no name to look up. */
struct pg_lookups *pg_lookups_start(
    const struct pg_address *address, uv_loop_t *loop, void (*done)(void *context), void *context);
bool pg_lookups_ended(const struct pg_lookups *lookups);
/* done is no longer called; nulls *lookups. */
void pg_lookups_drop(struct pg_lookups **lookups);
/* Begins to connect to the addresses found so far, beginning with the host after first. NULL with the reason
 * when there are none. The connection is to be given to PQfinish also when it is bad already. */
struct pg_conn *pg_address_connect(const struct pg_address *address, const struct pg_lookups *lookups,
    unsigned first, char reason[PG_REASON_BYTES]);

/* pg_connect.c */

/* Starts an attempt; goes on until one succeeds. */
void pg_connect(struct pg *pg);
/* Ends the connection, tells everything pending PG_LOST, and starts over. reason is cut to one line. */
void pg_drop(struct pg *pg, const char *reason);
/* Ends connection, look-ups and the socket's watch; the timer is not touched. */
void pg_disconnect(struct pg *pg);
void pg_watch(struct pg *pg, int events);
/* What the timer calls in any state. */
void pg_deadline(uv_timer_t *timer);
/* Copies reason as one line, without its end's line feed. */
void pg_reason_copy(char copy[PG_REASON_BYTES], const char *reason);

/* pg.c */

/* The connection has just come. */
void pg_start_session(struct pg *pg);
/* Something happened on the socket of a ready connection; status is libuv's. */
void pg_serve(struct pg *pg, int status);
/* The query timer fired. */
void pg_check_overdue(struct pg *pg);
/* Tells everything that waits for an answer that none will come. */
void pg_lose_pending(struct pg *pg, const char *reason);
/* Before the end: also those never sent, and what is remembered of statements. */
void pg_lose_everything(struct pg *pg);
/* What the idle handle calls. */
void pg_tell_from_loop(uv_idle_t *idle);

#endif
