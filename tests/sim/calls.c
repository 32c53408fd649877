/* A timer for each call, its fate by a chance that the seed fixes, and counts of it all. */
#include "tests/sim/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "tests/sim/chance.h"
#include "tests/sim/completions.h"
#include "tests/sim/fates.h"
#include "tests/sim/limits.h"
#include "tests/sim/seen.h"
#include "tests/sim/settings.h"

/* A call that hangs is let go of at last: its caller has left long ago, which a waiting connection does not
 * show. */
enum { HANGS_FOR_MS = 600000, STATUSES = 600 };

/* Calls that are met in one turn of the loop, after which their answers leave. With all that were due, turns
 * lasted half a second under load: callers got answers by the thousand, and asked again in one burst. */
enum { TURN = 64 };

struct calls {
    uv_loop_t *loop;
    struct sim_model *model;
    struct seen seen;
    struct limits limits;
    uint64_t turn_ms; /* uv_now of the turn that due counts in */
    uint64_t due;
    int64_t taken, in_flight, peak_in_flight, left, hung, broken, streamed;
    int64_t answered[ROLES], statuses[STATUSES], fates[FATES];
    int64_t repeats[ROLES], repeats_of_answered[ROLES];
    uint64_t answer_ns; /* from taking to answering, of all that are answered by the model */
};

struct call {
    uv_timer_t timer; /* at the start */
    struct calls *calls;
    struct http_request *http;
    const char *system, *user, *name; /* in the request's arena */
    bool stream, stream_usage;
    enum role role;
    uint64_t chance, hash, taken_ns;
    enum fate fate;
    const char *parts; /* what is left of a body that is sent in parts */
    size_t parts_left;
    bool parts_break; /* after them the connection is cut */
};

struct calls *calls_open(uv_loop_t *loop, struct sim_model *model) {
    struct calls *calls = calloc(1, sizeof *calls);
    if (!calls)
        abort();
    calls->loop = loop;
    calls->model = model;
    return calls;
}

void calls_close(struct calls **calls) {
    if (*calls)
        seen_free(&(*calls)->seen);
    free(*calls);
    *calls = NULL;
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

static void end(struct call *call) {
    call->calls->in_flight--;
    uv_close((uv_handle_t *)&call->timer, on_closed);
}

static void on_left(void *context) {
    struct call *call = context;
    call->calls->left++;
    end(call);
}

/* A content is a text, or a list of parts with texts. */
static void append_content(struct buffer *text, const cJSON *content) {
    const cJSON *part;
    if (text->length)
        buffer_byte(text, '\n');
    if (cJSON_IsString(content))
        buffer_string(text, content->valuestring);
    if (!cJSON_IsArray(content))
        return;
    cJSON_ArrayForEach(part, content) {
        const cJSON *piece = cJSON_GetObjectItemCaseSensitive(part, "text");
        if (cJSON_IsString(piece))
            buffer_string(text, piece->valuestring);
    }
}

/* NULL, or what is wrong with the body. */
static const char *read_body(struct call *call) {
    struct arena *arena = http_arena(call->http);
    struct json_errors errors = {0};
    struct buffer system = buffer_in(arena), user = buffer_in(arena);
    size_t length;
    const char *body = http_body(call->http, &length);
    const cJSON *root = json_parse(arena, body, length, &errors), *message;
    const cJSON *messages = cJSON_GetObjectItemCaseSensitive(root, "messages");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "model");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(root, "stream_options");
    if (!cJSON_IsArray(messages) || !messages->child)
        return "send a JSON object with a list of messages";
    cJSON_ArrayForEach(message, messages) {
        const cJSON *role = cJSON_GetObjectItemCaseSensitive(message, "role");
        if (!cJSON_IsString(role))
            return "give each message a role";
        bool directs =
            strcmp(role->valuestring, "system") == 0 || strcmp(role->valuestring, "developer") == 0;
        append_content(directs ? &system : &user, cJSON_GetObjectItemCaseSensitive(message, "content"));
    }
    call->system = buffer_text(&system);
    call->user = buffer_text(&user);
    call->name = cJSON_IsString(name) ? name->valuestring : "moru-sim";
    call->stream = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "stream"));
    call->stream_usage = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(options, "include_usage"));
    return NULL;
}

static void respond(struct call *call, int status, const struct buffer *body) {
    call->calls->statuses[status]++;
    http_respond(call->http, status, "application/json", body->data, body->length);
}

static void respond_error(
    struct call *call, int status, const char *type, const char *code, const char *message) {
    struct buffer body = buffer_in(http_arena(call->http));
    completion_write_error(&body, type, code, message);
    respond(call, status, &body);
}

