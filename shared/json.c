/* JSON text into checked cJSON trees. */
#include "shared/json.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json_plain.h"
#include "shared/utf8.h"

/* EXACT_DIGITS: any integer of so many is a double. */
enum { POINTER_BYTES_MAX = 256, DETAIL_BYTES_MAX = 256, FEW_MEMBERS = 16, EXACT_DIGITS = 15 };

struct parser {
    struct arena *arena;
    struct json_errors *errors;
    const unsigned char *start, *at, *end;
    const struct json_place *place; /* of the value being read */
    int depth;
    size_t values;
};

static void append_pointer(struct buffer *pointer, const struct json_place *place) {
    if (!place)
        return;
    append_pointer(pointer, place->parent);
    if (!place->name) {
        buffer_format(pointer, "/%zu", place->index);
        return;
    }
    buffer_byte(pointer, '/');
    for (const char *c = place->name; *c; c++) {
        if (*c == '~' || *c == '/')
            buffer_string(pointer, *c == '~' ? "~0" : "~1");
        else
            buffer_byte(pointer, *c);
    }
}

const char *json_pointer(struct arena *arena, const struct json_place *place) {
    struct buffer pointer = buffer_in(arena);
    append_pointer(&pointer, place);
    return buffer_text(&pointer);
}

/* Names come from outside: a pointer must not carry megabytes back to whoever sent them. */
static const char *short_pointer(struct arena *arena, const char *pointer) {
    size_t length = strlen(pointer);
    if (length <= POINTER_BYTES_MAX)
        return arena_copy(arena, pointer, length);
    length = POINTER_BYTES_MAX;
    while (length && ((unsigned char)pointer[length] & 0xC0) == 0x80)
        length--;
    return arena_format(arena, "%.*s…", (int)length, pointer);
}

