/* What a request's head says: which route its path belongs to, what stands in its URL, and of what type its
 * body is. */
#ifndef SHARED_HTTP_ROUTE_H
#define SHARED_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/http_server.h"

struct arena;

/* The path of a request target, in arena: what stands before "?"; of "http://host/path" only the path (RFC
 * 9112, 3.2.2). *query is what stands after it, "" when there is none. */
char *http_target_path(struct arena *arena, const char *target, const char **query);

/* True when path (not decoded) has the segments of pattern, "{name}" standing for any but an empty one. */
bool http_route_matches(const char *pattern, const char *path);

/* The route for a method and path; NULL when there is none. *known tells whether the path has a route by any
 * method. HEAD takes the GET route. */
const struct http_route *http_route_find(
    const struct http_route *routes, const char *method, const char *path, bool *known);

/* The methods of a path, for Allow: "GET, HEAD". In arena. */
char *http_route_allow(struct arena *arena, const struct http_route *routes, const char *path);

/* The segment of path at which pattern has {name}, decoded; NULL when there is none or it does not decode. */
char *http_route_parameter(struct arena *arena, const char *pattern, const char *path, const char *name);

/* The value of the first name in "name=value&…", decoded; "" when it stands there without "=". NULL when it
 * is not there or does not decode. */
char *http_query_value(struct arena *arena, const char *query, const char *name);

/* Percent-decoded, '+' as a space where plus is set. NULL when an escape is broken, or the text then holds a
 * NUL or is not UTF-8. */
char *http_url_decode(struct arena *arena, const char *text, size_t length, bool plus);

/* True for type ("application/json") with any parameters; content_type may be NULL. */
bool http_is_type(const char *content_type, const char *type);

#endif
