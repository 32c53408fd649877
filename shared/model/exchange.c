/* The exchange over HTTP with a provider's server, whichever protocol it speaks. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_client.h"
#include "shared/log.h"
#include "shared/model/events.h"
#include "shared/model/protocol.h"

/* JSON may write one byte of text as six, and there is more in an answer than its text: in a stream some
 * hundred bytes around each token. Of a stream only one event at a time is held. */
enum { ESCAPED_BYTES = 6, STREAMED_BYTES = 512, AROUND_BYTES = 64 << 10, SCRATCH_BYTES = 16 << 10 };

/* Of a call beside its texts: itself, what the body says around them, and a short answer. */
enum { CALL_BYTES = 1536 };

struct exchange {
    const struct model_target *target;
    const struct model_protocol *protocol;
    struct http_client *client;
    struct arena *arena;
    struct arena *scratch; /* one event's or answer's tree */
    const char *url, *stream_url;
    const char *headers[MODEL_HEADERS_MAX + 2];
    int form_way; /* the best that the server has not refused */
};

/* What has come of a 2xx answer that was asked for as a stream. */
enum came { CAME_NOTHING, CAME_EVENTS, CAME_WHOLE };

struct model_call {
    struct exchange *exchange;
    struct arena *arena;
    const struct model_request *request;
    struct http_call *http;
    model_done done;
    void *context;
    bool stream;
    int form_way; /* it was asked in */
    enum came came;
    struct events events;
    struct buffer whole; /* CAME_WHOLE: the server did not stream */
    struct model_reading reading;
    bool failed; /* while it streamed: failure says how */
    struct model_answer failure;
};

static const char *write_url(struct arena *arena, const struct model_target *target,
    const struct model_protocol *protocol, bool stream) {
    struct buffer url = buffer_in(arena);
    buffer_string(&url, target->base_url);
    protocol->write_path(&url, target, stream);
    return buffer_text(&url);
}

void *exchange_open(uv_loop_t *loop, const struct model_target *target) {
    struct arena *arena = arena_create(0);
    struct exchange *exchange = arena_alloc(arena, sizeof *exchange);
    exchange->target = target;
    exchange->protocol = model_adapter_of(target->provider)->protocol;
    exchange->arena = arena;
    exchange->scratch = arena_create(SCRATCH_BYTES);
    exchange->url = write_url(arena, target, exchange->protocol, false);
    exchange->stream_url = write_url(arena, target, exchange->protocol, true);
    exchange->headers[0] = "Content-Type: application/json";
    exchange->protocol->write_headers(arena, target, exchange->headers + 1);
    exchange->client = http_client_open(loop);
    http_client_trust(exchange->client, model_configuration.ca_file);
    return exchange;
}

static void fail_while_streaming(
    struct model_call *call, enum model_status status, enum model_error kind, const char *error) {
    failure_set(&call->failure, status, kind, error);
    call->failed = true;
}

static void take_event_error(struct model_call *call, const cJSON *root, const cJSON *error) {
    const struct exchange *exchange = call->exchange;
    int status = exchange->protocol->error_status(error);
    /* The answer had begun, so the request was not what was wrong. */
    failure_told(call->arena, exchange->target, status ? status : 500, root, &call->failure);
    call->failed = true;
}

/* The data of one event. */
static bool on_event(void *context, const char *data, size_t length) {
    struct model_call *call = context;
    struct exchange *exchange = call->exchange;
    const struct model_protocol *protocol = exchange->protocol;
    int replaced = 0;
    if (protocol->end_mark && strcmp(data, protocol->end_mark) == 0) {
        call->reading.ended = true;
        return true;
    }
    arena_reset(exchange->scratch);
    const cJSON *root = reading_parse(exchange->scratch, data, length, &replaced), *error;
    if (!root)
        fail_while_streaming(call, MODEL_RETRY, MODEL_ERROR_INVALID_ANSWER,
            "the model's server streamed an event that is no whole JSON");
    else if ((error = failure_inside(root)) != NULL)
        take_event_error(call, root, error);
    else
        reading_take(&call->reading, protocol->read_event, root, replaced);
    /* reading_finish says that it is too long. */
    return !call->failed && call->reading.text.length <= (size_t)model_configuration.output_bytes_max;
}

static size_t held_bytes_max(void) {
    return (size_t)model_configuration.output_bytes_max * ESCAPED_BYTES + AROUND_BYTES;
}

/* Bytes of a 2xx answer. A server that does not know streams answers with the whole. */
static bool on_data(void *context, const char *bytes, size_t length) {
    struct model_call *call = context;
    for (size_t i = 0; call->came == CAME_NOTHING && i < length; i++)
        if (!strchr(" \t\r\n", bytes[i]))
            call->came = bytes[i] == '{' || bytes[i] == '[' ? CAME_WHOLE : CAME_EVENTS;
    if (call->came == CAME_WHOLE)
        buffer_append(&call->whole, bytes, length);
    else if (!events_feed(&call->events, bytes, length))
        return false;
    if (call->whole.length + call->events.line.length + call->events.data.length > held_bytes_max())
        fail_while_streaming(call, MODEL_REJECT, MODEL_ERROR_TOO_LONG,
            "the model's server answered with too much: an event or a whole answer without an end");
    return !call->failed;
}

