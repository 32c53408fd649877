/* HTTP out: calls from their start to their end, with their timeouts. */
#include "shared/http_client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_hosts.h"
#include "shared/http_multi.h"
#include "shared/http_transfer.h"

/* The parts of a URL that decide how it is called. */
struct target {
    char *url;         /* NULL: none yet */
    char *host, *port; /* NULL when it is no URL that curl understands */
    bool local;        /* this machine: never through a proxy */
    bool looked_up;    /* its host is a name that we resolve */
};

struct http_client {
    uv_loop_t *loop;
    struct http_multis *multis; /* NULL once closed */
    struct http_hosts *hosts;
    struct transfers *transfers;
    struct http_call *calls;
    struct target target; /* of the last URL: most calls go to the same */
    int users;            /* ends being told, and the owner; at 0 a closed client is freed */
};

struct http_call {
    struct http_client *client;
    struct http_call *previous, *next;
    struct arena *arena;
    struct transfer *transfer;
    struct http_multi *multi;   /* NULL until curl has it */
    struct http_lookup *lookup; /* not NULL while the address is looked up */
    struct curl_slist *addresses;
    const char *host, *port;
    struct buffer answer;
    size_t received, answer_bytes_max;
    int64_t connect_timeout_ms, first_byte_timeout_ms, timeout_ms;
    bool begun;                      /* a first byte has come */
    bool headers_whole;              /* the empty line after them has come */
    bool streams;                    /* what comes now goes to data */
    enum http_call_end ended;        /* by us, while curl was reading; else HTTP_CALL_ANSWERED */
    uint64_t started_ns, started_ms; /* by uv_hrtime and uv_now */
    bool (*data)(void *context, const char *bytes, size_t length);
    http_call_done done;
    void *context;
};

static void end_call(struct http_call *call, struct http_call_answer *answer);
static void on_curl_ended(CURL *easy, CURLcode result);
static size_t on_header(char *line, size_t one, size_t length, void *context);
static size_t on_body(char *data, size_t one, size_t length, void *context);

struct http_client *http_client_open(uv_loop_t *loop) {
    /* A TLS library may write to a socket whose peer has gone; with CURLOPT_NOSIGNAL curl leaves that signal
     * to us. */
    signal(SIGPIPE, SIG_IGN);
    struct http_client *client = calloc(1, sizeof *client);
    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    client->loop = loop;
    client->users = 1;
    client->hosts = http_hosts_open(loop);
    client->multis = http_multis_open(loop, on_curl_ended);
    client->transfers = transfers_open(
        loop, client->multis, &(struct transfer_callbacks){.header = on_header, .body = on_body});
    return client;
}

static void client_release(struct http_client *client) {
    if (--client->users > 0)
        return;
    curl_global_cleanup();
    free(client->target.url);
    curl_free(client->target.host);
    curl_free(client->target.port);
    free(client);
}

void http_client_trust(struct http_client *client, const char *ca_file) {
    transfers_trust(client->transfers, ca_file);
}

static void begin_headers(struct http_call *call, const char *line, size_t length) {
    /* "HTTP/1.1 200 OK", "HTTP/2 200" */
    const char *space = memchr(line, ' ', length);
    call->headers_whole = false;
    call->streams = call->data && space && line + length - space > 1 && space[1] == '2';
}

static size_t on_header(char *line, size_t one, size_t length, void *context) {
    struct http_call *call = ((struct transfer *)context)->call;
    (void)one;
    call->begun = true;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        begin_headers(call, line, length);
    else if (length && (line[0] == '\r' || line[0] == '\n'))
        call->headers_whole = true;
    return length;
}

static size_t on_body(char *data, size_t one, size_t length, void *context) {
    struct http_call *call = ((struct transfer *)context)->call;
    (void)one;
    if (length > call->answer_bytes_max - call->received) {
        call->ended = HTTP_CALL_TOO_LONG;
        return CURL_WRITEFUNC_ERROR;
    }
    call->received += length;
    if (!call->streams) {
        buffer_append(&call->answer, data, length);
    } else if (!call->data(call->context, data, length)) {
        call->ended = HTTP_CALL_STOPPED;
        return CURL_WRITEFUNC_ERROR;
    }
    return length;
}

/* Behind a proxy only the proxy may be able to look names up; its own name is then curl's work. */
static bool proxied(void) {
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

static void split_url(struct target *target, const char *url) {
    CURLU *parts = curl_url();
    free(target->url);
    curl_free(target->host);
    curl_free(target->port);
    *target = (struct target){.url = strdup(url)};
    if (!parts || !target->url)
        abort();
    if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &target->host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &target->port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        target->local = http_host_is_local(target->host);
        target->looked_up = !http_host_is_address(target->host) && (target->local || !proxied());
    }
    curl_url_cleanup(parts);
}

