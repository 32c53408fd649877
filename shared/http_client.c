/* HTTP out: curl's multi socket interface, driven by uv_poll handles and one timer. */
#include "shared/http_client.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_hosts.h"
#include "shared/settings.h"

enum { POOL_MAX = 64, RETRY_AFTER_SECONDS_MAX = 7 * 24 * 3600 };

struct http_client {
    uv_loop_t *loop;
    CURLM *multi; /* NULL once closed */
    struct http_hosts *hosts;
    struct http_call *calls;
    CURL *pool[POOL_MAX]; /* easy handles at rest */
    int pooled;
    uv_timer_t timer;    /* curl's own */
    uv_timer_t deadline; /* the earliest deadline of a call that waits for its host's address */
    int handles;         /* uv handles that are not closed yet; at 0 a closed client is freed */
};

struct http_call {
    struct http_client *client;
    struct http_call *previous, *next;
    struct arena *arena;
    CURL *easy;
    struct http_lookup *lookup; /* not NULL while the address is looked up */
    struct curl_slist *headers, *addresses;
    const char *host, *port;
    struct buffer answer;
    size_t answer_bytes_max;
    bool too_long;
    bool headers_whole;               /* the empty line after them has come */
    uint64_t started_ns, deadline_ms; /* by uv_hrtime and uv_now */
    http_call_done done;
    void *context;
    char error[CURL_ERROR_SIZE];
};

struct watched {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t socket;
};

static void end_call(struct http_call *call, struct http_call_answer *answer);

/* Results are told only here, outside of curl's own callbacks, so that done may post, cancel and close. */
static void tell_finished(struct http_client *client);

static void act(struct http_client *client, curl_socket_t socket, int events) {
    int running;
    curl_multi_socket_action(client->multi, socket, events, &running);
    tell_finished(client);
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context) {
    struct http_client *client = context;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct watched *watched = poll->data;
    int curl_events = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        curl_events |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        curl_events |= CURL_CSELECT_OUT;
    act(watched->client, watched->socket, curl_events);
}

static void client_release(struct http_client *client) {
    if (--client->handles == 0)
        free(client);
}

static void on_watched_closed(uv_handle_t *handle) {
    struct watched *watched = handle->data;
    client_release(watched->client);
    free(watched);
}

static struct watched *watch(struct http_client *client, curl_socket_t socket) {
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        abort();
    watched->client = client;
    watched->socket = socket;
    if (uv_poll_init_socket(client->loop, &watched->poll, socket) < 0) {
        free(watched);
        return NULL;
    }
    watched->poll.data = watched;
    client->handles++;
    curl_multi_assign(client->multi, socket, watched);
    return watched;
}

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned) {
    struct http_client *client = context;
    struct watched *watched = assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watched) {
            curl_multi_assign(client->multi, socket, NULL);
            uv_close((uv_handle_t *)&watched->poll, on_watched_closed);
        }
        return 0;
    }
    if (!watched && !(watched = watch(client, socket)))
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watched->poll, events, on_socket) < 0 ? -1 : 0;
}

struct http_client *http_client_open(uv_loop_t *loop) {
    /* A TLS library may write to a socket whose peer has gone; with CURLOPT_NOSIGNAL curl leaves that signal
     * to us. */
    signal(SIGPIPE, SIG_IGN);
    struct http_client *client = calloc(1, sizeof *client);
    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(client->multi = curl_multi_init()))
        abort();
    client->loop = loop;
    uv_timer_init(loop, &client->timer);
    uv_timer_init(loop, &client->deadline);
    client->timer.data = client->deadline.data = client;
    client->handles = 2;
    client->hosts = http_hosts_open(loop);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    return client;
}

static size_t on_body(char *data, size_t one, size_t length, void *context) {
    struct http_call *call = context;
    (void)one;
    if (length > call->answer_bytes_max - call->answer.length) {
        call->too_long = true;
        return 0;
    }
    buffer_append(&call->answer, data, length);
    return length;
}

