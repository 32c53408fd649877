/* Turns DATABASE_URL into connection parameters whose host names are already resolved, because libpq would
 * block on them. */
#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/pg_private.h"

enum { HOSTS_MAX = 16, ADDRESSES_MAX = 32, PARAMETERS_MAX = 80 };

struct host {
    const char *name; /* "" or a path: a Unix socket, never looked up */
    const char *port; /* "": the default */
};

struct pg_address {
    PQconninfoOption *options; /* as in the URL; val is NULL for what it does not say */
    struct host hosts[HOSTS_MAX];
    int count; /* 0: no names to look up, libpq takes the options as they are */
};

/* One name under way or found. */
struct lookup {
    uv_getaddrinfo_t request;
    struct pg_lookups *owner;
    struct addrinfo *found;
    int error;
};

struct pg_lookups {
    void (*done)(void *context); /* NULL: given up, freed with the last answer */
    void *context;
    int outstanding;
    struct lookup items[HOSTS_MAX];
};

/* Three comma-separated lists that libpq reads side by side. */
struct targets {
    struct buffer host, hostaddr, port;
    int count;
};

static const char *option(const struct pg_address *address, const char *keyword) {
    for (const PQconninfoOption *row = address->options; row->keyword != NULL; row++)
        if (strcmp(row->keyword, keyword) == 0 && row->val != NULL)
            return row->val;
    return "";
}

/* Splits at commas into at most HOSTS_MAX parts; -1 for more. */
static int split(struct arena *arena, const char *list, const char *parts[HOSTS_MAX]) {
    for (int count = 0; count < HOSTS_MAX; count++) {
        size_t length = strcspn(list, ",");
        parts[count] = arena_copy(arena, list, length);
        if (list[length] == '\0')
            return count + 1;
        list += length + 1;
    }
    return -1;
}

/* One port serves all hosts, else each has its own. */
static bool read_hosts(struct pg_address *address, struct arena *arena, const char *list) {
    const char *names[HOSTS_MAX], *ports[HOSTS_MAX];
    int count = split(arena, list, names);
    int ports_count = split(arena, option(address, "port"), ports);
    if (count < 0 || (ports_count != 1 && ports_count != count))
        return false;
    for (int i = 0; i < count; i++)
        address->hosts[i] = (struct host){names[i], ports[ports_count == 1 ? 0 : i]};
    address->count = count;
    return true;
}

struct pg_address *pg_address_open(struct arena *arena, const char *url) {
    struct pg_address *address = arena_alloc(arena, sizeof *address);
    /* libpq's message would quote the URL, and the password in it. */
    address->options = PQconninfoParse(url, NULL);
    if (address->options == NULL)
        return NULL;
    const char *list = option(address, "host");
    if (*list == '\0' && getenv("PGHOST") != NULL)
        list = getenv("PGHOST");
    /* Who gives addresses has done the looking up; getenv gave a value.
     * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    if (*list == '\0' || *option(address, "hostaddr") != '\0' || read_hosts(address, arena, list))
        return address;
    pg_address_close(address);
    return NULL;
}

void pg_address_close(struct pg_address *address) {
    PQconninfoFree(address->options);
    address->options = NULL;
}

struct pg_address_names pg_address_names(const struct pg_address *address) {
    const char *host = option(address, "host");
    return (struct pg_address_names){*host != '\0' ? host : option(address, "hostaddr"),
        option(address, "port"), option(address, "dbname"), option(address, "user")};
}

static bool is_name(const struct host *host) {
    return host->name[0] != '\0' && host->name[0] != '/' && host->name[0] != '@';
}

static void lookups_free(struct pg_lookups *lookups) {
    for (int i = 0; i < HOSTS_MAX; i++)
        if (lookups->items[i].found != NULL)
            uv_freeaddrinfo(lookups->items[i].found);
    free(lookups);
}

static void lookup_ended(struct pg_lookups *lookups) {
    lookups->outstanding--;
    if (lookups->outstanding > 0)
        return;
    if (lookups->done != NULL)
        lookups->done(lookups->context);
    else
        lookups_free(lookups);
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
    struct lookup *lookup = request->data;
    lookup->error = status;
    lookup->found = found;
    lookup_ended(lookup->owner);
}

struct pg_lookups *pg_lookups_start(
    const struct pg_address *address, uv_loop_t *loop, void (*done)(void *context), void *context) {
    struct pg_lookups *lookups = calloc(1, sizeof *lookups);
    if (lookups == NULL)
        abort();
    lookups->done = done;
    lookups->context = context;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    for (int i = 0; i < address->count; i++) {
        struct lookup *lookup = &lookups->items[i];
        if (!is_name(&address->hosts[i]))
            continue;
        lookup->request.data = lookup;
        lookup->error =
            uv_getaddrinfo(loop, &lookup->request, on_lookup, address->hosts[i].name, NULL, &hints);
        if (lookup->error != 0)
            continue;
        lookup->owner = lookups;
        lookups->outstanding++;
    }
    return lookups;
}

bool pg_lookups_ended(const struct pg_lookups *lookups) {
    return lookups->outstanding == 0;
}

void pg_lookups_drop(struct pg_lookups **lookups) {
    struct pg_lookups *dropped = *lookups;
    *lookups = NULL;
    if (dropped == NULL)
        return;
    dropped->done = NULL;
    if (dropped->outstanding == 0) {
        lookups_free(dropped);
        return;
    }
    for (int i = 0; i < HOSTS_MAX; i++)
        if (dropped->items[i].owner != NULL && dropped->items[i].found == NULL)
            /* One that a thread has already taken cannot be stopped; its callback then frees all. */
            (void)uv_cancel((uv_req_t *)&dropped->items[i].request);
}

