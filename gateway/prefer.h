/* The header Prefer (RFC 7240), of which wait is known. */
#ifndef GATEWAY_PREFER_H
#define GATEWAY_PREFER_H

#include <stdint.h>

/* The longest wait that is granted. */
enum { PREFER_WAIT_MAX_S = 600 };

/* The wait that is preferred, in milliseconds, at most PREFER_WAIT_MAX_S seconds; 0: none, or no whole number
 * of seconds, which RFC 7240 has a server ignore. header may be NULL. Of several the first counts. */
int64_t prefer_wait_ms(const char *header);

#endif