static size_t on_header(char *line, size_t one, size_t length, void *context) {
    struct http_call *call = context;
    (void)one;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        call->headers_whole = false;
    else if (length && (line[0] == '\r' || line[0] == '\n'))
        call->headers_whole = true;
    return length;
}

static void add_header(struct http_call *call, const char *header) {
    struct curl_slist *longer = curl_slist_append(call->headers, header);
    if (!longer)
        abort();
    call->headers = longer;
}

static void set_headers(struct http_call *call, const char *const *headers) {
    for (; headers && *headers; headers++)
        add_header(call, *headers);
    /* Otherwise curl waits up to a second for "100 Continue" before a large body. */
    add_header(call, "Expect:");
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

static void set_options(struct http_call *call, const struct http_call_request *request) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "moru");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->length ? request->body : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
    set_headers(call, request->headers);
}

/* The host and port of url; both NULL when it is no URL that curl understands. */
static void split_url(struct http_call *call, const char *url) {
    CURLU *parts = curl_url();
    char *host = NULL, *port = NULL;
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        call->host = arena_string(call->arena, host);
        call->port = arena_string(call->arena, port);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
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

/* Hands the call to curl, which sets its timer to 0: the work begins from the loop. */
static void start(struct http_call *call) {
    uint64_t now = uv_now(call->client->loop);
    uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 1;
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)left);
    if (call->addresses)
        curl_easy_setopt(call->easy, CURLOPT_RESOLVE, call->addresses);
    if (curl_multi_add_handle(call->client->multi, call->easy) != CURLM_OK)
        abort();
}

static void on_deadline(uv_timer_t *timer);

/* Sets the timer to the earliest deadline among the calls that curl does not have yet. */
static void set_deadline(struct http_client *client) {
    uint64_t earliest = UINT64_MAX, now = uv_now(client->loop);
    for (struct http_call *call = client->calls; call; call = call->next)
        if (call->lookup && call->deadline_ms < earliest)
            earliest = call->deadline_ms;
    if (earliest == UINT64_MAX)
        uv_timer_stop(&client->deadline);
    else
        uv_timer_start(&client->deadline, on_deadline, earliest > now ? earliest - now : 0, 0);
}

static void on_deadline(uv_timer_t *timer) {
    struct http_client *client = timer->data;
    uint64_t now = uv_now(client->loop);
    struct http_call *call = client->calls;
    while (call && !(call->lookup && call->deadline_ms <= now))
        call = call->next;
    if (call)
        end_call(call,
            &(struct http_call_answer){.error = "timed out while looking up the host", .timed_out = true});
    /* One at a time, since done may have changed the list; the timer comes back at once for the next. */
    if (client->multi)
        set_deadline(client);
}

static void on_addresses(void *context, const char *addresses, const char *error) {
    struct http_call *call = context;
    call->lookup = NULL;
    if (!addresses) {
        end_call(call, &(struct http_call_answer){.error = error});
        return;
    }
    call->addresses =
        curl_slist_append(NULL, arena_format(call->arena, "%s:%s:%s", call->host, call->port, addresses));
    if (!call->addresses)
        abort();
    start(call);
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

static CURL *take_easy(struct http_client *client) {
    CURL *easy = client->pooled ? client->pool[--client->pooled] : curl_easy_init();
    if (!easy)
        abort();
    return easy;
}

struct http_call *http_client_post(
    struct http_client *client, const struct http_call_request *request, http_call_done done, void *context) {
    struct arena *arena = arena_create(0);
    struct http_call *call = arena_alloc(arena, sizeof *call);
    call->client = client;
    call->arena = arena;
    call->answer = buffer_in(arena);
    call->answer_bytes_max = request->answer_bytes_max;
    call->done = done;
    call->context = context;
    call->started_ns = uv_hrtime();
    uv_update_time(client->loop);
    call->deadline_ms = uv_now(client->loop) + (uint64_t)request->timeout_ms;
    call->easy = take_easy(client);
    set_options(call, request);
    link_call(call);
    split_url(call, request->url);
    bool local = call->host && http_host_is_local(call->host);
    if (local)
        curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    if (!call->host || http_host_is_address(call->host) || (proxied() && !local)) {
        start(call);
    } else {
        call->lookup = http_hosts_find(client->hosts, call->host, on_addresses, call);
        set_deadline(client);
    }
    return call;
}

/* Takes the call out of curl and the lists; only its arena remains. */
static void detach(struct http_call *call) {
    struct http_client *client = call->client;
    http_lookup_cancel(&call->lookup);
    unlink_call(call);
    /* A handle that curl never had is refused, which is fine. */
    curl_multi_remove_handle(client->multi, call->easy);
    /* Before the lists and the error buffer it points to are gone. */
    curl_easy_reset(call->easy);
    if (client->pooled < POOL_MAX)
        client->pool[client->pooled++] = call->easy;
    else
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->addresses);
}