void json_error_add(
    struct json_errors *errors, struct arena *arena, const char *pointer, const char *format, ...) {
    if (errors->count == JSON_ERRORS_MAX)
        return;
    char detail[DETAIL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    errors->items[errors->count++] = (struct json_error){
        .pointer = short_pointer(arena, pointer),
        .detail = arena_string(arena, detail),
    };
}

const char *json_first_error(struct arena *arena, const char *what, const struct json_errors *errors) {
    if (!errors->count)
        return arena_string(arena, what);
    const struct json_error *first = &errors->items[0];
    const char *colon = *first->pointer ? ": " : "";
    return arena_format(arena, "%s: %s%s%s", what, first->pointer, colon, first->detail);
}

/* Always false, so that a parsing function can return it. */
static bool fail(struct parser *parser, const char *detail) {
    json_error_add(parser->errors, parser->arena, json_pointer(parser->arena, parser->place),
        "%s at byte %zu", detail, (size_t)(parser->at - parser->start));
    return false;
}

static void skip_space(struct parser *parser) {
    while (parser->at < parser->end &&
           (*parser->at == ' ' || *parser->at == '\n' || *parser->at == '\r' || *parser->at == '\t'))
        parser->at++;
}

/* Takes byte when it comes next. */
static bool take(struct parser *parser, char byte) {
    if (parser->at == parser->end || *parser->at != (unsigned char)byte)
        return false;
    parser->at++;
    return true;
}

/* Four hexadecimal digits; -1 when they are none. */
static int32_t parse_hex(struct parser *parser) {
    int32_t value = 0;
    if (parser->end - parser->at < 4)
        return -1;
    for (int i = 0; i < 4; i++, parser->at++) {
        unsigned char c = *parser->at;
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, int32_t point) {
    if (point < 0x80) {
        *to++ = (char)point;
        return to;
    }
    int tail = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char FIRST[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(FIRST[tail] | (point >> (6 * tail)));
    while (tail-- > 0)
        *to++ = (char)(0x80 | ((point >> (6 * tail)) & 0x3F));
    return to;
}

/* What follows "\u"; NULL when it is wrong. */
static char *parse_unicode(struct parser *parser, char *to) {
    int32_t point = parse_hex(parser);
    if (point >= 0xD800 && point <= 0xDBFF) {
        int32_t low = take(parser, '\\') && take(parser, 'u') ? parse_hex(parser) : -1;
        point = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00) : 0xDC00;
    }
    const char *wrong = point < 0                            ? "\\u without four hexadecimal digits"
                        : point == 0                         ? "the character U+0000, which no text may hold,"
                        : point >= 0xDC00 && point <= 0xDFFF ? "half of a surrogate pair"
                                                             : NULL;
    if (!wrong)
        return put_utf8(to, point);
    fail(parser, wrong);
    return NULL;
}

static char *parse_escape(struct parser *parser, char *to) {
    static const char NAMES[] = "\"\\/bfnrt", VALUES[] = "\"\\/\b\f\n\r\t";
    if (take(parser, 'u'))
        return parse_unicode(parser, to);
    const char *name = *parser->at ? strchr(NAMES, *parser->at) : NULL;
    if (!name) {
        fail(parser, "an escape that JSON does not know");
        return NULL;
    }
    parser->at++;
    *to++ = VALUES[name - NAMES];
    return to;
}

/* The closing quote of the string that begins at from, the first one that no backslash escapes; NULL when
 * there is none. */
static const unsigned char *string_end(const unsigned char *from, const unsigned char *end) {
    const unsigned char *quote = from;
    while ((quote = memchr(quote, '"', (size_t)(end - quote)))) {
        const unsigned char *slash = quote;
        while (slash > from && slash[-1] == '\\')
            slash--;
        if ((quote - slash) % 2 == 0)
            return quote;
        quote++;
    }
    return NULL;
}

/* One character that is neither escaped nor JSON_PLAIN. */
static char *copy_character(struct parser *parser, char *to) {
    size_t length = utf8_sequence(parser->at, (size_t)(parser->end - parser->at));
    if (*parser->at < 0x20 || !length) {
        fail(parser, length ? "a control character that is not escaped" : "bytes that are not UTF-8");
        return NULL;
    }
    for (size_t i = 0; i < length; i++)
        *to++ = (char)*parser->at++;
    return to;
}

/* A string from its opening quote on; NULL when it is wrong. */
static char *parse_string(struct parser *parser) {
    const unsigned char *end = string_end(parser->at + 1, parser->end);
    if (!end) {
        fail(parser, "a string without its closing quote");
        return NULL;
    }
    parser->at++;
    /* No escape is shorter than what it stands for. */
    char *text = arena_alloc(parser->arena, (size_t)(end - parser->at) + 1), *to = text;
    while (to && parser->at < end) {
        while (JSON_PLAIN[*parser->at]) /* the closing quote is not */
            *to++ = (char)*parser->at++;
        if (parser->at < end)
            to = take(parser, '\\') ? parse_escape(parser, to) : copy_character(parser, to);
    }
    if (!to)
        return NULL;
    *to = '\0';
    parser->at++;
    return text;
}

static size_t skip_digits(struct parser *parser) {
    const unsigned char *from = parser->at;
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
        parser->at++;
    return (size_t)(parser->at - from);
}

static bool skip_number(struct parser *parser) {
    take(parser, '-');
    if (!take(parser, '0') && !skip_digits(parser))
        return false;
    if (take(parser, '.') && !skip_digits(parser))
        return false;
    if (!take(parser, 'e') && !take(parser, 'E'))
        return true;
    if (!take(parser, '+'))
        take(parser, '-');
    return skip_digits(parser) > 0;
}

/* As strtod; most numbers are small integers, which need no care for rounding. */
static double number_value(const char *text) {
    int64_t value = 0;
    const char *at = text;
    while (*at >= '0' && *at <= '9' && at - text < EXACT_DIGITS)
        value = value * 10 + (*at++ - '0');
    return *at ? strtod(text, NULL) : (double)value;
}

static bool parse_number(struct parser *parser, cJSON *item) {
    const unsigned char *from = parser->at;
    if (!skip_number(parser))
        return fail(parser, "a number that breaks off");
    item->type = cJSON_Number;
    item->valuestring = arena_copy(parser->arena, from, (size_t)(parser->at - from));
    item->valuedouble = number_value(item->valuestring);
    item->valueint = item->valuedouble >= INT_MAX   ? INT_MAX
                     : item->valuedouble <= INT_MIN ? INT_MIN
                                                    : (int)item->valuedouble;
    return true;
}

static bool parse_literal(struct parser *parser, cJSON *item) {
    static const struct {
        const char *text;
        int type;
    } LITERALS[] = {{"true", cJSON_True}, {"false", cJSON_False}, {"null", cJSON_NULL}};
    for (size_t i = 0; i < sizeof LITERALS / sizeof *LITERALS; i++) {
        size_t length = strlen(LITERALS[i].text);
        if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, LITERALS[i].text, length) != 0)
            continue;
        parser->at += length;
        item->type = LITERALS[i].type;
        item->valueint = item->type == cJSON_True;
        return true;
    }
    return fail(parser, "no JSON value");
}

static bool parse_value(struct parser *parser, cJSON *item);

