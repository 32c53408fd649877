/* Exponential back-off with full jitter. */
#include "shared/backoff.h"

#include <sys/random.h>
#include <uv.h>

uint64_t backoff_ms(int failures, uint64_t first_ms, uint64_t max_ms, uint64_t random) {
    uint64_t bound = first_ms;
    for (int i = 1; i < failures && bound < max_ms; i++)
        bound *= 2;
    return random % (bound < max_ms ? bound : max_ms) + 1;
}

uint64_t backoff_random(void) {
    uint64_t random;
    return getrandom(&random, sizeof random, GRND_NONBLOCK) == sizeof random ? random : uv_hrtime();
}
