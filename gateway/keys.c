/* Idempotency keys in Postgres: one insert for all keys at hand, which says what each key stands for. */
#include "gateway/keys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/pg.h"

enum { KEY_MAX = 255, BATCH_MAX = 1000, HASH_BYTES = 65 };

/* The rows are locked in the order of the keys, so that two gateways cannot wait for each other. A row past
 * its time is as good as none. */
static const struct pg_statement TAKE = {
    "take_idempotency_keys",
    "INSERT INTO idempotency_keys AS kept (tenant, key_hash, request_id, body_hash, expires_at) SELECT "
    "tenant, key_hash, "
    "request_id, body_hash, now() + interval '24 hours' FROM unnest($1::text[], $2::text[], $3::uuid[], "
    "$4::text[]) AS "
    "asked(tenant, key_hash, request_id, body_hash) ORDER BY tenant, key_hash ON CONFLICT (tenant, key_hash) "
    "DO UPDATE SET "
    "request_id = CASE WHEN kept.expires_at < now() THEN EXCLUDED.request_id ELSE kept.request_id END, "
    "body_hash = CASE WHEN kept.expires_at < now() THEN EXCLUDED.body_hash ELSE kept.body_hash END, "
    "expires_at = CASE WHEN kept.expires_at < now() THEN EXCLUDED.expires_at ELSE kept.expires_at END "
    "RETURNING tenant, key_hash, request_id, body_hash, (SELECT status FROM results WHERE results.request_id "
    "= "
    "kept.request_id ORDER BY run DESC LIMIT 1)",
};

struct asked {
    struct asked *next;
    const char *tenant;
    char key_hash[HASH_BYTES], body_hash[HASH_BYTES];
    char request_id[UUID_TEXT_BYTES];
    key_done done;
    void *context;
    char tenant_text[];
};

struct keys {
    struct pg *pg;
    struct asked *waiting, **waiting_end;
    struct asked *sent; /* with the query under way */
    bool under_way;
};

struct keys *keys_open(struct pg *pg) {
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        abort();
    keys->pg = pg;
    keys->waiting_end = &keys->waiting;
    return keys;
}

static void free_all(struct asked *asked) {
    while (asked) {
        struct asked *next = asked->next;
        free(asked);
        asked = next;
    }
}

void keys_close(struct keys **keys) {
    free_all((*keys)->waiting);
    free_all((*keys)->sent);
    free(*keys);
    *keys = NULL;
}

/* RFC 8941, 3.3.3: a backslash stands before a quote or a backslash, and nowhere else. */
static char *read_quoted(struct arena *arena, const char *header) {
    char *key = arena_alloc(arena, strlen(header) + 1), *end = key;
    for (const char *at = header + 1;; at++) {
        if (*at == '"')
            return at[1 + strspn(at + 1, " \t")] ? NULL : key;
        if (*at == '\\' && *++at != '"' && *at != '\\')
            return NULL;
        if (*at < ' ' || *at > '~')
            return NULL;
        *end++ = *at;
    }
}

char *key_read(struct arena *arena, const char *header) {
    char *key;
    header += strspn(header, " \t");
    if (*header == '"') {
        key = read_quoted(arena, header);
    } else {
        key = arena_string(arena, header);
        for (const char *at = key; *at; at++)
            if (*at <= ' ' || *at > '~')
                return NULL;
    }
    return key && *key && strlen(key) <= KEY_MAX ? key : NULL;
}

static int find_row(const struct asked *asked, const struct pg_result *rows) {
    for (int row = 0; row < pg_rows(rows); row++)
        if (strcmp(pg_value(rows, row, 1), asked->key_hash) == 0 &&
            strcmp(pg_value(rows, row, 0), asked->tenant) == 0)
            return row;
    return -1;
}

