/* Pieces of text, and the small questions that all scanners ask of them. */
#include "workers/evaluator/scan_text.h"

#include <string.h>
#include <strings.h>

#include "shared/arena.h"

struct text text_of(const char *string) {
    return (struct text){string, string + strlen(string)};
}

bool text_next_line(struct text *rest, struct text *line) {
    if (rest->at >= rest->end)
        return false;
    const char *end = memchr(rest->at, '\n', text_length(*rest));
    line->at = rest->at;
    line->end = end == NULL ? rest->end : end;
    rest->at = end == NULL ? rest->end : end + 1;
    if (line->end > line->at && line->end[-1] == '\r')
        line->end--;
    return true;
}

/* Bytes of the white space that text begins with; 0 when it begins with none. */
static size_t space_at(struct text text) {
    static const char *const WIDE[] = {
        "\u00a0", "\u2002", "\u2003", "\u2009", "\u200b", "\u2028", "\u3000", "\ufeff"};
    if (text.at < text.end && (byte_is_blank(*text.at) || *text.at == '\n'))
        return 1;
    for (size_t i = 0; i < sizeof WIDE / sizeof WIDE[0]; i++)
        if (text_starts(text, WIDE[i]))
            return strlen(WIDE[i]);
    return 0;
}

struct text text_trim(struct text text) {
    for (size_t space; (space = space_at(text)) > 0;)
        text.at += space;
    while (text.end > text.at) {
        const char *last = text.end - 1;
        while (last > text.at && ((unsigned char)*last & 0xc0) == 0x80)
            last--;
        if (space_at((struct text){last, text.end}) == 0)
            break;
        text.end = last;
    }
    return text;
}

size_t text_code_points(struct text text) {
    size_t count = 0;
    for (const char *at = text.at; at < text.end; at++)
        count += ((unsigned char)*at & 0xc0) != 0x80;
    return count;
}

bool text_is(struct text text, const char *string) {
    size_t length = strlen(string);
    return text_length(text) == length && memcmp(text.at, string, length) == 0;
}

bool text_is_any_case(struct text text, const char *string) {
    size_t length = strlen(string);
    return text_length(text) == length && strncasecmp(text.at, string, length) == 0;
}

bool text_starts(struct text text, const char *prefix) {
    size_t length = strlen(prefix);
    return text_length(text) >= length && memcmp(text.at, prefix, length) == 0;
}

bool text_starts_any_case(struct text text, const char *prefix) {
    size_t length = strlen(prefix);
    return text_length(text) >= length && strncasecmp(text.at, prefix, length) == 0;
}

const char *text_find_any_case(struct text text, const char *string) {
    /* Most bytes differ from the first one in more than the bit that tells capitals. */
    for (; text.at < text.end; text.at++)
        if (((*text.at ^ *string) & ~0x20) == 0 && text_starts_any_case(text, string))
            return text.at;
    return NULL;
}

/* Words are told apart by their first letter and their length: few are compared to their end. */
static bool one_of(struct text text, const char *list, int (*compare)(const char *, const char *, size_t)) {
    size_t length = text_length(text);
    if (length == 0)
        return false;
    char first = (char)(*text.at & ~0x20); /* of letters: without their case */
    for (size_t left = strlen(list); left >= length;) {
        if ((*list & ~0x20) == first && (left == length || list[length] == ' ') &&
            compare(list, text.at, length) == 0)
            return true;
        const char *space = memchr(list, ' ', left);
        if (space == NULL)
            return false;
        left -= (size_t)(space + 1 - list);
        list = space + 1;
    }
    return false;
}

bool text_one_of(struct text text, const char *list) {
    return one_of(text, list, strncmp);
}

bool text_one_of_any_case(struct text text, const char *list) {
    return one_of(text, list, strncasecmp);
}

void open_push(struct open_stack *stack, char item) {
    if (stack->depth == stack->capacity) {
        size_t capacity = stack->capacity == 0 ? 256 : stack->capacity * 2;
        stack->items = arena_grow(stack->arena, stack->items, stack->capacity, capacity);
        stack->capacity = capacity;
    }
    stack->items[stack->depth++] = item;
}

char open_top(const struct open_stack *stack) {
    return stack->depth == 0 ? '\0' : stack->items[stack->depth - 1];
}

bool open_pop(struct open_stack *stack, char item) {
    if (open_top(stack) != item)
        return false;
    stack->depth--;
    return true;
}
