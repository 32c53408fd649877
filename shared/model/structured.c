/* Structured answers: what a model gave is held against the form that was asked for, and asked for once more.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/model/provider.h"
#include "shared/model/tries.h"

enum { QUOTED_BYTES_MAX = 4000, OBJECTS_TRIED_MAX = 8 };

struct structured {
    struct tries *tries;
    struct question *questions;
};

/* A question on its way; in its arena. */
struct question {
    struct question *previous, *next;
    struct structured *structured;
    struct arena *arena;
    struct model_request *request;
    struct model_budget budget; /* of both times, where the caller gave none */
    struct model_answer first;  /* only the tokens, of the first time */
    bool again;
    model_done done;
    void *context;
};

/* The end of the object that begins at start, behind its last brace; NULL: it has none. Braces in strings are
 * passed over. */
static const char *object_end(const char *start, const char *end) {
    int depth = 0;
    bool in_string = false;
    for (const char *at = start; at < end; at++) {
        if (in_string && *at == '\\') {
            at++;
        } else if (*at == '"') {
            in_string = !in_string;
        } else if (in_string) {
            continue;
        } else if (*at == '{') {
            depth++;
        } else if (*at == '}' && --depth == 0) {
            return at + 1;
        }
    }
    return NULL;
}

static bool check(
    struct arena *arena, const struct model_form *form, const char *text, size_t length, const char **why) {
    if (form->check)
        return form->check(arena, text, length, why);
    struct json_errors errors = {0};
    bool good = json_parse(arena, text, length, &errors) != NULL;
    if (!good)
        *why = json_first_error(arena, "no JSON", &errors);
    return good;
}

/* Finds the object of this form in an answer that may be fenced or have words around it; else *why tells of
 * the first object. */
static bool find_object(struct arena *arena, const struct model_form *form, const struct model_answer *answer,
    const char **text, size_t *length, const char **why) {
    const char *end = answer->text + answer->length, *at = answer->text, *reason = NULL;
    *why = "there is no JSON object in it";
    for (int i = 0; i < OBJECTS_TRIED_MAX && (at = memchr(at, '{', (size_t)(end - at))); i++) {
        const char *behind = object_end(at, end);
        if (behind && check(arena, form, at, (size_t)(behind - at), &reason)) {
            *text = arena_copy(arena, at, (size_t)(behind - at));
            *length = (size_t)(behind - at);
            return true;
        }
        if (i == 0)
            *why = behind        ? reason
                   : answer->cut ? "it was cut off at its greatest length"
                                 : "its JSON object has no end";
        at = behind ? behind : at + 1;
    }
    return false;
}

/* The answer to quote must not end its section from inside, nor be long. */
static void write_quoted(struct buffer *text, const char *answer, size_t length) {
    size_t quoted = length < QUOTED_BYTES_MAX ? length : QUOTED_BYTES_MAX;
    while (quoted < length && quoted && ((unsigned char)answer[quoted] & 0xc0) == 0x80)
        quoted--;
    for (size_t i = 0; i < quoted; i++) {
        buffer_byte(text, answer[i]);
        if (answer[i] == '<' && i + 1 < quoted && answer[i + 1] == '/')
            buffer_byte(text, ' ');
    }
    if (quoted < length)
        buffer_string(text, " [...]");
}

static const char *repair_question(
    const struct question *question, const struct model_answer *answer, const char *why) {
    struct buffer text = buffer_in(question->arena);
    buffer_format(&text, "%s\n\n<last_answer>\n", question->request->user);
    write_quoted(&text, answer->text, answer->length);
    buffer_format(&text,
        "\n</last_answer>\nYour last answer is not the JSON object that was asked for: %s. Answer what was "
        "asked "
        "before it once more, with only one JSON object of this schema:\n%s\n",
        why, question->request->form->schema);
    return buffer_text(&text);
}

static void add_tokens(struct model_answer *answer, const struct model_answer *more) {
    answer->prompt_tokens += more->prompt_tokens;
    answer->cached_tokens += more->cached_tokens;
    answer->cache_write_tokens += more->cache_write_tokens;
    answer->completion_tokens += more->completion_tokens;
    answer->reasoning_tokens += more->reasoning_tokens;
}

static void on_answer(void *context, const struct model_answer *told);

static void ask(struct question *question) {
    tries_call(question->structured->tries, question->request, on_answer, question);
}

static void ask_again(struct question *question, const struct model_answer *answer, const char *why) {
    question->again = true;
    question->first = *answer;
    question->request->user = repair_question(question, answer, why);
    ask(question);
}

static void unlink_question(struct question *question) {
    *(question->previous ? &question->previous->next : &question->structured->questions) = question->next;
    if (question->next)
        question->next->previous = question->previous;
}

static void conclude(struct question *question, struct model_answer *answer) {
    struct arena *arena = question->arena;
    add_tokens(answer, &question->first);
    unlink_question(question);
    question->done(question->context, answer);
    arena_destroy(&arena);
}

static void on_answer(void *context, const struct model_answer *told) {
    struct question *question = context;
    struct model_answer answer = *told;
    const char *why;
    bool good = answer.status != MODEL_OK || find_object(question->arena, question->request->form, told,
                                                 &answer.text, &answer.length, &why);
    if (!good && !question->again) {
        ask_again(question, told, why);
        return;
    }
    if (!good) {
        answer.status = MODEL_REJECT;
        answer.error_kind = MODEL_ERROR_FORM;
        answer.error =
            arena_format(question->arena, "the model's answer is twice not of the form asked for: %s", why);
        answer.text = "";
        answer.length = 0;
    }
    conclude(question, &answer);
}

void structured_call(
    struct structured *structured, const struct model_request *request, model_done done, void *context) {
    struct arena *arena = arena_create(strlen(request->system) + strlen(request->user) + 4096);
    struct question *question = arena_alloc(arena, sizeof *question);
    *question = (struct question){.next = structured->questions,
        .structured = structured,
        .arena = arena,
        .request = model_request_copy(arena, request),
        .done = done,
        .context = context};
    if (!question->request->budget)
        question->request->budget = &question->budget;
    if (question->next)
        question->next->previous = question;
    structured->questions = question;
    ask(question);
}

struct structured *structured_open(struct tries *tries) {
    struct structured *structured = calloc(1, sizeof *structured);
    if (!structured)
        abort();
    structured->tries = tries;
    return structured;
}

void structured_close(struct structured **structured) {
    struct question *next;
    for (struct question *question = (*structured)->questions; question; question = next) {
        struct arena *arena = question->arena;
        next = question->next;
        arena_destroy(&arena);
    }
    free(*structured);
    *structured = NULL;
}
