/* A chat completion, or an error in one of the shapes that servers use, becomes text or a typed failure. */
#include "shared/model/openai_answer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_client.h"
#include "shared/json.h"
#include "shared/model/provider.h"

enum { EXCERPT_BYTES = 200 };

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

static bool may_pass(int status) {
    return status == 408 || status == 409 || status == 429 || status >= 500;
}

static void fail(struct model_answer *answer, enum model_status status, const char *error) {
    answer->status = status;
    answer->error = error;
}

/* The four hexadecimal digits of an escape, or -1. */
static long escape_value(const char *digits, const char *end) {
    char copy[5] = {0};
    if (end - digits < 4)
        return -1;
    memcpy(copy, digits, 4);
    return strspn(copy, "0123456789abcdefABCDEF") == 4 ? strtol(copy, NULL, 16) : -1;
}

static bool is_low_surrogate(const char *escape, const char *end) {
    long value =
        end - escape >= 6 && escape[0] == '\\' && escape[1] == 'u' ? escape_value(escape + 2, end) : -1;
    return value >= 0xdc00 && value <= 0xdfff;
}

/* A model may well write \u0000 or half a surrogate pair, which json_parse refuses: both become \ufffd.
 * Changes json in place; returns how many there were. */
static int mend_escapes(char *json, size_t length) {
    const char *end = json + length;
    int mended = 0;
    for (char *at = json; (at = memchr(at, '\\', (size_t)(end - at))) && end - at >= 2; at += 2) {
        long value = at[1] == 'u' ? escape_value(at + 2, end) : -1;
        if (value >= 0xd800 && value <= 0xdbff && is_low_surrogate(at + 6, end)) {
            at += 6;
        } else if (value == 0 || (value >= 0xd800 && value <= 0xdfff)) {
            memcpy(at + 2, "fffd", 4);
            mended++;
        }
    }
    return mended;
}

static cJSON *parse(struct arena *arena, const struct http_call_answer *http, int *replaced) {
    size_t cleaned = 0;
    char *json = json_clean_text(arena, http->body, http->length, &cleaned);
    size_t length = strlen(json);
    *replaced = (int)cleaned + mend_escapes(json, length);
    struct json_errors errors = {0};
    return json_parse(arena, json, length, &errors);
}

static const char *string_of(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* What the server says about its error: OpenAI's error.message, or the shapes of Ollama and FastAPI; NULL:
 * nothing. */
static const char *server_message(const cJSON *root) {
    const char *text = string_of(cJSON_GetObjectItemCaseSensitive(root, "error"), "message");
    if (!text)
        text = string_of(root, "error");
    if (!text)
        text = string_of(root, "message");
    return text ? text : string_of(root, "detail");
}

/* The start of text on one line, without the key: servers like to repeat it. */
static const char *excerpt(struct arena *arena, const char *text) {
    struct buffer copy = buffer_in(arena);
    const char *key = model_configuration.api_key;
    size_t key_length = strlen(key);
    while (*text && copy.length < EXCERPT_BYTES) {
        if (key_length && strncmp(text, key, key_length) == 0) {
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

static const char *describe_status(struct arena *arena, int status, const cJSON *root) {
    const char *message = server_message(root);
    if (!message || !*message)
        return arena_format(arena, "the model's server answered with status %d", status);
    return arena_format(
        arena, "the model's server answered with status %d: %s", status, excerpt(arena, message));
}

static const char *describe_unreached(struct arena *arena, const struct http_call_answer *http) {
    if (http->timed_out)
        return arena_format(arena, "the model did not answer in time (%s)", http->error);
    return arena_format(arena, "the model's server could not be asked: %s", http->error);
}

/* Some gateways answer 200 and put the true status into error.code. */
static int status_inside(const cJSON *root, int status) {
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    if (!error || cJSON_IsNull(error))
        return 0;
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(error, "code");
    return cJSON_IsNumber(code) && code->valueint >= 400 && code->valueint < 600 ? code->valueint : status;
}

static int64_t count_of(const cJSON *root, const char *name) {
    const cJSON *usage = cJSON_GetObjectItemCaseSensitive(root, "usage");
    const cJSON *count = cJSON_GetObjectItemCaseSensitive(usage, name);
    return cJSON_IsNumber(count) && count->valuedouble > 0 && count->valuedouble < 1e15
               ? (int64_t)count->valuedouble
               : 0;
}

/* Only what was replaced in the text counts; the rest of the answer nobody sees. */
static int replaced_within(const char *text, int replaced) {
    int seen = 0;
    while (seen < replaced && (text = strstr(text, REPLACEMENT))) {
        seen++;
        text += sizeof REPLACEMENT - 1;
    }
    return seen;
}

static void take_text(struct arena *arena, const char *text, int replaced, struct model_answer *answer) {
    if (strlen(text) > (size_t)model_configuration.output_bytes_max) {
        fail(answer, MODEL_REJECT,
            arena_format(arena, "the model's answer is longer than %lld bytes",
                (long long)model_configuration.output_bytes_max));
        return;
    }
    answer->status = MODEL_OK;
    answer->text = text;
    answer->length = strlen(text);
    answer->replaced = replaced_within(text, replaced);
}

static void read_choice(struct arena *arena, const cJSON *choice, int replaced, struct model_answer *answer) {
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(choice, "message");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content");
    const char *refusal = string_of(message, "refusal"), *finish = string_of(choice, "finish_reason");
    answer->cut = finish && strcmp(finish, "length") == 0;
    if (refusal && *refusal)
        fail(answer, MODEL_REJECT, arena_format(arena, "the model refused: %s", excerpt(arena, refusal)));
    else if (finish && strcmp(finish, "content_filter") == 0)
        fail(answer, MODEL_REJECT, "the model's provider filtered the answer");
    else if (!cJSON_IsObject(message) || (content && !cJSON_IsNull(content) && !cJSON_IsString(content)))
        fail(answer, MODEL_REJECT,
            "the model's server answered with status 200, but its choice holds no text");
    else
        /* cJSON_IsString is false for NULL. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        take_text(arena, cJSON_IsString(content) ? content->valuestring : "", replaced, answer);
}

static void read_completion(
    struct arena *arena, const cJSON *root, int replaced, struct model_answer *answer) {
    const cJSON *choices = cJSON_GetObjectItemCaseSensitive(root, "choices");
    answer->prompt_tokens = count_of(root, "prompt_tokens");
    answer->completion_tokens = count_of(root, "completion_tokens");
    if (cJSON_IsArray(choices) && choices->child)
        read_choice(arena, choices->child, replaced, answer);
    else
        fail(answer, MODEL_REJECT, "the model's server answered with status 200, but without a choice");
}

void openai_read(struct arena *arena, const struct http_call_answer *http, struct model_answer *answer) {
    *answer = (struct model_answer){.text = "", .retry_after_ms = http->retry_after_ms};
    if (!http->status) {
        fail(answer, MODEL_RETRY, describe_unreached(arena, http));
        return;
    }
    int replaced = 0;
    const cJSON *root = parse(arena, http, &replaced);
    int status = http->status / 100 != 2 ? http->status : status_inside(root, http->status);
    if (status)
        fail(answer, may_pass(status) ? MODEL_RETRY : MODEL_REJECT, describe_status(arena, status, root));
    else if (!root)
        fail(answer, MODEL_RETRY,
            arena_format(
                arena, "the model's server answered with status %d, but not with whole JSON", http->status));
    else
        read_completion(arena, root, replaced, answer);
}
