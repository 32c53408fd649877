/* Chat completions as text. */
#include "tests/sim/completions.h"

#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"

enum { DELTA_BYTES = 32 };

static void write_head(struct buffer *json, const struct completion *completion, const char *object) {
    buffer_format(json, "{\"id\":\"chatcmpl-%016llx\",\"object\":\"%s\",\"created\":0,\"model\":",
        (unsigned long long)completion->id, object);
    json_write_string(json, completion->model);
}

static void write_usage(struct buffer *json, const struct completion *completion) {
    buffer_format(json,
        ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu,"
        "\"prompt_tokens_details\":{\"cached_tokens\":%zu},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":%zu}}",
        completion->prompt_tokens, completion->completion_tokens,
        completion->prompt_tokens + completion->completion_tokens, completion->cached_tokens,
        completion->reasoning_tokens);
}

void completion_write(struct buffer *json, const struct completion *completion) {
    write_head(json, completion, "chat.completion");
    buffer_format(json,
        ",\"choices\":[{\"index\":0,\"finish_reason\":\"%s\",\"message\":{\"role\":\"assistant\","
        "\"content\":",
        completion->finish_reason);
    json_write_string(json, completion->text);
    if (completion->refusal) {
        buffer_string(json, ",\"refusal\":");
        json_write_string(json, completion->refusal);
    }
    buffer_string(json, "}}]");
    write_usage(json, completion);
    buffer_byte(json, '}');
}

/* One event with a piece of the text; member is content or refusal. */
static void write_delta(
    struct buffer *events, const struct completion *completion, const char *member, const char *text) {
    buffer_string(events, "data: ");
    write_head(events, completion, "chat.completion.chunk");
    buffer_format(events, ",\"choices\":[{\"index\":0,\"finish_reason\":null,\"delta\":{\"%s\":", member);
    json_write_string(events, text);
    buffer_string(events, "}}]}\n\n");
}

/* At most DELTA_BYTES, whole characters. */
static size_t piece_of(const char *text) {
    size_t length = strnlen(text, DELTA_BYTES);
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length ? length : strlen(text);
}

static void write_text(
    struct buffer *events, const struct completion *completion, const char *member, const char *text) {
    while (*text) {
        size_t length = piece_of(text);
        write_delta(events, completion, member, arena_copy(events->arena, text, length));
        text += length;
    }
}

static void write_last(struct buffer *events, const struct completion *completion) {
    buffer_string(events, "data: ");
    write_head(events, completion, "chat.completion.chunk");
    buffer_format(events, ",\"choices\":[{\"index\":0,\"finish_reason\":\"%s\",\"delta\":{}}]}\n\n",
        completion->finish_reason);
}

void completion_write_stream(
    struct buffer *events, const struct completion *completion, bool usage, size_t *unended) {
    write_delta(events, completion, "role", "assistant");
    write_text(events, completion, "content", completion->text ? completion->text : "");
    write_text(events, completion, "refusal", completion->refusal ? completion->refusal : "");
    *unended = events->length;
    write_last(events, completion);
    if (usage) {
        buffer_string(events, "data: ");
        write_head(events, completion, "chat.completion.chunk");
        buffer_string(events, ",\"choices\":[]");
        write_usage(events, completion);
        buffer_string(events, "}\n\n");
    }
    buffer_string(events, "data: [DONE]\n\n");
}

void completion_write_error(struct buffer *json, const char *type, const char *code, const char *message) {
    buffer_format(
        json, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":", message, type);
    json_write_string(json, code);
    buffer_string(json, "}}");
}
