/* Log lines: built in one stack buffer without any other module, and written in one write(2), from any
 * thread; a thread that asked for it gathers its lines until it flushes them. */
#include "shared/log.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/utf8.h"

/* END_BYTES: room that values leave for what ends every line, the brace and the line feed. */
enum {
    HEAD_TEXT_MAX = 100,
    LINE_BYTES = 16384,
    VALUE_BYTES_MAX = 2000,
    NAME_BYTES_MAX = 100,
    END_BYTES = 2,
    GATHERED_BYTES = 65536,
};

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static const char CUT[] = "…";

static const char *log_service = "moru";
static enum log_level log_lowest = LOG_INFO;
static const char *const LEVELS[] = {"debug", "info", "warn", "error"};

/* What has been gathered; only the thread that gathers has a buffer. */
static _Thread_local char *gathered;
static _Thread_local size_t gathered_bytes;

/* A log line that cannot be written has nowhere to say so. */
static void write_out(const char *text, size_t length) {
    while (length) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written <= 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

void log_flush(void) {
    size_t bytes = gathered_bytes;
    gathered_bytes = 0;
    if (bytes)
        write_out(gathered, bytes);
}

/* SA_RESETHAND: the signal then ends the process, as it would have. */
static void on_crash(int number) {
    log_flush();
    raise(number);
}

void log_gather(void) {
    static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    if (gathered)
        return;
    gathered = malloc(GATHERED_BYTES);
    if (!gathered)
        return; /* then each line is written by itself */
    atexit(log_flush);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i], &action, NULL);
}

static void emit(enum log_level level, const char *text, size_t length) {
    if (!gathered) {
        write_out(text, length);
        return;
    }
    if (gathered_bytes + length > GATHERED_BYTES)
        log_flush();
    memcpy(gathered + gathered_bytes, text, length);
    gathered_bytes += length;
    if (level >= LOG_WARN)
        log_flush();
}

void log_open(const char *service, enum log_level level) {
    log_service = service;
    log_lowest = level;
}

/* False, and nothing is written, when the line would be full. */
static bool put(struct line *line, const char *text, size_t length) {
    if (line->length + length + END_BYTES > sizeof line->text)
        return false;
    memcpy(line->text + line->length, text, length);
    line->length += length;
    return true;
}

/* One character of bytes bytes (0: not UTF-8) as JSON; its length. */
static size_t escape(const unsigned char *text, size_t bytes, char escaped[8]) {
    if (!bytes)
        return (size_t)snprintf(escaped, 8, "%s", "\xef\xbf\xbd"); /* U+FFFD */
    if (*text < 0x20)
        return (size_t)snprintf(escaped, 8, "\\u%04x", *text);
    if (*text == '"' || *text == '\\')
        return (size_t)snprintf(escaped, 8, "\\%c", *text);
    memcpy(escaped, text, bytes);
    return bytes;
}

/* A value that is too long, or for which the line has no room, is cut between two characters. */
static bool put_string(struct line *line, const char *string, size_t bytes_max) {
    const unsigned char *at = (const unsigned char *)string, *end = at + strlen(string), *from = at;
    if (!put(line, "\"", 1))
        return false;
    while (at < end) {
        char escaped[8];
        size_t bytes = utf8_sequence(at, (size_t)(end - at)), taken = bytes ? bytes : 1;
        size_t length = escape(at, bytes, escaped);
        if ((size_t)(at - from) + taken > bytes_max ||
            line->length + length + strlen(CUT) + 1 + END_BYTES > sizeof line->text)
            break;
        put(line, escaped, length);
        at += taken;
    }
    if (at < end && !put(line, CUT, strlen(CUT)))
        return false;
    return put(line, "\"", 1);
}

static bool put_value(struct line *line, const struct log_field *field) {
    char number[40];
    switch (field->type) {
    case LOG_FIELD_STRING:
        return put_string(line, field->string, VALUE_BYTES_MAX);
    case LOG_FIELD_INTEGER:
        return put(line, number, (size_t)snprintf(number, sizeof number, "%lld", (long long)field->integer));
    case LOG_FIELD_DOUBLE:
        if (!isfinite(field->number))
            return put(line, "null", 4);
        return put(line, number, (size_t)snprintf(number, sizeof number, "%.9g", field->number));
    case LOG_FIELD_BOOL:
        return put(line, field->boolean ? "true" : "false", field->boolean ? 4 : 5);
    }
    return false;
}

static void put_field(struct line *line, const struct log_field *field) {
    if (field->type == LOG_FIELD_STRING && !field->string)
        return;
    /* A field that does not fit is left out whole, so that the line stays JSON. */
    size_t before = line->length;
    if (!put(line, ",", 1) || !put_string(line, field->name, NAME_BYTES_MAX) || !put(line, ":", 1) ||
        !put_value(line, field))
        line->length = before;
}

/* The time to the second, formatted once for all lines of it. */
static const char *second_text(time_t second) {
    static _Thread_local time_t last = -1;
    static _Thread_local char text[32];
    struct tm utc;
    if (second != last) {
        gmtime_r(&second, &utc);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
        last = second;
    }
    return text;
}

static void put_text(struct line *line, const char *text) {
    size_t length = strlen(text);
    put(line, text, length < HEAD_TEXT_MAX ? length : HEAD_TEXT_MAX);
}

static void put_head(struct line *line, enum log_level level, const char *event) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int ms = (int)(now.tv_nsec / 1000000);
    char fraction[] = {
        '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', '\0'};
    line->length = 0;
    put_text(line, "{\"ts\":\"");
    put_text(line, second_text(now.tv_sec));
    put_text(line, fraction);
    put_text(line, "\",\"level\":\"");
    put_text(line, LEVELS[level]);
    put_text(line, "\",\"service\":\"");
    put_text(line, log_service);
    put_text(line, "\",\"event\":\"");
    put_text(line, event);
    put_text(line, "\"");
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
    emit(level, line.text, line.length);
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
