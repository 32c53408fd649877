/* A rate a minute as a token bucket that holds one second's worth: a minute's allowance is spread over the
 * minute instead of being spent in its first second. Time is passed in. */
#ifndef SHARED_MODEL_RATE_H
#define SHARED_MODEL_RATE_H

#include <stdint.h>

/* Zeroed: no limit. */
struct rate {
    double per_ms;   /* 0: no limit */
    double capacity; /* a second's worth, at least 1 */
    double level;    /* what may be taken now; below 0 after something larger than the bucket */
    uint64_t at_ms;  /* of level */
};

/* per_minute 0: no limit. */
void rate_open(struct rate *rate, int64_t per_minute, uint64_t now_ms);

/* How long until amount may be taken; 0: now. What is larger than the bucket may be taken when that is full.
 */
uint64_t rate_wait_ms(struct rate *rate, uint64_t now_ms, double amount);

/* Takes amount, or gives it back when negative. */
void rate_take(struct rate *rate, double amount);

#endif