static const struct target *find_target(struct http_client *client, const char *url) {
    if (!client->target.url || strcmp(client->target.url, url) != 0)
        split_url(&client->target, url);
    return &client->target;
}

static void link_call(struct http_call *call) {
    call->next = call->client->calls;
    if (call->next)
        call->next->previous = call;
    call->client->calls = call;
}

static void unlink_call(struct http_call *call) {
    if (call->previous)
        call->previous->next = call->next;
    else
        call->client->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
}

static uint64_t passed_ms(const struct http_call *call) {
    return uv_now(call->client->loop) - call->started_ms;
}

/* Hands the call to curl, which sets its timer to 0: the work begins from the loop. */
static void start(struct http_call *call) {
    CURL *easy = call->transfer->easy;
    int64_t left = call->connect_timeout_ms - (int64_t)passed_ms(call);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, left > 0 ? (long)left : 1L);
    if (call->addresses)
        curl_easy_setopt(easy, CURLOPT_RESOLVE, call->addresses);
    call->multi = http_multis_add(call->client->multis, easy);
}

static int64_t timeout_of(const struct http_call *call, enum http_call_end end) {
    switch (end) {
    case HTTP_CALL_CONNECT_TIMEOUT:
        return call->connect_timeout_ms;
    case HTTP_CALL_FIRST_BYTE_TIMEOUT:
        return call->first_byte_timeout_ms;
    default:
        return call->timeout_ms;
    }
}

/* The timeout that comes first, of what has not come. Once curl has the call, the one of connecting is its
 * own. */
static enum http_call_end next_timeout(const struct http_call *call) {
    enum http_call_end next = HTTP_CALL_WHOLE_TIMEOUT;
    if (!call->begun && call->first_byte_timeout_ms && call->first_byte_timeout_ms < call->timeout_ms)
        next = HTTP_CALL_FIRST_BYTE_TIMEOUT;
    if (!call->multi && call->connect_timeout_ms < timeout_of(call, next))
        next = HTTP_CALL_CONNECT_TIMEOUT;
    return next;
}

static const char *describe_timeout(struct http_call *call, enum http_call_end end) {
    static const char *const MISSED[] = {
        [HTTP_CALL_CONNECT_TIMEOUT] = "connection",
        [HTTP_CALL_FIRST_BYTE_TIMEOUT] = "first byte of an answer",
        [HTTP_CALL_WHOLE_TIMEOUT] = "whole answer",
    };
    return arena_format(call->arena, "no %s within %lld ms%s", MISSED[end], (long long)timeout_of(call, end),
        call->lookup ? ", while looking up the host" : "");
}

static void set_timer(struct http_call *call);

/* What came since it was set has moved the time by which more must come. */
static void on_timer(uv_timer_t *timer) {
    struct http_call *call = ((struct transfer *)timer->data)->call;
    enum http_call_end end = next_timeout(call);
    if (passed_ms(call) < (uint64_t)timeout_of(call, end)) {
        set_timer(call);
        return;
    }
    end_call(call, &(struct http_call_answer){.end = end, .error = describe_timeout(call, end)});
}

static void set_timer(struct http_call *call) {
    uint64_t due = (uint64_t)timeout_of(call, next_timeout(call)), passed = passed_ms(call);
    uv_timer_start(&call->transfer->timer, on_timer, due > passed ? due - passed : 0, 0);
}

static void on_addresses(void *context, const char *addresses, const char *error) {
    struct http_call *call = context;
    call->lookup = NULL;
    if (!addresses) {
        end_call(call, &(struct http_call_answer){.end = HTTP_CALL_UNREACHABLE, .error = error});
        return;
    }
    const char *entry = arena_format(call->arena, "%s:%s:%s", call->host, call->port, addresses);
    if (!(call->addresses = curl_slist_append(NULL, entry)))
        abort();
    start(call);
}

