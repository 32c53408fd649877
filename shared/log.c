/* Log lines: built in one stack buffer without any other module, and written in one write(2), from any thread. */
#include "shared/log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/utf8.h"

enum { LINE_BYTES = 16384, VALUE_BYTES_MAX = 2000 };

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static const char *log_service = "moru";
static enum log_level log_lowest = LOG_INFO;
static const char *const LEVELS[] = {"debug", "info", "warn", "error"};

void log_open(const char *service, enum log_level level) {
    log_service = service;
    log_lowest = level;
}

/* Room is kept for the closing brace and the end of the line. */
static bool put(struct line *line, const char *text, size_t length) {
    if (line->length + length + 2 > sizeof line->text)
        return false;
    memcpy(line->text + line->length, text, length);
    line->length += length;
    return true;
}

static bool put_character(struct line *line, const unsigned char *text, size_t bytes) {
    char escaped[8];
    if (!bytes)
        return put(line, "\xef\xbf\xbd", 3); /* U+FFFD stands for what is not UTF-8 */
    if (*text < 0x20)
        return put(line, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *text));
    if (*text == '"' || *text == '\\')
        return put(line, (char[]){'\\', (char)*text}, 2);
    return put(line, (const char *)text, bytes);
}

static void put_string(struct line *line, const char *string) {
    size_t length = strlen(string);
    const unsigned char *at = (const unsigned char *)string;
    const unsigned char *end = at + (length < VALUE_BYTES_MAX ? length : VALUE_BYTES_MAX);
    if (!put(line, "\"", 1))
        return;
    while (at < end) {
        size_t bytes = utf8_sequence(at, (size_t)(end - at));
        if (!put_character(line, at, bytes))
            break;
        at += bytes ? bytes : 1;
    }
    if (*at)
        put(line, "…", strlen("…"));
    put(line, "\"", 1);
}

static void put_value(struct line *line, const struct log_field *field) {
    char number[40];
    switch (field->type) {
    case LOG_FIELD_STRING:
        put_string(line, field->string);
        return;
    case LOG_FIELD_INTEGER:
        put(line, number, (size_t)snprintf(number, sizeof number, "%lld", (long long)field->integer));
        return;
    case LOG_FIELD_DOUBLE:
        if (isfinite(field->number))
            put(line, number, (size_t)snprintf(number, sizeof number, "%.6g", field->number));
        else
            put(line, "null", 4);
        return;
    case LOG_FIELD_BOOL:
        put(line, field->boolean ? "true" : "false", field->boolean ? 4 : 5);
        return;
    }
}

static void put_field(struct line *line, const struct log_field *field) {
    if (field->type == LOG_FIELD_STRING && !field->string)
        return;
    /* A field that may not fit is left out whole, so that the line stays JSON. */
    size_t most = strlen(field->name) + (field->type == LOG_FIELD_STRING ? 6 * VALUE_BYTES_MAX : 0) + 64;
    if (line->length + most > sizeof line->text)
        return;
    put(line, ",", 1);
    put_string(line, field->name);
    put(line, ":", 1);
    put_value(line, field);
}

static void put_head(struct line *line, enum log_level level, const char *event) {
    struct timespec now;
    struct tm utc;
    char time_text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);
    line->length = (size_t)snprintf(line->text, sizeof line->text,
        "{\"ts\":\"%s.%03ldZ\",\"level\":\"%s\",\"service\":\"%s\",\"event\":\"%s\"", time_text,
        now.tv_nsec / 1000000, LEVELS[level], log_service, event);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields) {
    if (level < log_lowest)
        return;
    struct line line;
    put_head(&line, level, event);
    for (; fields->name; fields++)
        put_field(&line, fields);
    line.text[line.length++] = '}';
    line.text[line.length++] = '\n';
    /* A log that cannot be written has nowhere to say so. */
    ssize_t written = write(STDERR_FILENO, line.text, line.length);
    (void)written;
}

bool log_due(uint64_t *last_ms, uint64_t interval_ms) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
    if (*last_ms && now_ms - *last_ms < interval_ms)
        return false;
    *last_ms = now_ms;
    return true;
}