static void read_body(
    struct model_call *call, const char *body, size_t length, int status, struct model_answer *answer) {
    struct exchange *exchange = call->exchange;
    int replaced = 0;
    arena_reset(exchange->scratch);
    const cJSON *root = reading_parse(exchange->scratch, body, length, &replaced);
    const cJSON *error = failure_inside(root);
    if (status / 100 != 2) {
        failure_told(call->arena, exchange->target, status, root, answer);
    } else if (error) {
        /* Some gateways answer 200 and put the true status inside. */
        int inside = exchange->protocol->error_status(error);
        failure_told(call->arena, exchange->target, inside ? inside : status, root, answer);
    } else if (!root) {
        failure_set(answer, MODEL_RETRY, MODEL_ERROR_INVALID_ANSWER,
            arena_format(
                call->arena, "the model's server answered with status %d, but not with whole JSON", status));
    } else {
        reading_take(&call->reading, exchange->protocol->read, root, replaced);
        reading_finish(&call->reading, exchange->target, answer);
    }
}

static void read_answer(
    struct model_call *call, const struct http_call_answer *http, struct model_answer *answer) {
    bool streamed = call->came == CAME_EVENTS;
    bool too_long = call->reading.text.length > (size_t)model_configuration.output_bytes_max;
    if (call->failed)
        failure_set(answer, call->failure.status, call->failure.error_kind, call->failure.error);
    else if (streamed && (call->reading.ended || too_long))
        /* What may have gone wrong behind its end does no harm. */
        reading_finish(&call->reading, call->exchange->target, answer);
    else if (!http->status)
        failure_unreached(call->arena, http, answer);
    else if (streamed)
        failure_set(
            answer, MODEL_RETRY, MODEL_ERROR_CUT, "the model's answer broke off: its stream came to no end");
    else if (call->came == CAME_WHOLE)
        read_body(call, buffer_text(&call->whole), call->whole.length, http->status, answer);
    else
        read_body(call, http->body, http->length, http->status, answer);
}

static void post(struct model_call *call);

/* A server that does not know one way to ask for a form is asked in the next one, from now on. */
static bool asks_in_another_way(struct model_call *call, const struct http_call_answer *http) {
    struct exchange *exchange = call->exchange;
    const struct model_protocol *protocol = exchange->protocol;
    bool may_be = call->request->form && protocol->form_refused &&
                  (http->status == 400 || http->status == 422 || http->status == 500 || http->status == 501);
    if (!may_be || call->form_way + 1 >= protocol->form_ways || !protocol->form_refused(http->body))
        return false;
    if (exchange->form_way == call->form_way) {
        exchange->form_way++;
        log_info("model_form_refused", log_string("model", exchange->target->name),
            log_integer("status", http->status), log_integer("next_way", exchange->form_way));
    }
    model_count_form_refused(exchange->target);
    post(call);
    return true;
}

static void on_answer(void *context, const struct http_call_answer *http) {
    struct model_call *call = context;
    struct arena *arena = call->arena;
    if (asks_in_another_way(call, http))
        return;
    /* The tokens of an answer that broke off are paid for all the same. */
    struct model_answer answer = call->reading.answer;
    answer.text = "";
    answer.retry_after_ms = call->failure.retry_after_ms > http->retry_after_ms ? call->failure.retry_after_ms
                                                                                : http->retry_after_ms;
    allowance_read(&call->exchange->protocol->allowance, http, &answer);
    read_answer(call, http, &answer);
    call->done(call->context, &answer);
    arena_destroy(&arena);
}

static void post(struct model_call *call) {
    struct exchange *exchange = call->exchange;
    struct buffer body = buffer_in(call->arena);
    size_t streamed_max = (size_t)model_configuration.output_bytes_max * STREAMED_BYTES + AROUND_BYTES;
    call->form_way = exchange->form_way;
    exchange->protocol->write_body(&body, exchange->target, call->request, call->stream, call->form_way);
    struct http_call_request request = {
        .url = call->stream ? exchange->stream_url : exchange->url,
        .headers = exchange->headers,
        .body = body.data,
        .length = body.length,
        .connect_timeout_ms = model_configuration.connect_timeout_ms,
        .first_byte_timeout_ms = model_configuration.first_byte_timeout_ms,
        .timeout_ms = call->request->timeout_ms ? call->request->timeout_ms : model_configuration.timeout_ms,
        .answer_bytes_max = call->stream ? streamed_max : held_bytes_max(),
        .data = call->stream ? on_data : NULL,
    };
    call->http = http_client_post(exchange->client, &request, on_answer, call);
}

struct model_call *exchange_call(
    void *context, const struct model_request *request, model_done done, void *done_context) {
    struct arena *arena = arena_create(strlen(request->user) + strlen(request->system) + CALL_BYTES);
    struct model_call *call = arena_alloc(arena, sizeof *call);
    *call = (struct model_call){
        .exchange = context,
        .arena = arena,
        .request = request,
        .done = done,
        .context = done_context,
        .stream = request->stream || (!request->form && strcmp(model_configuration.stream, "true") == 0),
        .events = events_in(arena, on_event, call),
        .whole = buffer_in(arena),
        .reading = {.arena = arena, .text = buffer_in(arena), .refusal = buffer_in(arena)},
        .failure = {.retry_after_ms = -1},
    };
    post(call);
    return call;
}

void exchange_cancel(void *context, struct model_call *call) {
    (void)context;
    struct arena *arena = call->arena;
    http_client_cancel(&call->http);
    arena_destroy(&arena);
}

void exchange_close(void *context) {
    struct exchange *exchange = context;
    struct arena *arena = exchange->arena;
    http_client_close(&exchange->client);
    arena_destroy(&exchange->scratch);
    arena_destroy(&arena);
}
