/* The token bucket. */
#include "shared/model/rate.h"

#include <math.h>

/* What a server says of its tokens may be anything: no answer stops its target for longer. */
enum { DEBT_MAX_MS = 60000 };

void rate_open(struct rate *rate, int64_t per_minute, uint64_t now_ms) {
    double capacity = fmax((double)per_minute / 60, 1);
    *rate = (struct rate){
        .per_ms = (double)per_minute / 60000, .capacity = capacity, .level = capacity, .at_ms = now_ms};
}

uint64_t rate_wait_ms(struct rate *rate, uint64_t now_ms, double amount) {
    if (rate->per_ms <= 0)
        return 0;
    rate->level = fmin(rate->level + (double)(now_ms - rate->at_ms) * rate->per_ms, rate->capacity);
    rate->at_ms = now_ms;
    double missing = fmin(amount, rate->capacity) - rate->level;
    /* A sum of many small numbers may miss by the last bit. */
    return missing > 1e-9 ? (uint64_t)ceil(missing / rate->per_ms) : 0;
}

void rate_take(struct rate *rate, double amount) {
    if (rate->per_ms > 0)
        rate->level = fmax(fmin(rate->level - amount, rate->capacity), -rate->per_ms * DEBT_MAX_MS);
}
