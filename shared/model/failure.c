/* What went wrong, as a typed failure: by the HTTP status first, by what the error says second. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_client.h"
#include "shared/model/protocol.h"

enum { EXCERPT_BYTES = 200 };

void failure_set(
    struct model_answer *answer, enum model_status status, enum model_error kind, const char *error) {
    answer->status = status;
    answer->error_kind = kind;
    answer->error = error;
    answer->text = "";
    answer->length = 0;
}

/* The statuses with a meaning of their own; the others go by their hundred. */
static const struct {
    int status;
    enum model_status outcome;
    enum model_error kind;
} STATUSES[] = {
    {401, MODEL_REJECT, MODEL_ERROR_UNAUTHORIZED},
    {403, MODEL_REJECT, MODEL_ERROR_UNAUTHORIZED},
    {408, MODEL_RETRY, MODEL_ERROR_SERVER},
    {409, MODEL_RETRY, MODEL_ERROR_SERVER},
    {413, MODEL_REJECT, MODEL_ERROR_CONTEXT_TOO_LONG},
    {429, MODEL_RETRY, MODEL_ERROR_RATE_LIMITED},
};

static void set_by_status(struct model_answer *answer, int status, const char *error) {
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++)
        if (STATUSES[i].status == status) {
            failure_set(answer, STATUSES[i].outcome, STATUSES[i].kind, error);
            return;
        }
    if (status >= 500)
        failure_set(answer, MODEL_RETRY, MODEL_ERROR_SERVER, error);
    else
        failure_set(
            answer, MODEL_REJECT, status >= 300 ? MODEL_ERROR_REQUEST : MODEL_ERROR_INVALID_ANSWER, error);
}

static bool holds_one_of(const char *text, const char *const *words) {
    for (; text && *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

/* A 400 may be the input's length or a filter, which servers tell by codes and words only. The words are
 * those of OpenAI and vLLM ("maximum context length"), llama.cpp ("context size"), Gemini ("input token count
 * … exceeds the maximum number of tokens") and Anthropic ("prompt is too long"). */
static void set_by_words(const cJSON *error, const char *message, struct model_answer *answer) {
    static const char *const TOO_LONG[] = {"context_length_exceeded", "maximum context length",
        "context window", "context size", "exceeds the maximum number of tokens", "prompt is too long", NULL};
    static const char *const FILTERED[] = {"content_filter", "content_policy_violation", NULL};
    const char *code = reading_string(error, "code"), *type = reading_string(error, "type");
    if (answer->error_kind != MODEL_ERROR_REQUEST)
        return;
    if (holds_one_of(code, TOO_LONG) || holds_one_of(message, TOO_LONG))
        answer->error_kind = MODEL_ERROR_CONTEXT_TOO_LONG;
    else if (holds_one_of(code, FILTERED) || holds_one_of(type, FILTERED))
        answer->error_kind = MODEL_ERROR_REFUSED;
}

const char *failure_excerpt(struct arena *arena, const struct model_target *target, const char *text) {
    struct buffer copy = buffer_in(arena);
    size_t key_length = strlen(target->api_key);
    while (*text && copy.length < EXCERPT_BYTES) {
        if (key_length && strncmp(text, target->api_key, key_length) == 0) {
            buffer_string(&copy, "***");
            text += key_length;
        } else {
            buffer_byte(&copy, iscntrl((unsigned char)*text) ? ' ' : *text);
            text++;
        }
    }
    /* Nothing of a character that was cut in two remains. */
    while (*text && copy.length && ((unsigned char)*text & 0xc0) == 0x80 &&
           (copy.data[copy.length - 1] & 0x80)) {
        text--;
        copy.data[--copy.length] = '\0';
    }
    return buffer_text(&copy);
}

const cJSON *failure_inside(const cJSON *root) {
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    return error && !cJSON_IsNull(error) ? error : NULL;
}

int failure_code(const cJSON *error) {
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(error, "code");
    const char *text = cJSON_IsString(code) ? code->valuestring : "";
    int value = cJSON_IsNumber(code) ? code->valueint : (int)strtol(text, NULL, 10);
    return value >= 400 && value < 600 ? value : 0;
}

/* What the server says about its error: the providers' error.message, or the shapes of Ollama and FastAPI;
 * NULL: nothing. */
static const char *server_message(const cJSON *root) {
    const char *text = reading_string(failure_inside(root), "message");
    if (!text)
        text = reading_string(root, "error");
    if (!text)
        text = reading_string(root, "message");
    return text ? text : reading_string(root, "detail");
}

void failure_told(struct arena *arena, const struct model_target *target, int status, const cJSON *root,
    struct model_answer *answer) {
    /* Gemini wraps an error into a list where it would have streamed one. */
    root = cJSON_IsArray(root) ? root->child : root;
    const cJSON *error = failure_inside(root);
    const char *message = server_message(root);
    if (!message || !*message)
        set_by_status(
            answer, status, arena_format(arena, "the model's server answered with status %d", status));
    else
        set_by_status(answer, status,
            arena_format(arena, "the model's server answered with status %d: %s", status,
                failure_excerpt(arena, target, message)));
    set_by_words(error, message, answer);
    const struct model_protocol *protocol = model_adapter_of(target->provider)->protocol;
    if (error && protocol->read_error)
        protocol->read_error(error, answer);
}

void failure_unreached(
    struct arena *arena, const struct http_call_answer *http, struct model_answer *answer) {
    static const struct {
        enum model_error kind;
        const char *what;
    } ENDS[] = {
        [HTTP_CALL_UNREACHABLE] = {MODEL_ERROR_UNREACHABLE, "the model's server could not be asked"},
        [HTTP_CALL_CONNECT_TIMEOUT] = {MODEL_ERROR_TIMEOUT, "the model's server was not reached in time"},
        [HTTP_CALL_FIRST_BYTE_TIMEOUT] = {MODEL_ERROR_TIMEOUT, "the model did not begin to answer in time"},
        [HTTP_CALL_WHOLE_TIMEOUT] = {MODEL_ERROR_TIMEOUT, "the model did not answer in time"},
        [HTTP_CALL_CUT] = {MODEL_ERROR_CUT, "the model's answer broke off"},
        [HTTP_CALL_TOO_LONG] = {MODEL_ERROR_TOO_LONG, "the model's server answered with too much"},
        [HTTP_CALL_STOPPED] = {MODEL_ERROR_INVALID_ANSWER, "the model's answer was not read on"},
        [HTTP_CALL_OTHER] = {MODEL_ERROR_UNREACHABLE, "the model's server could not be asked"},
    };
    failure_set(answer, http->end == HTTP_CALL_TOO_LONG ? MODEL_REJECT : MODEL_RETRY, ENDS[http->end].kind,
        arena_format(arena, "%s: %s", ENDS[http->end].what, http->error));
}