/* The next event, or half JSON; then the end, whole or cut. */
static void send_next(void *context) {
    struct call *call = context;
    const char *event = call->parts_left ? memmem(call->parts, call->parts_left, "\n\n", 2) : NULL;
    size_t length = event ? (size_t)(event - call->parts) + 2 : call->parts_left;
    if (length) {
        http_send_part(call->http, call->parts, length);
        call->parts += length;
        call->parts_left -= length;
    } else {
        http_end_parts(call->http, call->parts_break);
        end(call);
    }
}

static void respond_parts(
    struct call *call, const char *type, const char *bytes, size_t length, bool breaks) {
    call->parts = bytes;
    call->parts_left = length;
    call->parts_break = breaks;
    call->calls->statuses[200]++;
    http_respond_parts(call->http, 200, type, send_next, call);
}

/* What a model's JSON looks like when it breaks off. */
static const char *broken(struct call *call, const char *text) {
    bool json = call->role == ROLE_JUDGE || call->role == ROLE_ANALYST;
    if (!json || chance_share(call->chance, 3) >= sim_settings.bad_json_share)
        return text;
    call->calls->broken++;
    return arena_copy(http_arena(call->http), text, strlen(text) / 2);
}

static const char *half(struct call *call, const char *text) {
    size_t length = strlen(text) / 2;
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return arena_copy(http_arena(call->http), text, length);
}

static struct completion complete(struct call *call) {
    enum role role;
    const char *text =
        sim_model_answer(call->calls->model, http_arena(call->http), call->system, call->user, &role);
    struct completion completion = {.id = call->chance,
        .model = call->name,
        .text = broken(call, text),
        .finish_reason = "stop",
        .prompt_tokens = (strlen(call->system) + strlen(call->user)) / 4 + 1,
        .reasoning_tokens = (size_t)sim_settings.reasoning_tokens};
    if (call->fate == FATE_REFUSED) {
        completion.text = NULL;
        completion.refusal = "I cannot help with that.";
    } else if (call->fate == FATE_EMPTY || call->fate == FATE_FILTERED) {
        completion.text = "";
        completion.finish_reason = call->fate == FATE_EMPTY ? "stop" : "content_filter";
    } else if (call->fate == FATE_LENGTH) {
        completion.text = half(call, completion.text);
        completion.finish_reason = "length";
    }
    completion.cached_tokens = (size_t)((double)completion.prompt_tokens * sim_settings.cached_share);
    completion.completion_tokens =
        (completion.text ? strlen(completion.text) / 4 + 1 : 1) + completion.reasoning_tokens;
    return completion;
}

/* Returns whether the call has ended; else its parts are on their way. */
static bool answer(struct call *call) {
    struct buffer body = buffer_in(http_arena(call->http));
    struct completion completion = complete(call);
    bool cut = call->fate == FATE_CUT_BODY, halved = cut || call->fate == FATE_HALF_JSON;
    size_t unended;
    call->calls->answered[call->role]++;
    call->calls->answer_ns += uv_hrtime() - call->taken_ns;
    if (!halved) {
        bool is_new;
        seen_find(&call->calls->seen, call->hash, &is_new)->answered = true;
    }
    if (call->stream) {
        completion_write_stream(&body, &completion, call->stream_usage, &unended);
        call->calls->streamed++;
        respond_parts(call, "text/event-stream", body.data, halved ? unended : body.length, cut);
        return false;
    }
    completion_write(&body, &completion);
    if (halved)
        body.length /= 2;
    if (cut)
        respond_parts(call, "application/json", body.data, body.length, true);
    else
        respond(call, 200, &body);
    return !cut;
}

static void refuse(struct call *call) {
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)sim_settings.retry_after_s);
    if (sim_settings.retry_after_s >= 0)
        http_add_header(call->http, "Retry-After", seconds);
    respond_error(call, 429, "rate_limit_error", "rate_limit_exceeded", "too many requests");
}

/* As OpenAI words them. */
static void respond_error_status(struct call *call) {
    int status = (int)sim_settings.error_status;
    if (status == 401)
        respond_error(call, status, "invalid_request_error", "invalid_api_key", "Incorrect API key provided");
    else if (status == 429)
        respond_error(call, status, "rate_limit_error", "rate_limit_exceeded", "too many requests");
    else if (status < 500)
        respond_error(call, status, "invalid_request_error", NULL, "the request is not what it should be");
    else
        respond_error(call, status, "server_error", NULL, "the model broke down");
}

/* Returns whether the call has ended. */
static bool meet(struct call *call) {
    switch (call->fate) {
    case FATE_ERROR:
        respond_error_status(call);
        return true;
    case FATE_RATE_LIMITED:
        refuse(call);
        return true;
    case FATE_HANGS:
        respond_error(call, 504, "timeout", NULL, "the model hung");
        return true;
    case FATE_CUT:
        http_drop(call->http);
        return true;
    case FATE_CONTEXT:
        respond_error(call, 400, "invalid_request_error", "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.");
        return true;
    default:
        return answer(call);
    }
}