/* A new last child; cJSON keeps the last one in the first one's prev. */
static cJSON *add_child(struct parser *parser, cJSON *parent) {
    cJSON *child = arena_alloc(parser->arena, sizeof *child);
    if (!parent->child) {
        parent->child = child;
    } else {
        child->prev = parent->child->prev;
        child->prev->next = child;
    }
    parent->child->prev = child;
    return child;
}

/* What follows "[". */
static bool parse_array(struct parser *parser, cJSON *item) {
    struct json_place place = {.parent = parser->place};
    skip_space(parser);
    if (take(parser, ']'))
        return true;
    for (;; place.index++) {
        parser->place = &place;
        if (!parse_value(parser, add_child(parser, item)))
            return false;
        parser->place = place.parent;
        skip_space(parser);
        if (take(parser, ']'))
            return true;
        if (!take(parser, ','))
            return fail(parser, "neither , nor ]");
    }
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* A name that stands twice, or NULL. Sorted, because comparing all pairs of a large object would take
 * minutes. */
static const char *repeated_name(struct parser *parser, const cJSON *object, size_t count) {
    const char **names = arena_alloc(parser->arena, count * sizeof *names);
    size_t i = 0;
    for (const cJSON *child = object->child; child; child = child->next)
        names[i++] = child->string;
    qsort(names, count, sizeof *names, compare_names);
    for (i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return names[i];
    return NULL;
}

static bool check_names(struct parser *parser, const cJSON *object, size_t count) {
    const char *repeated = NULL;
    if (count > FEW_MEMBERS)
        repeated = repeated_name(parser, object, count);
    else
        for (const cJSON *one = object->child; one && !repeated; one = one->next)
            for (const cJSON *other = one->next; other && !repeated; other = other->next)
                /* Most differ in their first byte, which is compared without a call. */
                if (*one->string == *other->string && strcmp(one->string, other->string) == 0)
                    repeated = one->string;
    if (!repeated)
        return true;
    struct json_place place = {.parent = parser->place, .name = repeated};
    json_error_add(
        parser->errors, parser->arena, json_pointer(parser->arena, &place), "stands twice in its object");
    return false;
}

static bool parse_member(struct parser *parser, cJSON *child) {
    struct json_place place = {.parent = parser->place};
    skip_space(parser);
    if (parser->at == parser->end || *parser->at != '"')
        return fail(parser, "no name of a member");
    place.name = child->string = parse_string(parser);
    if (!child->string)
        return false;
    skip_space(parser);
    if (!take(parser, ':'))
        return fail(parser, "no : after a name");
    parser->place = &place;
    bool good = parse_value(parser, child);
    parser->place = place.parent;
    return good;
}

/* What follows "{". */
static bool parse_object(struct parser *parser, cJSON *item) {
    skip_space(parser);
    if (take(parser, '}'))
        return true;
    for (size_t count = 1;; count++) {
        if (!parse_member(parser, add_child(parser, item)))
            return false;
        skip_space(parser);
        if (take(parser, '}'))
            return check_names(parser, item, count);
        if (!take(parser, ','))
            return fail(parser, "neither , nor }");
    }
}

static bool parse_container(struct parser *parser, cJSON *item) {
    if (parser->depth == JSON_DEPTH_MAX)
        return fail(parser, "nested too deeply");
    parser->depth++;
    bool is_object = *parser->at++ == '{';
    item->type = is_object ? cJSON_Object : cJSON_Array;
    bool good = is_object ? parse_object(parser, item) : parse_array(parser, item);
    parser->depth--;
    return good;
}

static bool parse_value(struct parser *parser, cJSON *item) {
    skip_space(parser);
    if (parser->at == parser->end)
        return fail(parser, "no JSON value");
    if (++parser->values > JSON_VALUES_MAX)
        return fail(parser, "too many values");
    unsigned char first = *parser->at;
    if (first == '{' || first == '[')
        return parse_container(parser, item);
    if (first == '-' || (first >= '0' && first <= '9'))
        return parse_number(parser, item);
    if (first != '"')
        return parse_literal(parser, item);
    item->type = cJSON_String;
    item->valuestring = parse_string(parser);
    return item->valuestring != NULL;
}

cJSON *json_parse(struct arena *arena, const char *bytes, size_t length, struct json_errors *errors) {
    struct parser parser = {.arena = arena, .errors = errors};
    parser.start = parser.at = (const unsigned char *)(bytes ? bytes : "");
    parser.end = parser.start + length;
    cJSON *item = arena_alloc(arena, sizeof *item);
    if (!parse_value(&parser, item))
        return NULL;
    skip_space(&parser);
    if (parser.at == parser.end)
        return item;
    fail(&parser, "more after the JSON value");
    return NULL;
}
