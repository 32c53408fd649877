/* How many calls of a target may be in flight: AIMD with slow start, as TCP finds its window (RFC 5681), told
 * by 429s, timeouts and latency. Time is passed in. */
#ifndef SHARED_MODEL_CONCURRENCY_H
#define SHARED_MODEL_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { CONCURRENCY_START = 200 };

enum concurrency_outcome {
    CONCURRENCY_SERVED,  /* grows the limit, when that is in use and latency allows */
    CONCURRENCY_LIMITED, /* 429 or a timeout: cuts it, at most once a round trip */
    CONCURRENCY_OTHER,   /* tells nothing */
};

struct concurrency {
    double limit, min, max;
    double threshold;   /* below it, and from its double on, the limit doubles each round trip; between, it
                           grows by a twentieth */
    uint64_t cut_at_ms; /* of the last cut; 0: none */
    /* Latency, as means over one round trip each; 0: not known. */
    double base_ms, mean_ms;
    double slow_limit,
        slow_ms; /* limit and latency when the latter began to cut; slow_limit 0: it does not */
    uint64_t window_at_ms;
    double window_sum_ms;
    int window_count;
};

void concurrency_open(struct concurrency *concurrency, int64_t min, int64_t max);

/* After the target was away: finds its limit anew, and doubles only up to half of the last one, then, that
 * regained, again. */
void concurrency_restart(struct concurrency *concurrency);

/* in_flight: with the one that has ended. */
void concurrency_ended(struct concurrency *concurrency, uint64_t now_ms, uint64_t began_ms, int64_t in_flight,
    enum concurrency_outcome outcome);

/* At least 1. */
static inline int64_t concurrency_limit(const struct concurrency *concurrency) {
    return (int64_t)(concurrency->limit + 1e-6); /* 490 may be 489.99… */
}

#endif