static void on_due(uv_timer_t *timer) {
    struct call *call = (struct call *)timer;
    struct calls *calls = call->calls;
    if (calls->turn_ms != uv_now(calls->loop))
        calls->due = 0;
    calls->turn_ms = uv_now(calls->loop);
    if (calls->due++ >= TURN)
        uv_timer_start(timer, on_due, calls->due / TURN, 0);
    else if (meet(call))
        end(call);
}

/* A refusal comes at once, as it does in life. */
static void schedule(struct call *call) {
    double wait = (double)sim_settings.latency_ms;
    wait += chance_share(call->chance, 2) * (double)sim_settings.jitter_ms;
    if (call->fate == FATE_HANGS) {
        call->calls->hung++;
        wait = HANGS_FOR_MS;
    } else if (call->fate == FATE_RATE_LIMITED) {
        wait = 0;
    } else if (call->fate == FATE_SLOW) {
        wait += (double)sim_settings.slow_ms;
    }
    uv_timer_start(&call->timer, on_due, (uint64_t)wait, 0);
}

static bool is_meant(enum role role) {
    const char *of = sim_settings.fates_of;
    return strcmp(of, "all") == 0 || strcmp(of, ROLE_NAMES[role]) == 0;
}

/* What the call is, whether it came before, and what befalls it. */
static void know(struct call *call) {
    struct calls *calls = call->calls;
    bool is_new;
    call->role = sim_model_role(calls->model, http_arena(call->http), call->system);
    call->hash = chance_of(0, call->system, call->user);
    const struct seen_call *seen = seen_find(&calls->seen, call->hash, &is_new);
    calls->repeats[call->role] += !is_new;
    calls->repeats_of_answered[call->role] += seen->answered;
    if (!limits_take(&calls->limits, call->http, uv_now(calls->loop), calls->in_flight))
        call->fate = FATE_RATE_LIMITED;
    else if (is_meant(call->role))
        call->fate = fate_draw(call->chance);
    calls->fates[call->fate]++;
}

void calls_take(struct calls *calls, struct http_request *http) {
    char number[24];
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    *call = (struct call){.calls = calls, .http = http, .taken_ns = uv_hrtime()};
    uv_timer_init(calls->loop, &call->timer);
    snprintf(number, sizeof number, "%lld", (long long)calls->taken++);
    call->chance = chance_of((uint64_t)sim_settings.seed, "call", number);
    if (++calls->in_flight > calls->peak_in_flight)
        calls->peak_in_flight = calls->in_flight;
    const char *wrong = read_body(call);
    if (wrong) {
        respond_error(call, 400, "invalid_request_error", NULL, wrong);
        end(call);
        return;
    }
    know(call);
    http_on_leave(http, on_left, call);
    schedule(call);
}

static void write_counts(
    struct buffer *json, const char *name, const char *const *names, const int64_t *counts, int count) {
    buffer_format(json, "\"%s\":{", name);
    for (int i = 0; i < count; i++)
        buffer_format(json, "%s\"%s\":%lld", i ? "," : "", names[i], (long long)counts[i]);
    buffer_string(json, "},");
}

static void write_statuses(struct buffer *json, const int64_t *statuses) {
    buffer_format(json, "\"statuses\":{\"200\":%lld", (long long)statuses[200]);
    for (int status = 201; status < STATUSES; status++)
        if (statuses[status] || status == 400 || status == 429 || status == 500)
            buffer_format(json, ",\"%d\":%lld", status, (long long)statuses[status]);
    buffer_string(json, "},");
}

void calls_write_stats(const struct calls *calls, struct buffer *json) {
    buffer_format(json, "{\"calls\":%lld,\"distinct\":%zu,", (long long)calls->taken, calls->seen.used);
    write_counts(json, "roles", ROLE_NAMES, calls->answered, ROLES);
    write_counts(json, "repeats", ROLE_NAMES, calls->repeats, ROLES);
    write_counts(json, "repeats_of_answered", ROLE_NAMES, calls->repeats_of_answered, ROLES);
    write_counts(json, "fates", FATE_NAMES, calls->fates, FATES);
    write_statuses(json, calls->statuses);
    buffer_format(json,
        "\"answer_seconds\":%.6f,\"streamed\":%lld,\"broken_json\":%lld,\"hung\":%lld,\"left\":%lld,"
        "\"in_flight\":%lld,\"peak_in_flight\":%lld}",
        (double)calls->answer_ns / 1e9, (long long)calls->streamed, (long long)calls->broken,
        (long long)calls->hung, (long long)calls->left, (long long)calls->in_flight,
        (long long)calls->peak_in_flight);
}