static void tell(const struct asked *asked, const struct pg_result *rows) {
    int row = pg_status(rows) == PG_OK ? find_row(asked, rows) : -1;
    if (row < 0) {
        asked->done(asked->context, KEY_AWAY, asked->request_id, NULL);
        return;
    }
    const char *request_id = pg_value(rows, row, 2);
    enum key_found found = strcmp(request_id, asked->request_id) == 0              ? KEY_NEW
                           : strcmp(pg_value(rows, row, 3), asked->body_hash) == 0 ? KEY_SAME
                                                                                   : KEY_OTHER_BODY;
    asked->done(asked->context, found, request_id, pg_value(rows, row, 4));
}

static void send_query(struct keys *keys);

static void on_rows(void *context, const struct pg_result *rows) {
    struct keys *keys = context;
    struct asked *asked = keys->sent;
    keys->sent = NULL;
    keys->under_way = false;
    if (pg_status(rows) == PG_FAILED)
        log_error("idempotency_keys_not_kept", log_string("reason", pg_message(rows)));
    while (asked) {
        struct asked *next = asked->next;
        tell(asked, rows);
        free(asked);
        asked = next;
    }
    send_query(keys);
}

static bool is_sent(const struct keys *keys, const struct asked *asked) {
    for (const struct asked *sent = keys->sent; sent; sent = sent->next)
        if (strcmp(sent->key_hash, asked->key_hash) == 0 && strcmp(sent->tenant, asked->tenant) == 0)
            return true;
    return false;
}

/* Moves what waits to sent; one statement cannot touch a row twice, so a key's second comer waits for the
 * next. */
static int take_batch(struct keys *keys) {
    struct asked **sent_end = &keys->sent;
    int count = 0;
    for (struct asked **link = &keys->waiting; *link && count < BATCH_MAX;) {
        struct asked *asked = *link;
        if (is_sent(keys, asked)) {
            link = &asked->next;
            continue;
        }
        *link = asked->next;
        asked->next = NULL;
        *sent_end = asked;
        sent_end = &asked->next;
        count++;
    }
    keys->waiting_end = &keys->waiting;
    while (*keys->waiting_end)
        keys->waiting_end = &(*keys->waiting_end)->next;
    return count;
}

static void send_query(struct keys *keys) {
    if (keys->under_way || !keys->waiting)
        return;
    struct arena *arena = arena_create(65536);
    struct buffer arrays[4];
    const char *values[4];
    take_batch(keys);
    keys->under_way = true;
    for (int i = 0; i < 4; i++) {
        arrays[i] = buffer_in(arena);
        pg_array_begin(&arrays[i]);
    }
    for (const struct asked *asked = keys->sent; asked; asked = asked->next) {
        pg_array_add(&arrays[0], asked->tenant);
        pg_array_add(&arrays[1], asked->key_hash);
        pg_array_add(&arrays[2], asked->request_id);
        pg_array_add(&arrays[3], asked->body_hash);
    }
    for (int i = 0; i < 4; i++) {
        pg_array_end(&arrays[i]);
        values[i] = buffer_text(&arrays[i]);
    }
    pg_query(keys->pg, &TAKE, 4, values, on_rows, keys);
    arena_destroy(&arena);
}

/* The body by its meaning: white space and the order of members make no difference. */
static void hash_body(const char *task_type, const char *user_input, char hash[HASH_BYTES]) {
    struct arena *arena = arena_create(strlen(user_input) + 256);
    sha256_hex(arena_format(arena, "%zu %s%s", strlen(task_type), task_type, user_input), hash);
    arena_destroy(&arena);
}

void keys_ask(struct keys *keys, const char *tenant, const char *key, const char *task_type,
    const char *user_input, const char *request_id, key_done done, void *context) {
    struct asked *asked = calloc(1, sizeof *asked + strlen(tenant) + 1);
    if (!asked)
        abort();
    memcpy(asked->tenant_text, tenant, strlen(tenant) + 1);
    asked->tenant = asked->tenant_text;
    sha256_hex(key, asked->key_hash);
    hash_body(task_type, user_input, asked->body_hash);
    memcpy(asked->request_id, request_id, UUID_TEXT_BYTES);
    asked->done = done;
    asked->context = context;
    *keys->waiting_end = asked;
    keys->waiting_end = &asked->next;
    send_query(keys);
}