static void end_call(struct http_call *call, struct http_call_answer *answer) {
    struct arena *arena = call->arena;
    detach(call);
    if (!answer->body)
        answer->body = "";
    answer->retry_after_ms = answer->status ? answer->retry_after_ms : -1;
    answer->seconds = (double)(uv_hrtime() - call->started_ns) / 1e9;
    call->done(call->context, answer);
    arena_destroy(&arena);
}

/* RFC 9110, 10.2.3: seconds or a date. */
static int64_t read_retry_after(CURL *easy) {
    struct curl_header *header;
    if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return -1;
    int64_t seconds;
    if (header->value[0] >= '0' && header->value[0] <= '9' && !strchr(header->value, ' ')) {
        seconds = strtoll(header->value, NULL, 10);
    } else {
        time_t date = curl_getdate(header->value, NULL);
        if (date == -1)
            return -1;
        seconds = date - time(NULL);
    }
    if (seconds < 0)
        seconds = 0;
    return 1000 * (seconds > RETRY_AFTER_SECONDS_MAX ? RETRY_AFTER_SECONDS_MAX : seconds);
}

static const char *describe(struct http_call *call, CURLcode result) {
    if (call->too_long)
        return arena_format(call->arena, "the answer is longer than %zu bytes", call->answer_bytes_max);
    return arena_string(call->arena, call->error[0] ? call->error : curl_easy_strerror(result));
}

static void finish(struct http_call *call, CURLcode result) {
    struct http_call_answer answer = {.retry_after_ms = -1};
    /* A connection that breaks within the headers is an empty answer to curl. */
    if (result == CURLE_OK && !call->headers_whole)
        result = CURLE_GOT_NOTHING;
    if (result == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        answer.body = buffer_text(&call->answer);
        answer.length = call->answer.length;
        answer.retry_after_ms = read_retry_after(call->easy);
    } else {
        answer.error = describe(call, result);
        answer.timed_out = result == CURLE_OPERATION_TIMEDOUT;
    }
    end_call(call, &answer);
}

static void tell_finished(struct http_client *client) {
    CURLMsg *message;
    int left;
    /* done may close the client: then multi is NULL; its memory stays until its handles are closed. */
    while (client->multi && (message = curl_multi_info_read(client->multi, &left))) {
        struct http_call *call = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish(call, result);
    }
}

void http_client_cancel(struct http_call **call) {
    if (!*call)
        return;
    struct arena *arena = (*call)->arena;
    detach(*call);
    *call = NULL;
    arena_destroy(&arena);
}

static void on_timer_closed(uv_handle_t *handle) {
    client_release(handle->data);
}

void http_client_close(struct http_client **closing) {
    struct http_client *client = *closing;
    *closing = NULL;
    while (client->calls) {
        struct http_call *call = client->calls;
        http_client_cancel(&call);
    }
    while (client->pooled)
        curl_easy_cleanup(client->pool[--client->pooled]);
    curl_multi_cleanup(client->multi);
    client->multi = NULL;
    http_hosts_close(&client->hosts);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
    uv_close((uv_handle_t *)&client->deadline, on_timer_closed);
    curl_global_cleanup();
}
