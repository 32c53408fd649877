/* A timer for each call; errors, refusals and hanging by a chance that the seed fixes. */
#include "tests/sim/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "tests/sim/chance.h"
#include "tests/sim/settings.h"

/* A call that hangs is let go of at last: its caller has left long ago, which a waiting connection does not
 * show. */
enum { HANGS_FOR_MS = 600000 };

enum fate { FATE_ANSWERED, FATE_ERROR, FATE_RATE_LIMITED, FATE_HANGS };

struct calls {
    uv_loop_t *loop;
    struct sim_model *model;
    int64_t taken, in_flight, peak_in_flight, left, hung;
    int64_t answered[ROLES];
    int64_t errors, rate_limited, bad_requests, broken;
};

struct call {
    uv_timer_t timer; /* at the start */
    struct calls *calls;
    struct http_request *http;
    const char *system, *user, *name; /* in the request's arena */
    uint64_t chance;
    enum fate fate;
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
    return NULL;
}

static void respond_error(struct http_request *http, int status, const char *type, const char *message) {
    const char *body =
        arena_format(http_arena(http), "{\"error\": {\"message\": \"%s\", \"type\": \"%s\"}}", message, type);
    http_respond(http, status, "application/json", body, strlen(body));
}

/* What a model's JSON looks like when it breaks off. */
static const char *broken(struct call *call, enum role role, const char *text) {
    bool json = role == ROLE_JUDGE || role == ROLE_ANALYST;
    if (!json || chance_share(call->chance, 3) >= sim_settings.bad_json_share)
        return text;
    call->calls->broken++;
    return arena_copy(http_arena(call->http), text, strlen(text) / 2);
}

static void answer(struct call *call) {
    struct arena *arena = http_arena(call->http);
    enum role role;
    const char *text = sim_model_answer(call->calls->model, arena, call->system, call->user, &role);
    text = broken(call, role, text);
    call->calls->answered[role]++;
    size_t prompt_tokens = (strlen(call->system) + strlen(call->user)) / 4 + 1, tokens = strlen(text) / 4 + 1;
    struct buffer body = buffer_in(arena);
    buffer_format(&body,
        "{\"id\":\"chatcmpl-%016llx\",\"object\":\"chat.completion\",\"created\":0,\"model\":",
        (unsigned long long)call->chance);
    json_write_string(&body, call->name);
    buffer_string(&body,
        ",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","
        "\"content\":");
    json_write_string(&body, text);
    buffer_format(&body,
        "}}],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu}}",
        prompt_tokens, tokens, prompt_tokens + tokens);
    http_respond(call->http, 200, "application/json", body.data, body.length);
}

static void refuse(struct call *call) {
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)sim_settings.retry_after_s);
    call->calls->rate_limited++;
    http_add_header(call->http, "Retry-After", seconds);
    respond_error(call->http, 429, "rate_limit_error", "too many requests");
}

static void on_due(uv_timer_t *timer) {
    struct call *call = (struct call *)timer;
    if (call->fate == FATE_ERROR) {
        call->calls->errors++;
        respond_error(call->http, 500, "server_error", "the model broke down");
    } else if (call->fate == FATE_RATE_LIMITED) {
        refuse(call);
    } else if (call->fate == FATE_HANGS) {
        respond_error(call->http, 504, "timeout", "the model hung");
    } else {
        answer(call);
    }
    end(call);
}

static enum fate draw_fate(uint64_t chance) {
    double share = chance_share(chance, 1);
    if (share < sim_settings.error_share)
        return FATE_ERROR;
    share -= sim_settings.error_share;
    if (share < sim_settings.rate_limit_share)
        return FATE_RATE_LIMITED;
    share -= sim_settings.rate_limit_share;
    return share < sim_settings.hang_share ? FATE_HANGS : FATE_ANSWERED;
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
    }
    uv_timer_start(&call->timer, on_due, (uint64_t)wait, 0);
}

void calls_take(struct calls *calls, struct http_request *http) {
    char number[24];
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    *call = (struct call){.calls = calls, .http = http};
    uv_timer_init(calls->loop, &call->timer);
    snprintf(number, sizeof number, "%lld", (long long)calls->taken++);
    call->chance = chance_of((uint64_t)sim_settings.seed, "call", number);
    if (++calls->in_flight > calls->peak_in_flight)
        calls->peak_in_flight = calls->in_flight;
    const char *wrong = read_body(call);
    if (wrong) {
        calls->bad_requests++;
        respond_error(http, 400, "invalid_request_error", wrong);
        end(call);
        return;
    }
    call->fate = draw_fate(call->chance);
    http_on_leave(http, on_left, call);
    schedule(call);
}

void calls_write_stats(const struct calls *calls, struct buffer *json) {
    int64_t answered = 0;
    buffer_format(json, "{\"calls\":%lld,\"roles\":{", (long long)calls->taken);
    for (int i = 0; i < ROLES; i++) {
        buffer_format(json, "%s\"%s\":%lld", i ? "," : "", ROLE_NAMES[i], (long long)calls->answered[i]);
        answered += calls->answered[i];
    }
    buffer_format(json, "},\"statuses\":{\"200\":%lld,\"400\":%lld,\"429\":%lld,\"500\":%lld},",
        (long long)answered, (long long)calls->bad_requests, (long long)calls->rate_limited,
        (long long)calls->errors);
    buffer_format(json,
        "\"broken_json\":%lld,\"hung\":%lld,\"left\":%lld,\"in_flight\":%lld,\"peak_in_flight\":%lld}",
        (long long)calls->broken, (long long)calls->hung, (long long)calls->left, (long long)calls->in_flight,
        (long long)calls->peak_in_flight);
}
