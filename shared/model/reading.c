/* Texts and figures in answers, whichever protocol they came by. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"
#include "shared/model/protocol.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

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

/* What json_parse refuses becomes \ufffd. Changes json in place; returns how many there were. */
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

cJSON *reading_parse(struct arena *arena, const char *json, size_t length, int *replaced) {
    size_t cleaned = 0;
    char *copy = json_clean_text(arena, json, length, &cleaned);
    size_t copy_length = strlen(copy);
    struct json_errors errors = {0};
    *replaced = (int)cleaned + mend_escapes(copy, copy_length);
    return json_parse(arena, copy, copy_length, &errors);
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

void reading_take(struct model_reading *reading,
    void (*read)(struct model_reading *reading, const cJSON *root), const cJSON *root, int replaced) {
    size_t before = reading->text.length;
    read(reading, root);
    if (replaced && reading->text.length > before)
        reading->answer.replaced += replaced_within(reading->text.data + before, replaced);
}

void reading_finish(
    struct model_reading *reading, const struct model_target *target, struct model_answer *answer) {
    const struct model_answer before = *answer;
    *answer = reading->answer;
    answer->retry_after_ms = before.retry_after_ms;
    answer->requests_left = before.requests_left;
    answer->tokens_left = before.tokens_left;
    if (reading->blocked)
        failure_set(answer, MODEL_REJECT, MODEL_ERROR_REFUSED, reading->blocked);
    else if (reading->refusal.length)
        failure_set(answer, MODEL_REJECT, MODEL_ERROR_REFUSED,
            arena_format(reading->arena, "the model refused: %s",
                failure_excerpt(reading->arena, target, buffer_text(&reading->refusal))));
    else if (reading->broken)
        failure_set(answer, MODEL_RETRY, MODEL_ERROR_INVALID_ANSWER, reading->broken);
    else if (!reading->readable)
        failure_set(answer, MODEL_REJECT, MODEL_ERROR_INVALID_ANSWER,
            "the model's server answered without an error, but also without a text");
    else if (reading->text.length > (size_t)model_configuration.output_bytes_max)
        failure_set(answer, MODEL_REJECT, MODEL_ERROR_TOO_LONG,
            arena_format(reading->arena, "the model's answer is longer than %lld bytes",
                (long long)model_configuration.output_bytes_max));
    else {
        answer->status = MODEL_OK;
        answer->text = buffer_text(&reading->text);
        answer->length = reading->text.length;
    }
}

const char *reading_string(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

void reading_count(const cJSON *object, const char *name, int64_t *count) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15)
        *count = (int64_t)item->valuedouble;
}
