/* Pieces of text, and the small questions that all scanners ask of them. */
#ifndef WORKERS_EVALUATOR_SCAN_TEXT_H
#define WORKERS_EVALUATOR_SCAN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* A borrowed piece of a text: at…end, end excluded. */
struct text {
    const char *at;
    const char *end;
};

struct text text_of(const char *string);

static inline size_t text_length(struct text text) {
    return (size_t)(text.end - text.at);
}

/* Letters, digits, '_' and every byte of a character outside of ASCII. */
static inline bool byte_in_word(char byte) {
    unsigned char c = (unsigned char)byte;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0x80;
}

static inline bool byte_is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static inline bool byte_is_letter(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static inline bool byte_is_upper(char byte) {
    return byte >= 'A' && byte <= 'Z';
}

/* Any white space but a line's end. */
static inline bool byte_is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\f' || byte == '\v';
}

/* Takes the first line off *rest into *line, without its line end. False when *rest is empty. */
bool text_next_line(struct text *rest, struct text *line);

/* Without white space at both ends, that of Unicode too. */
struct text text_trim(struct text text);

/* Code points of UTF-8. */
size_t text_code_points(struct text text);

bool text_is(struct text text, const char *string);
/* ASCII letters compare without case in these. */
bool text_is_any_case(struct text text, const char *string);
bool text_starts(struct text text, const char *prefix);
bool text_starts_any_case(struct text text, const char *prefix);
/* NULL when string does not occur. Meant for short texts and strings. */
const char *text_find_any_case(struct text text, const char *string);

/* True when text is one of the words in list, which are parted by single spaces. */
bool text_one_of(struct text text, const char *list);
bool text_one_of_any_case(struct text text, const char *list);

/* Open brackets and whatever else waits for its end, as one byte each. */
struct open_stack {
    struct arena *arena; /* borrowed */
    char *items;
    size_t depth, capacity;
};

void open_push(struct open_stack *stack, char item);
/* The innermost item; 0 when nothing is open. */
char open_top(const struct open_stack *stack);
/* Takes the innermost item off if it is item; false, and nothing changes, if it is not. */
bool open_pop(struct open_stack *stack, char item);

#endif
