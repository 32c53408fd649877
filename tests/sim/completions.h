/* The JSON of OpenAI's chat completions: whole, as a stream of server-sent events, or as an error.
 * Source: OpenAI's API reference, "Chat Completions" and "Chat Completions streaming". */
#ifndef TESTS_SIM_COMPLETIONS_H
#define TESTS_SIM_COMPLETIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"

struct completion {
    uint64_t id;
    const char *model;
    const char *text;          /* NULL: content is null */
    const char *refusal;       /* NULL: none */
    const char *finish_reason; /* stop, length, content_filter */
    size_t prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
};

void completion_write(struct buffer *json, const struct completion *completion);

/* All events of it as text/event-stream, some 32 bytes of text in each; usage is told at the end if asked
 * for, as stream_options.include_usage does. *unended: the offset where the text is said but not that it has
 * ended. */
void completion_write_stream(
    struct buffer *events, const struct completion *completion, bool usage, size_t *unended);

/* code may be NULL. The texts are ours: they need no escape. */
void completion_write_error(struct buffer *json, const char *type, const char *code, const char *message);

#endif
