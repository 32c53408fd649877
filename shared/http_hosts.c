/* Host names to addresses with uv_getaddrinfo; who asks while a lookup is under way joins it. */
#include "shared/http_hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"

enum { FRESH_MS = 60000, ADDRESSES_MAX = 8 };

struct http_lookup {
    struct http_lookup *previous, *next;
    struct host *host;
    uint64_t round; /* of the host when it was asked for */
    http_lookup_done done;
    void *context;
};

struct host {
    struct host *next;
    struct http_hosts *hosts;
    char *name;
    struct arena *arena;   /* holds addresses */
    const char *addresses; /* NULL: none known */
    uint64_t found_ms;
    struct http_lookup *waiting, *last; /* in the order they came */
    uint64_t round;                     /* counts the times when those who wait are told */
    uv_getaddrinfo_t request;
    bool asking;
};

struct http_hosts {
    uv_loop_t *loop;
    struct host *list;
    uv_idle_t turn; /* runs while somebody waits for addresses that are known */
    int users;      /* the idle handle and the requests under way; at 0 closed hosts are freed */
    bool closed;
};

static void release(struct http_hosts *hosts) {
    if (--hosts->users > 0)
        return;
    while (hosts->list) {
        struct host *host = hosts->list;
        hosts->list = host->next;
        arena_destroy(&host->arena);
        free(host->name);
        free(host);
    }
    free(hosts);
}

static void answer_waiting(struct host *host, const char *error) {
    /* Those who come meanwhile, from done, wait for their own lookup or the next turn. */
    uint64_t round = ++host->round;
    /* Each turn takes the first one out of the list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    while (host->waiting && host->waiting->round < round) {
        struct http_lookup lookup = *host->waiting, *first = host->waiting;
        http_lookup_cancel(&first);
        lookup.done(lookup.context, host->addresses, host->addresses ? NULL : error);
    }
}

static void add_address(struct buffer *text, const struct sockaddr *address) {
    char name[INET6_ADDRSTRLEN];
    bool six = address->sa_family == AF_INET6;
    int failed = six ? uv_ip6_name((const struct sockaddr_in6 *)address, name, sizeof name)
                     : uv_ip4_name((const struct sockaddr_in *)address, name, sizeof name);
    if (!failed)
        buffer_format(text, six ? "%s[%s]" : "%s%s", text->length ? "," : "", name);
}

static void keep_addresses(struct host *host, const struct addrinfo *list) {
    struct arena *arena = arena_create(512);
    struct buffer text = buffer_in(arena);
    int count = 0;
    for (; list && count < ADDRESSES_MAX; list = list->ai_next)
        if (list->ai_family == AF_INET || list->ai_family == AF_INET6) {
            add_address(&text, list->ai_addr);
            count++;
        }
    if (!text.length) {
        arena_destroy(&arena);
        return;
    }
    arena_destroy(&host->arena);
    host->arena = arena;
    host->addresses = buffer_text(&text);
    host->found_ms = uv_now(host->hosts->loop);
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    struct host *host = request->data;
    struct http_hosts *hosts = host->hosts;
    host->asking = false;
    if (status == 0)
        keep_addresses(host, list);
    uv_freeaddrinfo(list);
    /* After a failure the old addresses serve on; the next call asks again. */
    char error[256];
    snprintf(error, sizeof error, "cannot look up the host: %s",
        status ? uv_strerror(status) : "it has no address");
    if (!hosts->closed)
        answer_waiting(host, error);
    release(hosts);
}

static bool is_fresh(const struct host *host) {
    return host->addresses && uv_now(host->hosts->loop) - host->found_ms < FRESH_MS;
}

static void on_turn(uv_idle_t *idle) {
    struct http_hosts *hosts = idle->data;
    uv_idle_stop(idle);
    for (struct host *host = hosts->list; host && !hosts->closed; host = host->next)
        if (!host->asking)
            answer_waiting(host, "cannot look up the host");
}

static void ask(struct host *host) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    host->request.data = host;
    if (uv_getaddrinfo(host->hosts->loop, &host->request, on_found, host->name, NULL, &hints) == 0) {
        host->asking = true;
        host->hosts->users++;
    } else {
        uv_idle_start(&host->hosts->turn, on_turn);
    }
}

static struct host *find_host(struct http_hosts *hosts, const char *name) {
    for (struct host *host = hosts->list; host; host = host->next)
        if (strcasecmp(host->name, name) == 0)
            return host;
    struct host *host = calloc(1, sizeof *host);
    if (!host || !(host->name = strdup(name)))
        abort();
    host->hosts = hosts;
    host->next = hosts->list;
    hosts->list = host;
    return host;
}

struct http_hosts *http_hosts_open(uv_loop_t *loop) {
    struct http_hosts *hosts = calloc(1, sizeof *hosts);
    if (!hosts)
        abort();
    hosts->loop = loop;
    hosts->users = 1;
    uv_idle_init(loop, &hosts->turn);
    hosts->turn.data = hosts;
    return hosts;
}

struct http_lookup *http_hosts_find(
    struct http_hosts *hosts, const char *name, http_lookup_done done, void *context) {
    struct host *host = find_host(hosts, name);
    struct http_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        abort();
    *lookup = (struct http_lookup){
        .previous = host->last, .host = host, .round = host->round, .done = done, .context = context};
    *(host->last ? &host->last->next : &host->waiting) = lookup;
    host->last = lookup;
    if (host->asking)
        return lookup;
    if (is_fresh(host))
        uv_idle_start(&hosts->turn, on_turn);
    else
        ask(host);
    return lookup;
}

void http_lookup_cancel(struct http_lookup **cancelled) {
    struct http_lookup *lookup = *cancelled;
    *cancelled = NULL;
    if (!lookup)
        return;
    /* Whoever is freed was taken out of the list before. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    if (lookup->previous)
        lookup->previous->next = lookup->next;
    else
        lookup->host->waiting = lookup->next;
    if (lookup->next)
        lookup->next->previous = lookup->previous;
    else
        lookup->host->last = lookup->previous;
    free(lookup);
}

static void on_turn_closed(uv_handle_t *handle) {
    release(handle->data);
}

void http_hosts_close(struct http_hosts **closing) {
    struct http_hosts *hosts = *closing;
    *closing = NULL;
    hosts->closed = true;
    for (struct host *host = hosts->list; host; host = host->next)
        while (host->waiting) {
            struct http_lookup *lookup = host->waiting;
            http_lookup_cancel(&lookup);
        }
    uv_close((uv_handle_t *)&hosts->turn, on_turn_closed);
}

bool http_host_is_address(const char *host) {
    struct sockaddr_in four;
    return host[0] == '[' || uv_ip4_addr(host, 0, &four) == 0;
}

bool http_host_is_local(const char *host) {
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}
