/* Idempotency keys: the same key and the same body stand for one request, on any gateway, for 24 hours. */
#ifndef GATEWAY_KEYS_H
#define GATEWAY_KEYS_H

#include "shared/request_id.h"

struct arena;
struct keys;
struct pg;

enum key_found {
    KEY_NEW,        /* the request id that was offered is the key's from now on */
    KEY_SAME,       /* the key stands for another request of the same body */
    KEY_OTHER_BODY, /* the key stands for another body */
    KEY_AWAY,       /* Postgres did not answer */
};

/* request_id: the one that the key stands for; status: "succeeded" or "failed" when it has a result, else
 * NULL. Both are borrowed for the call. */
typedef void (*key_done)(void *context, enum key_found found, const char *request_id, const char *status);

struct keys *keys_open(struct pg *pg);
void keys_close(struct keys **keys);

/* The key in a header's value, in arena: a quoted string (RFC 8941) or the plain text, 1…255 visible ASCII
 * characters or spaces within quotes. NULL when it is no such key. */
char *key_read(struct arena *arena, const char *header);

/* Asks for a key, and offers a request id for it. key and task_type, user_input and model (the body; model
 * may be NULL) are hashed at once; done is called once, later. Keys that are asked for while a query is under
 * way go into the next one together. */
void keys_ask(struct keys *keys, const char *tenant, const char *key, const char *task_type,
    const char *user_input, const char *model, const char *request_id, key_done done, void *context);

#endif
