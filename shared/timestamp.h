/* Points in time as callers write them. */
#ifndef SHARED_TIMESTAMP_H
#define SHARED_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

/* Reads "2026-11-21T09:30:00.5+01:00" (RFC 3339; digits past the microsecond are cut) or Unix milliseconds up
 * to the year 9999 into microseconds since 1970, which are negative before. A space counts as the plus sign
 * of an offset, since a URL's query gives it so. False when text is neither. */
bool timestamp_read(const char *text, int64_t *microseconds);

#endif
