/* How long a try waits after one that failed. */
#ifndef SHARED_BACKOFF_H
#define SHARED_BACKOFF_H

#include <stdint.h>

/* Exponential back-off with full jitter: anywhere in 1 … min(max_ms, first_ms × 2^(failures - 1)), so that
 * what failed together does not come back together. failures: in a row, from 1; random: any number. */
uint64_t backoff_ms(int failures, uint64_t first_ms, uint64_t max_ms, uint64_t random);

/* A number for random; of the kernel, never waited for. */
uint64_t backoff_random(void);

#endif
