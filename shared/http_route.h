/* Which route a path belongs to, and the decoding of what stands in a URL. */
#ifndef SHARED_HTTP_ROUTE_H
#define SHARED_HTTP_ROUTE_H

#include <stdbool.h>

#include "shared/http_server.h"

struct arena;

/* True when path (not decoded) has the segments of pattern, "{name}" standing for any one that is not empty. */
bool http_route_matches(const char *pattern, const char *path);

/* The route for a method and path; NULL when there is none. *known tells whether the path has a route by another
 * method. HEAD takes the GET route. */
const struct http_route *http_route_find(const struct http_route *routes, const char *method, const char *path,
    bool *known);

/* The methods of a path, for Allow: "GET, HEAD". In arena. */
char *http_route_allow(struct arena *arena, const struct http_route *routes, const char *path);

/* The segment of path at which pattern has {name}, decoded; NULL when there is none or it does not decode. */
char *http_route_parameter(struct arena *arena, const char *pattern, const char *path, const char *name);

/* Percent-decoded, '+' as a space where plus is set. NULL when an escape is broken, or the text then holds a NUL or is
 * not UTF-8. */
char *http_url_decode(struct arena *arena, const char *text, size_t length, bool plus);

#endif