struct http_call *http_client_post(
    struct http_client *client, const struct http_call_request *request, http_call_done done, void *context) {
    struct arena *arena = arena_create(sizeof(struct http_call));
    struct http_call *call = arena_alloc(arena, sizeof *call);
    uv_update_time(client->loop);
    *call = (struct http_call){
        .client = client,
        .arena = arena,
        .answer = buffer_in(arena),
        .answer_bytes_max = request->answer_bytes_max,
        .connect_timeout_ms = request->connect_timeout_ms,
        .first_byte_timeout_ms = request->first_byte_timeout_ms,
        .timeout_ms = request->timeout_ms,
        .started_ns = uv_hrtime(),
        .started_ms = uv_now(client->loop),
        .data = request->data,
        .done = done,
        .context = context,
    };
    const struct target *target = find_target(client, request->url);
    call->transfer = transfer_take(client->transfers, request, target->local, call);
    link_call(call);
    if (target->looked_up) {
        call->host = arena_string(arena, target->host);
        call->port = arena_string(arena, target->port);
        call->lookup = http_hosts_find(client->hosts, call->host, on_addresses, call);
    } else {
        start(call);
    }
    set_timer(call);
    return call;
}

/* Takes the call out of curl and the lists; its transfer and its arena remain. */
static void detach(struct http_call *call) {
    http_lookup_cancel(&call->lookup);
    unlink_call(call);
    uv_timer_stop(&call->transfer->timer);
    if (call->multi)
        http_multi_remove(call->multi, call->transfer->easy);
    if (call->addresses)
        curl_easy_setopt(call->transfer->easy, CURLOPT_RESOLVE, NULL);
    curl_slist_free_all(call->addresses);
}

static bool is_timeout(enum http_call_end end) {
    return end == HTTP_CALL_CONNECT_TIMEOUT || end == HTTP_CALL_FIRST_BYTE_TIMEOUT ||
           end == HTTP_CALL_WHOLE_TIMEOUT;
}

static void end_call(struct http_call *call, struct http_call_answer *answer) {
    struct http_client *client = call->client;
    struct transfer *transfer = call->transfer;
    struct arena *arena = call->arena;
    detach(call);
    if (!answer->body)
        answer->body = "";
    answer->timed_out = is_timeout(answer->end);
    answer->retry_after_ms = answer->status ? answer->retry_after_ms : -1;
    answer->seconds = (double)(uv_hrtime() - call->started_ns) / 1e9;
    answer->call = call;
    client->users++;
    call->done(call->context, answer);
    transfer_give_back(transfer);
    client_release(client);
    arena_destroy(&arena);
}

const char *http_call_header(const struct http_call_answer *answer, const char *name) {
    return answer->status ? transfer_header(answer->call->transfer, name) : NULL;
}

static enum http_call_end end_of(const struct transfer *transfer, CURLcode result) {
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_CALL_CONNECT_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_OUT_OF_MEMORY:
        return HTTP_CALL_OTHER;
    default:
        return transfer_connected(transfer) ? HTTP_CALL_CUT : HTTP_CALL_UNREACHABLE;
    }
}

static const char *describe(struct http_call *call, enum http_call_end end, CURLcode result) {
    if (end == HTTP_CALL_CONNECT_TIMEOUT)
        return describe_timeout(call, end);
    if (end == HTTP_CALL_TOO_LONG)
        return arena_format(call->arena, "the answer is longer than %zu bytes", call->answer_bytes_max);
    if (end == HTTP_CALL_STOPPED)
        return "its reader stopped the answer";
    const char *error = call->transfer->error;
    return arena_string(call->arena, error[0] ? error : curl_easy_strerror(result));
}

static void on_curl_ended(CURL *easy, CURLcode result) {
    struct http_call *call = transfer_of(easy)->call;
    struct http_call_answer answer = {.end = call->ended};
    /* A connection that breaks within the headers is an empty answer to curl. */
    if (result == CURLE_OK && !call->headers_whole)
        result = CURLE_GOT_NOTHING;
    if (result == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        answer.body = buffer_text(&call->answer);
        answer.length = call->answer.length;
        answer.retry_after_ms = transfer_retry_after_ms(call->transfer);
    } else {
        if (answer.end == HTTP_CALL_ANSWERED)
            answer.end = end_of(call->transfer, result);
        answer.error = describe(call, answer.end, result);
    }
    end_call(call, &answer);
}

void http_client_cancel(struct http_call **cancelled) {
    struct http_call *call = *cancelled;
    *cancelled = NULL;
    if (!call)
        return;
    struct arena *arena = call->arena;
    detach(call);
    transfer_give_back(call->transfer);
    arena_destroy(&arena);
}

void http_client_close(struct http_client **closing) {
    struct http_client *client = *closing;
    *closing = NULL;
    while (client->calls) {
        struct http_call *call = client->calls;
        http_client_cancel(&call);
    }
    transfers_close(&client->transfers);
    http_multis_close(&client->multis);
    http_hosts_close(&client->hosts);
    client_release(client);
}
