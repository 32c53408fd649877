/* The mock model: a small language model's stand-in that does what its system prompt asks, without any delay.
 */
#include "shared/model/mock/mock.h"

#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/model/provider.h"

enum { USER_BYTES_SEEN = 8000, USER_WORDS_SEEN = 1000, SUMMARY_WORDS = 20, EXCERPT_BYTES = 400 };

static void write_summary(struct buffer *answer, const struct mock_words *words) {
    buffer_string(answer, "In short:");
    for (size_t i = 0; i < words->count && i < SUMMARY_WORDS; i++)
        buffer_format(answer, " %.*s", (int)words->items[i].length, words->items[i].start);
    buffer_string(answer, words->count > SUMMARY_WORDS ? " and more." : ".");
}

static void write_translation(struct buffer *answer, const char *language, const char *user) {
    buffer_format(answer, "Translation%s%s: %.*s", language ? " into " : "", language ? language : "",
        EXCERPT_BYTES, user);
}

static void write_json(struct buffer *answer, const struct mock_words *words) {
    struct buffer prose = buffer_in(answer->arena);
    mock_write_prose(&prose, NULL, words);
    buffer_string(answer, "{\"answer\":");
    json_write_string(answer, buffer_text(&prose));
    buffer_byte(answer, '}');
}

/* Somebody who just helps gives code to those who want code. */
static void write_help(
    struct buffer *answer, const struct mock_intent *intent, const struct mock_words *words) {
    if (mock_wants_code(words))
        mock_write_code(answer, intent, words);
    else
        mock_write_prose(answer, NULL, words);
}

/* The roles that read their user text in a way of their own; false: it is none of them. */
static bool answer_role(struct buffer *answer, enum mock_product product, const char *user) {
    static const struct {
        enum mock_product product;
        void (*write)(struct buffer *answer, const char *user);
    } roles[] = {
        {PRODUCT_JUDGEMENT, mock_write_judgement},
        {PRODUCT_REFINED, mock_write_refined},
        {PRODUCT_ANALYSIS, mock_write_analysis},
        {PRODUCT_PROMPT, mock_write_prompt},
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (roles[i].product == product) {
            roles[i].write(answer, user);
            return true;
        }
    return false;
}

void mock_answer(struct buffer *answer, const char *system, const char *user) {
    struct mock_intent intent = mock_recall_prompt(answer->arena, system);
    if (answer_role(answer, intent.product, user))
        return;
    struct mock_words words =
        mock_read_words(answer->arena, user, strnlen(user, USER_BYTES_SEEN), USER_WORDS_SEEN);
    switch (intent.product) {
    case PRODUCT_CODE:
        mock_write_code(answer, &intent, &words);
        break;
    case PRODUCT_HELP:
        write_help(answer, &intent, &words);
        break;
    case PRODUCT_VERSE:
        mock_write_verse(answer, intent.voice, &words);
        break;
    case PRODUCT_PROSE:
        mock_write_prose(answer, intent.language, &words);
        break;
    case PRODUCT_JSON:
        write_json(answer, &words);
        break;
    case PRODUCT_TRANSLATION:
        write_translation(answer, intent.language, user);
        break;
    case PRODUCT_SUMMARY:
        write_summary(answer, &words);
        break;
    case PRODUCT_FIXED:
        buffer_string(answer, intent.literal);
        break;
    case PRODUCT_ECHO:
        buffer_string(answer, user);
        break;
    case PRODUCT_REFUSAL:
        buffer_string(answer, "I am sorry, but I will not do that.");
        break;
    case PRODUCT_SILENCE:
        break;
    default:
        buffer_string(answer, "I am not sure what I should do here. Could you say a little more about it?");
    }
}

/* The provider: answers wait in a list for the loop's next turn. */

struct mock {
    uv_idle_t turn;
    struct model_call *first, *last;
    uint64_t turns;
};

struct model_call {
    struct model_call *previous, *next;
    uint64_t asked; /* the turn it was asked in */
    struct arena *arena;
    struct model_answer answer;
    model_done done;
    void *context;
};

static void *mock_open(uv_loop_t *loop, const struct model_target *target) {
    (void)target;
    struct mock *mock = calloc(1, sizeof *mock);
    if (!mock)
        abort();
    uv_idle_init(loop, &mock->turn);
    mock->turn.data = mock;
    return mock;
}

static void unlink_call(struct mock *mock, struct model_call *call) {
    *(call->previous ? &call->previous->next : &mock->first) = call->next;
    *(call->next ? &call->next->previous : &mock->last) = call->previous;
}

static void on_turn(uv_idle_t *idle) {
    struct mock *mock = idle->data;
    /* Calls that done makes wait for the next turn, so that the loop also serves others. */
    uint64_t now = ++mock->turns;
    while (mock->first && mock->first->asked < now) {
        struct model_call *call = mock->first;
        struct arena *arena = call->arena;
        unlink_call(mock, call);
        call->done(call->context, &call->answer);
        arena_destroy(&arena);
    }
    if (!mock->first)
        uv_idle_stop(idle);
}

/* About four bytes make a token. */
static int64_t count_tokens(const char *text) {
    return (int64_t)(strlen(text) + 3) / 4;
}

/* The answer as valid UTF-8, within max_tokens where the caller gave them, as a real model's would be. */
static void fill_answer(
    struct model_answer *answer, struct buffer *text, const struct model_request *request) {
    size_t length = text->length, replaced = 0, length_max = (size_t)request->max_tokens * 4;
    *answer = (struct model_answer){.status = MODEL_OK, .retry_after_ms = -1};
    if (length_max && length > length_max) {
        length = length_max;
        /* Not inside a character. */
        while (length && ((unsigned char)text->data[length] & 0xc0) == 0x80)
            length--;
        answer->cut = true;
    }
    answer->text = json_clean_text(text->arena, buffer_text(text), length, &replaced);
    answer->length = strlen(answer->text);
    answer->replaced = (int)replaced;
    answer->prompt_tokens = count_tokens(request->system) + count_tokens(request->user);
    answer->completion_tokens = count_tokens(answer->text);
}

static struct model_call *mock_call(
    void *provider, const struct model_request *request, model_done done, void *context) {
    struct mock *mock = provider;
    struct arena *arena = arena_create(16 << 10);
    struct model_call *call = arena_alloc(arena, sizeof *call);
    struct buffer text = buffer_in(arena);
    mock_answer(&text, request->system, request->user);
    fill_answer(&call->answer, &text, request);
    call->arena = arena;
    call->done = done;
    call->context = context;
    call->asked = mock->turns;
    call->previous = mock->last;
    *(mock->last ? &mock->last->next : &mock->first) = call;
    mock->last = call;
    uv_idle_start(&mock->turn, on_turn);
    return call;
}

static void mock_cancel(void *provider, struct model_call *call) {
    struct arena *arena = call->arena;
    unlink_call(provider, call);
    arena_destroy(&arena);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void mock_close(void *provider) {
    struct mock *mock = provider;
    while (mock->first)
        mock_cancel(mock, mock->first);
    uv_close((uv_handle_t *)&mock->turn, on_closed);
}

const struct model_adapter model_mock = {
    .provider = "mock",
    .open = mock_open,
    .call = mock_call,
    .cancel = mock_cancel,
    .close = mock_close,
};
