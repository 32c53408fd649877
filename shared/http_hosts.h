/* Addresses of host names: looked up off the loop thread, once for all calls, and kept for a minute. */
#ifndef SHARED_HTTP_HOSTS_H
#define SHARED_HTTP_HOSTS_H

#include <stdbool.h>
#include <uv.h>

struct http_hosts;
struct http_lookup;

/* addresses: "192.0.2.1,[2001:db8::1]", borrowed for the call; NULL with error when the name has none. */
typedef void (*http_lookup_done)(void *context, const char *addresses, const char *error);

struct http_hosts *http_hosts_open(uv_loop_t *loop);

/* done is called once, from the loop, never from inside this call. */
struct http_lookup *http_hosts_find(
    struct http_hosts *hosts, const char *host, http_lookup_done done, void *context);

/* done is not called. Nulls *lookup; *lookup may be NULL. */
void http_lookup_cancel(struct http_lookup **lookup);

/* Lookups under way are given up; nulls *hosts. */
void http_hosts_close(struct http_hosts **hosts);

/* True for an IPv4 address or an IPv6 address in brackets, which need no lookup. */
bool http_host_is_address(const char *host);

/* True for this machine: "localhost" and loopback addresses. */
bool http_host_is_local(const char *host);

#endif
