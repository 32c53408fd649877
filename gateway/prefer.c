/* Reads preferences: a list of names, each with an optional value and parameters that are passed over. */
#include "gateway/prefer.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *skip_space(const char *at) {
    return at + strspn(at, " \t");
}

/* What follows a quoted string, or a character; commas within quotes part nothing. */
static const char *skip_one(const char *at) {
    if (*at++ != '"')
        return at;
    while (*at && *at != '"')
        at += at[0] == '\\' && at[1] ? 2 : 1;
    return *at ? at + 1 : at;
}

/* The value that begins here as whole seconds, quoted or not; 0 when it is none. */
static int64_t read_seconds(const char *at) {
    bool quoted = *at == '"';
    int64_t seconds = 0;
    at += quoted;
    size_t digits = strspn(at, "0123456789");
    for (size_t i = 0; i < digits && seconds < PREFER_WAIT_MAX_S; i++)
        seconds = seconds * 10 + (at[i] - '0');
    at += digits;
    if (quoted && *at++ != '"')
        return 0;
    at = skip_space(at);
    if (*at && *at != ',' && *at != ';')
        return 0;
    return seconds < PREFER_WAIT_MAX_S ? seconds : PREFER_WAIT_MAX_S;
}

int64_t prefer_wait_ms(const char *header) {
    while (header && *header) {
        header += strspn(header, " \t,");
        size_t name = strcspn(header, " \t=;,");
        const char *value = skip_space(header + name);
        if (name == strlen("wait") && strncasecmp(header, "wait", name) == 0)
            return *value == '=' ? 1000 * read_seconds(skip_space(value + 1)) : 0;
        while (*header && *header != ',')
            header = skip_one(header);
    }
    return 0;
}
