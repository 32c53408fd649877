/* The socket that a server listens on, and the files it may open. */
#ifndef SHARED_HTTP_LISTEN_H
#define SHARED_HTTP_LISTEN_H

#include <stdint.h>

/* A listening, non-blocking socket on an IPv4 or IPv6 address; port 0 takes a free one. -1 when that fails,
 * which is said in the log. */
int http_listen(const char *address, int64_t port);

/* The port a socket is bound to; 0: none. */
int http_listen_port(int fd);

#endif
