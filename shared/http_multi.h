/* libcurl's multi handles on the event loop: their sockets, their timers, and the choice among them. */
#ifndef SHARED_HTTP_MULTI_H
#define SHARED_HTTP_MULTI_H

#include <curl/curl.h>
#include <uv.h>

struct http_multi;
struct http_multis;

/* easy has ended; it must be removed within. */
typedef void (*http_multi_ended)(CURL *easy, CURLcode result);

struct http_multis *http_multis_open(uv_loop_t *loop, http_multi_ended ended);

/* Sets the options that a handle needs to be added here; once for each handle. */
void http_multis_prepare(struct http_multis *multis, CURL *easy);

/* Starts easy on a multi handle with few in flight, which is returned; ended is told from the loop,
 * never from inside. */
struct http_multi *http_multis_add(struct http_multis *multis, CURL *easy);

/* ended is not told any more. */
void http_multi_remove(struct http_multi *multi, CURL *easy);

/* All handles must have been removed, but not yet cleaned up. May be called from ended. Nulls *multis. */
void http_multis_close(struct http_multis **multis);

#endif
