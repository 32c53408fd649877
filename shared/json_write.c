/* JSON as text: trees and single values written, text from outside made fit to be written. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/json_plain.h"
#include "shared/utf8.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

static void write_tree(struct buffer *buffer, const cJSON *item) {
    if (cJSON_IsString(item))
        json_write_string(buffer, item->valuestring);
    else if (cJSON_IsNumber(item) && item->valuestring)
        buffer_string(buffer, item->valuestring);
    else if (cJSON_IsNumber(item))
        json_write_double(buffer, item->valuedouble);
    else if (!cJSON_IsObject(item) && !cJSON_IsArray(item))
        buffer_string(buffer, cJSON_IsTrue(item) ? "true" : cJSON_IsFalse(item) ? "false" : "null");
    else {
        buffer_byte(buffer, cJSON_IsObject(item) ? '{' : '[');
        for (const cJSON *child = item->child; child; child = child->next) {
            if (child != item->child)
                buffer_byte(buffer, ',');
            if (cJSON_IsObject(item)) {
                json_write_string(buffer, child->string);
                buffer_byte(buffer, ':');
            }
            write_tree(buffer, child);
        }
        buffer_byte(buffer, cJSON_IsObject(item) ? '}' : ']');
    }
}

char *json_print(struct arena *arena, const cJSON *item) {
    struct buffer text = buffer_in(arena);
    write_tree(&text, item);
    return text.data;
}

/* ASCII that stands in a JSON string as it is. The NUL does not, so a run of them ends within its string. */
const bool JSON_PLAIN[256] = {
    [0x20 ... 0x21] = true,
    [0x23 ... 0x5B] = true,
    [0x5D ... 0x7F] = true,
};

static void write_character(struct buffer *buffer, unsigned char c) {
    static const char NAMES[] = "\"\\bfnrt", VALUES[] = "\"\\\b\f\n\r\t";
    const char *value = strchr(VALUES, c);
    if (c >= 0x80)
        buffer_string(buffer, REPLACEMENT);
    else if (value)
        buffer_format(buffer, "\\%c", NAMES[value - VALUES]);
    else
        buffer_format(buffer, "\\u%04x", c);
}

/* The end of what begins at from and may be written as it is. */
static const unsigned char *plain_end(const unsigned char *from, const unsigned char *end) {
    while (JSON_PLAIN[*from])
        from++;
    while (*from >= 0x80) {
        size_t length = utf8_sequence(from, (size_t)(end - from));
        if (!length)
            break;
        from += length;
        while (JSON_PLAIN[*from])
            from++;
    }
    return from;
}

static void write_escaped(struct buffer *buffer, const unsigned char *at, const unsigned char *end) {
    buffer_byte(buffer, '"');
    while (at < end) {
        const unsigned char *from = at;
        at = plain_end(from, end);
        buffer_append(buffer, from, (size_t)(at - from));
        if (at < end)
            write_character(buffer, *at++);
    }
    buffer_byte(buffer, '"');
}

void json_write_string(struct buffer *buffer, const char *string) {
    if (!string) {
        buffer_string(buffer, "null");
        return;
    }
    size_t length = strlen(string);
    const unsigned char *at = (const unsigned char *)string, *end = at + length;
    if (plain_end(at, end) == end) {
        char *text = buffer_extend(buffer, length + 2);
        text[0] = text[length + 1] = '"';
        memcpy(text + 1, string, length);
    } else {
        write_escaped(buffer, at, end);
    }
}

void json_write_integer(struct buffer *buffer, int64_t value) {
    char digits[20], *end = digits + sizeof digits, *at = end;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    buffer_append(buffer, at, (size_t)(end - at));
}

void json_write_double(struct buffer *buffer, double value) {
    if (!isfinite(value)) {
        buffer_string(buffer, "null");
        return;
    }
    char text[40];
    /* Fewer digits than DBL_DIG need no try of their own, since %g leaves out zeros at the end; only the
     * smallest numbers are told by fewer than they show. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buffer_string(buffer, text);
}

char *json_clean_text(struct arena *arena, const char *bytes, size_t length, size_t *replaced) {
    struct buffer text = buffer_in(arena);
    const unsigned char *at = (const unsigned char *)(bytes ? bytes : ""), *end = at + length;
    size_t count = 0;
    while (at < end) {
        const unsigned char *from = at;
        size_t sequence = 0;
        while (at < end && *at && (sequence = utf8_sequence(at, (size_t)(end - at))) > 0)
            at += sequence;
        buffer_append(&text, from, (size_t)(at - from));
        if (at < end) {
            buffer_string(&text, REPLACEMENT);
            at++;
            count++;
        }
    }
    if (replaced)
        *replaced = count;
    (void)buffer_text(&text);
    return text.data;
}

size_t json_code_points(const char *string) {
    size_t count = 0;
    for (; *string; string++)
        count += ((unsigned char)*string & 0xC0) != 0x80;
    return count;
}
