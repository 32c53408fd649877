/* Easy handles at rest, what is set on them once, and what for each call. */
#include "shared/http_transfer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POOL_MAX = 64, RETRY_AFTER_SECONDS_MAX = 7 * 24 * 3600, BUFFER_BYTES = 2048, UPLOAD_BYTES = 16 << 10 };

struct transfers {
    uv_loop_t *loop;
    struct http_multis *multis; /* NULL once closed */
    struct transfer_callbacks callbacks;
    CURLSH *share; /* of TLS sessions */
    char *ca_file; /* NULL: the system's */
    struct transfer *pool[POOL_MAX];
    int pooled;
    int users; /* transfers and the owner; at 0 all of it is freed */
};

struct transfers *transfers_open(
    uv_loop_t *loop, struct http_multis *multis, const struct transfer_callbacks *callbacks) {
    struct transfers *transfers = calloc(1, sizeof *transfers);
    /* curl counts these: the last easy handle may go after the client. */
    if (!transfers || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        !(transfers->share = curl_share_init()) ||
        curl_share_setopt(transfers->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
        abort();
    transfers->loop = loop;
    transfers->multis = multis;
    transfers->callbacks = *callbacks;
    transfers->users = 1;
    return transfers;
}

static void release(struct transfers *transfers) {
    if (--transfers->users > 0)
        return;
    curl_share_cleanup(transfers->share);
    curl_global_cleanup();
    free(transfers->ca_file);
    free(transfers);
}

void transfers_trust(struct transfers *transfers, const char *ca_file) {
    free(transfers->ca_file);
    transfers->ca_file = ca_file && *ca_file ? strdup(ca_file) : NULL;
}

/* Once for each easy handle. */
static void set_lasting_options(struct transfer *transfer) {
    const struct transfers *transfers = transfer->transfers;
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, transfers->callbacks.body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, transfers->callbacks.header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    /* Held by each call in flight; what goes out over TLS is copied into the latter. */
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "moru");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_SHARE, transfers->share);
    /* curl keeps the parsed certificates for all connections of a multi handle, but only those of one file.
     */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (transfers->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, transfers->ca_file);
    http_multis_prepare(transfers->multis, easy);
}

static struct transfer *create(struct transfers *transfers) {
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer || !(transfer->easy = curl_easy_init()))
        abort();
    transfer->transfers = transfers;
    transfers->users++;
    uv_timer_init(transfers->loop, &transfer->timer);
    transfer->timer.data = transfer;
    set_lasting_options(transfer);
    return transfer;
}

static struct curl_slist *append(struct curl_slist *list, const char *text) {
    struct curl_slist *longer = curl_slist_append(list, text);
    if (!longer)
        abort();
    return longer;
}

/* Otherwise curl waits up to a second for "100 Continue" before a large body. */
static const char NO_EXPECT[] = "Expect:";

static bool same_headers(const struct curl_slist *list, const char *const *headers) {
    if (!list)
        return false;
    for (; headers && *headers; headers++, list = list->next)
        if (!list->next || strcmp(list->data, *headers) != 0)
            return false;
    return !list->next;
}

static void set_headers(struct transfer *transfer, const char *const *headers) {
    if (same_headers(transfer->headers, headers))
        return;
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    for (; headers && *headers; headers++)
        transfer->headers = append(transfer->headers, *headers);
    transfer->headers = append(transfer->headers, NO_EXPECT);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_options(struct transfer *transfer, const struct http_call_request *request, bool local) {
    CURL *easy = transfer->easy;
    transfer->error[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->length ? request->body : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
    curl_easy_setopt(easy, CURLOPT_PROXY, local ? "" : NULL);
    set_headers(transfer, request->headers);
}

struct transfer *transfer_take(struct transfers *transfers, const struct http_call_request *request,
    bool local, struct http_call *call) {
    struct transfer *transfer = transfers->pooled ? transfers->pool[--transfers->pooled] : create(transfers);
    transfer->call = call;
    set_options(transfer, request, local);
    return transfer;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct transfer *transfer = handle->data;
    release(transfer->transfers);
    free(transfer);
}

static void destroy(struct transfer *transfer) {
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    uv_close((uv_handle_t *)&transfer->timer, on_timer_closed);
}

void transfer_give_back(struct transfer *transfer) {
    struct transfers *transfers = transfer->transfers;
    transfer->call = NULL;
    if (transfers->multis && transfers->pooled < POOL_MAX)
        transfers->pool[transfers->pooled++] = transfer;
    else
        destroy(transfer);
}

void transfers_close(struct transfers **closing) {
    struct transfers *transfers = *closing;
    *closing = NULL;
    transfers->multis = NULL;
    while (transfers->pooled)
        destroy(transfers->pool[--transfers->pooled]);
    release(transfers);
}

struct transfer *transfer_of(CURL *easy) {
    struct transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    return transfer;
}

const char *transfer_header(const struct transfer *transfer, const char *name) {
    struct curl_header *header;
    return curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                             : NULL;
}

static int64_t bounded(double ms) {
    double most = 1000.0 * RETRY_AFTER_SECONDS_MAX;
    return ms <= 0 ? 0 : (int64_t)(ms < most ? ms : most);
}

static bool begins_with_digit(const char *value) {
    return value && value[0] >= '0' && value[0] <= '9' && !strchr(value, ' ');
}

/* RFC 9110, 10.2.3: seconds or a date. Retry-After-Ms is what OpenAI and Azure send beside it. */
int64_t transfer_retry_after_ms(const struct transfer *transfer) {
    const char *ms = transfer_header(transfer, "Retry-After-Ms"),
               *value = transfer_header(transfer, "Retry-After");
    if (begins_with_digit(ms))
        return bounded(strtod(ms, NULL));
    if (begins_with_digit(value))
        return bounded(1000 * strtod(value, NULL));
    time_t date = value ? curl_getdate(value, NULL) : -1;
    return date == -1 ? -1 : bounded(1000.0 * (double)(date - time(NULL)));
}

bool transfer_connected(const struct transfer *transfer) {
    curl_off_t microseconds = 0;
    return curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds) == CURLE_OK &&
           microseconds > 0;
}
