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
 * its time is as good as none. A row of this very moment is new, and has no result to look for. */
static const struct pg_statement TAKE = {
    "take_idempotency_keys",
    "INSERT INTO idempotency_keys AS kept (tenant, key_hash, request_id, body_hash, expires_at) "
    "SELECT tenant, key_hash, request_id, body_hash, now() + interval '24 hours' "
    "FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) "
    "AS asked(tenant, key_hash, request_id, body_hash) ORDER BY tenant, key_hash "
    "ON CONFLICT (tenant, key_hash) DO UPDATE SET "
    "request_id = CASE WHEN kept.expires_at < now() THEN EXCLUDED.request_id ELSE kept.request_id END, "
    "body_hash = CASE WHEN kept.expires_at < now() THEN EXCLUDED.body_hash ELSE kept.body_hash END, "
    "expires_at = CASE WHEN kept.expires_at < now() THEN EXCLUDED.expires_at ELSE kept.expires_at END "
    "RETURNING tenant, key_hash, request_id, body_hash, "
    "CASE WHEN kept.expires_at <> now() + interval '24 hours' THEN (SELECT status FROM results "
    "WHERE results.request_id = kept.request_id ORDER BY run DESC LIMIT 1) END",
};

enum { ROW_TENANT, ROW_KEY_HASH, ROW_REQUEST_ID, ROW_BODY_HASH, ROW_STATUS };

struct asked {
    struct asked *next;
    const char *tenant;
    char key_hash[HASH_BYTES], body_hash[HASH_BYTES];
    char request_id[UUID_TEXT_BYTES];
    key_done done;
    void *context;
    int row; /* of the query's answer; -1: none */
    char tenant_text[];
};

struct keys {
    struct pg *pg;
    struct asked *waiting, **waiting_end;
    struct asked *sent[BATCH_MAX]; /* with the query under way, in the order of their keys */
    int sent_count;                /* 0: none is under way */
};

struct keys *keys_open(struct pg *pg) {
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        abort();
    keys->pg = pg;
    keys->waiting_end = &keys->waiting;
    return keys;
}

void keys_close(struct keys **keys) {
    for (struct asked *asked = (*keys)->waiting, *next; asked; asked = next) {
        next = asked->next;
        free(asked);
    }
    for (int i = 0; i < (*keys)->sent_count; i++)
        free((*keys)->sent[i]);
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

static int compare(const char *tenant, const char *key_hash, const struct asked *asked) {
    int order = strcmp(key_hash, asked->key_hash);
    return order ? order : strcmp(tenant, asked->tenant);
}

static int compare_asked(const void *left, const void *right) {
    const struct asked *one = *(struct asked *const *)left;
    return compare(one->tenant, one->key_hash, *(struct asked *const *)right);
}

static bool is_repeated(const struct keys *keys, int i) {
    return i > 0 && compare_asked(&keys->sent[i - 1], &keys->sent[i]) == 0;
}

static void tell(const struct asked *asked, const struct pg_result *rows) {
    if (asked->row < 0) {
        asked->done(asked->context, KEY_AWAY, asked->request_id, NULL);
        return;
    }
    const char *request_id = pg_value(rows, asked->row, ROW_REQUEST_ID);
    enum key_found found = strcmp(request_id, asked->request_id) == 0 ? KEY_NEW
                           : strcmp(pg_value(rows, asked->row, ROW_BODY_HASH), asked->body_hash) == 0
                               ? KEY_SAME
                               : KEY_OTHER_BODY;
    asked->done(asked->context, found, request_id, pg_value(rows, asked->row, ROW_STATUS));
}

/* Gives each row to the first that asked for its key, and that one's to those who asked for the same. */
static void find_rows(struct keys *keys, const struct pg_result *rows) {
    for (int row = 0; row < pg_rows(rows); row++) {
        int low = 0, high = keys->sent_count;
        while (low < high) {
            int middle = (low + high) / 2;
            if (compare(pg_value(rows, row, ROW_TENANT), pg_value(rows, row, ROW_KEY_HASH),
                    keys->sent[middle]) > 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < keys->sent_count)
            keys->sent[low]->row = row;
    }
    for (int i = 0; i < keys->sent_count; i++)
        if (is_repeated(keys, i))
            keys->sent[i]->row = keys->sent[i - 1]->row;
}

static void send_query(struct keys *keys);

static void on_rows(void *context, const struct pg_result *rows) {
    struct keys *keys = context;
    if (pg_status(rows) == PG_OK)
        find_rows(keys, rows);
    else if (pg_status(rows) == PG_FAILED)
        log_error("idempotency_keys_not_kept", log_string("reason", pg_message(rows)));
    for (int i = 0; i < keys->sent_count; i++) {
        tell(keys->sent[i], rows);
        free(keys->sent[i]);
    }
    keys->sent_count = 0;
    send_query(keys);
}

static void take_batch(struct keys *keys) {
    while (keys->waiting && keys->sent_count < BATCH_MAX) {
        struct asked *asked = keys->waiting;
        keys->waiting = asked->next;
        keys->sent[keys->sent_count++] = asked;
    }
    if (!keys->waiting)
        keys->waiting_end = &keys->waiting;
    qsort(keys->sent, (size_t)keys->sent_count, sizeof *keys->sent, compare_asked);
}

/* One statement cannot touch a row twice: a key that several ask for at once is sent once. */
static void send_query(struct keys *keys) {
    if (keys->sent_count || !keys->waiting)
        return;
    struct arena *arena = arena_create(65536);
    struct buffer arrays[4];
    const char *values[4];
    take_batch(keys);
    for (int i = 0; i < 4; i++) {
        arrays[i] = buffer_in(arena);
        pg_array_begin(&arrays[i]);
    }
    for (int i = 0; i < keys->sent_count; i++) {
        const struct asked *asked = keys->sent[i];
        if (is_repeated(keys, i))
            continue;
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
static void hash_body(
    const char *task_type, const char *user_input, const char *model, char hash[HASH_BYTES]) {
    struct arena *arena = arena_create(strlen(user_input) + 512);
    const char *text = arena_format(arena, "%zu %s%s", strlen(task_type), task_type, user_input);
    if (model)
        text = arena_format(arena, "model %zu %s%s", strlen(model), model, text);
    sha256_hex(text, hash);
    arena_destroy(&arena);
}

void keys_ask(struct keys *keys, const char *tenant, const char *key, const char *task_type,
    const char *user_input, const char *model, const char *request_id, key_done done, void *context) {
    struct asked *asked = calloc(1, sizeof *asked + strlen(tenant) + 1);
    if (!asked)
        abort();
    memcpy(asked->tenant_text, tenant, strlen(tenant) + 1);
    asked->tenant = asked->tenant_text;
    sha256_hex(key, asked->key_hash);
    hash_body(task_type, user_input, model, asked->body_hash);
    memcpy(asked->request_id, request_id, UUID_TEXT_BYTES);
    asked->done = done;
    asked->context = context;
    asked->row = -1;
    *keys->waiting_end = asked;
    keys->waiting_end = &asked->next;
    send_query(keys);
}
