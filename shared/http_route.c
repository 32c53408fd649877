/* Routes are few: they are looked through in order. A path is matched as it was sent, and decoded piece by
 * piece, so that an escaped "/" or NUL cannot change what a path is. */
#include "shared/http_route.h"

#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/utf8.h"

char *http_target_path(struct arena *arena, const char *target, const char **query) {
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        target = strstr(target, "://") + 3;
        target += strcspn(target, "/?");
    }
    size_t length = strcspn(target, "?");
    *query = target[length] ? arena_string(arena, target + length + 1) : "";
    return length ? arena_copy(arena, target, length) : arena_string(arena, "/");
}

static size_t segment(const char *path) {
    return strcspn(path, "/");
}

bool http_route_matches(const char *pattern, const char *path) {
    while (*pattern && *path) {
        if (*pattern == '{') {
            size_t length = segment(path);
            if (!length)
                return false;
            path += length;
            pattern += segment(pattern);
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*pattern && !*path;
}

static bool serves(const struct http_route *route, const char *method) {
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

const struct http_route *http_route_find(
    const struct http_route *routes, const char *method, const char *path, bool *known) {
    *known = false;
    for (; routes->method; routes++) {
        if (!http_route_matches(routes->path, path))
            continue;
        *known = true;
        if (serves(routes, method))
            return routes;
    }
    return NULL;
}

char *http_route_allow(struct arena *arena, const struct http_route *routes, const char *path) {
    struct buffer allow = buffer_in(arena);
    for (; routes->method; routes++)
        if (http_route_matches(routes->path, path))
            buffer_format(&allow, "%s%s%s", allow.length ? ", " : "", routes->method,
                strcmp(routes->method, "GET") == 0 ? ", HEAD" : "");
    buffer_text(&allow);
    return allow.data;
}

char *http_route_parameter(struct arena *arena, const char *pattern, const char *path, const char *name) {
    size_t length = strlen(name);
    while (*pattern && *path) {
        size_t in_path = segment(path), in_pattern = segment(pattern);
        if (*pattern == '{' && in_pattern == length + 2 && strncmp(pattern + 1, name, length) == 0)
            return http_url_decode(arena, path, in_path, false);
        path += in_path;
        pattern += in_pattern;
        if (*path)
            path++;
        if (*pattern)
            pattern++;
    }
    return NULL;
}

char *http_query_value(struct arena *arena, const char *query, const char *name) {
    while (*query) {
        size_t pair = strcspn(query, "&"), equals = strcspn(query, "=&");
        char *found = http_url_decode(arena, query, equals, true);
        if (found && strcmp(found, name) == 0) {
            size_t skipped = equals < pair ? equals + 1 : pair;
            return http_url_decode(arena, query + skipped, pair - skipped, true);
        }
        query += pair;
        if (*query)
            query++;
    }
    return NULL;
}

static int digit(char character) {
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return character >= 'A' && character <= 'F' ? character - 'A' + 10 : -1;
}

static bool is_utf8(const char *text, size_t length) {
    for (size_t i = 0, bytes; i < length; i += bytes)
        if (!(bytes = utf8_sequence((const unsigned char *)text + i, length - i)))
            return false;
    return true;
}

char *http_url_decode(struct arena *arena, const char *text, size_t length, bool plus) {
    char *out = arena_alloc(arena, length + 1);
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char character = text[i];
        if (character == '%') {
            int high = i + 2 < length ? digit(text[i + 1]) : -1;
            int low = high >= 0 ? digit(text[i + 2]) : -1;
            if (low < 0)
                return NULL;
            character = (char)(high << 4 | low);
            i += 2;
        } else if (plus && character == '+') {
            character = ' ';
        }
        if (!character)
            return NULL;
        out[used++] = character;
    }
    return is_utf8(out, used) ? out : NULL;
}

bool http_is_type(const char *content_type, const char *type) {
    size_t length = strlen(type);
    if (!content_type || strncasecmp(content_type, type, length) != 0)
        return false;
    const char *rest = content_type + length;
    rest += strspn(rest, " \t");
    return !*rest || *rest == ';';
}
