/* What needs no care in a JSON string. */
#ifndef SHARED_JSON_PLAIN_H
#define SHARED_JSON_PLAIN_H

#include <stdbool.h>

/* True for ASCII that stands in a string as it is: no control character, quote or backslash; false for NUL.
 */
extern const bool JSON_PLAIN[256];

#endif