static void add_target(struct targets *targets, const struct host *host, const char *hostaddr) {
    if (targets->count >= ADDRESSES_MAX)
        return;
    const char *comma = targets->count > 0 ? "," : "";
    buffer_format(&targets->host, "%s%s", comma, host->name);
    buffer_format(&targets->hostaddr, "%s%s", comma, hostaddr);
    buffer_format(&targets->port, "%s%s", comma, host->port);
    targets->count++;
}

static void add_host(struct targets *targets, const struct host *host, const struct lookup *lookup,
    char reason[PG_REASON_BYTES]) {
    if (!is_name(host)) {
        add_target(targets, host, "");
        return;
    }
    if (lookup->found == NULL)
        snprintf(reason, PG_REASON_BYTES, "host %s: %s", host->name,
            lookup->error != 0 ? uv_strerror(lookup->error) : "no answer from the name service in time");
    for (const struct addrinfo *found = lookup->found; found != NULL; found = found->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            add_target(targets, host, text);
    }
}

/* libpq takes the last of equal keywords: ours that the URL may change come first, ours that it may not come
 * last. */
static PGconn *connect_to(const struct pg_address *address, struct targets *targets) {
    const char *keywords[PARAMETERS_MAX] = {"keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout", "fallback_application_name", "target_session_attrs"};
    const char *values[PARAMETERS_MAX] = {
        "10", "5", "3", "15000", program_invocation_short_name, targets->count > 1 ? "read-write" : "any"};
    int count = 6;
    for (const PQconninfoOption *row = address->options; row->keyword != NULL; row++)
        if (row->val != NULL) {
            assert(count < PARAMETERS_MAX - 5);
            keywords[count] = row->keyword;
            values[count++] = row->val;
        }
    if (targets->count > 0) {
        keywords[count] = "host";
        values[count++] = buffer_text(&targets->host);
        keywords[count] = "hostaddr";
        values[count++] = buffer_text(&targets->hostaddr);
        keywords[count] = "port";
        values[count++] = buffer_text(&targets->port);
    }
    keywords[count] = "client_encoding";
    values[count] = "UTF8";
    return PQconnectStartParams(keywords, values, 0);
}

struct pg_conn *pg_address_connect(const struct pg_address *address, const struct pg_lookups *lookups,
    unsigned first, char reason[PG_REASON_BYTES]) {
    struct arena *arena = arena_create(0);
    struct targets targets = {buffer_in(arena), buffer_in(arena), buffer_in(arena), 0};
    /* Each attempt begins with another host, so that one that does not answer cannot use up every attempt's
     * time. */
    for (int i = 0; i < address->count; i++) {
        int index = (int)((first + (unsigned)i) % (unsigned)address->count);
        add_host(&targets, &address->hosts[index], &lookups->items[index], reason);
    }
    PGconn *connection = NULL;
    if (address->count == 0 || targets.count > 0) {
        connection = connect_to(address, &targets);
        if (connection == NULL)
            abort();
    }
    arena_destroy(&arena);
    return connection;
}
