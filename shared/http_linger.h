/* Lingering close: after an answer that came before the body was read, the body's rest is read and dropped
 * for a while. Closing at once would reset the connection, and the reset could overtake the answer. */
#ifndef SHARED_HTTP_LINGER_H
#define SHARED_HTTP_LINGER_H

#include <uv.h>

struct http_lingers;

struct http_lingers *http_lingers_open(uv_loop_t *loop);

/* Ends our side of a socket and keeps a duplicate of it until the client has closed, or has sent or waited
 * too much. fd is borrowed; the caller closes it. With too many of them already it does nothing. */
void http_linger(struct http_lingers *lingers, int fd);

/* Closes those that are left; nulls *lingers. */
void http_lingers_close(struct http_lingers **lingers);

#endif
