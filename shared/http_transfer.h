/* curl's easy handles for calls, kept and used again with what does not change. Private to
 * shared/http_client.c. */
#ifndef SHARED_HTTP_TRANSFER_H
#define SHARED_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "shared/http_client.h"
#include "shared/http_multi.h"

struct transfers;

/* An easy handle, with what it points to. */
struct transfer {
    struct transfers *transfers;
    CURL *easy;
    struct curl_slist *headers;
    uv_timer_t timer; /* the call's; its data is the transfer, stopped while at rest */
    struct http_call *call;
    char error[CURL_ERROR_SIZE];
};

/* curl's write and header callbacks; their context is the transfer. */
struct transfer_callbacks {
    size_t (*header)(char *line, size_t one, size_t length, void *context);
    size_t (*body)(char *data, size_t one, size_t length, void *context);
};

/* multis is borrowed until transfers_close. */
struct transfers *transfers_open(
    uv_loop_t *loop, struct http_multis *multis, const struct transfer_callbacks *callbacks);

/* As http_client_trust. */
void transfers_trust(struct transfers *transfers, const char *ca_file);

/* One that is ready for request, with call; only its timeouts and addresses are left to set. local: no proxy.
 * request's url, headers and body are borrowed until it is given back. */
struct transfer *transfer_take(
    struct transfers *transfers, const struct http_call_request *request, bool local, struct http_call *call);

/* Its easy handle must have been removed from its multi handle. May come after transfers_close. */
void transfer_give_back(struct transfer *transfer);

/* The one that easy belongs to. */
struct transfer *transfer_of(CURL *easy);

/* As http_call_header, of a transfer that has a whole answer. */
const char *transfer_header(const struct transfer *transfer, const char *name);

/* As http_call_answer's retry_after_ms. */
int64_t transfer_retry_after_ms(const struct transfer *transfer);

/* True once there was a connection for it. */
bool transfer_connected(const struct transfer *transfer);

/* Nulls *transfers. What is taken must still be given back. */
void transfers_close(struct transfers **transfers);

#endif
