/* AIMD: each call served adds to the limit, a 429 takes a share of it away. Latency stops the growth where a
 * target queues instead of refusing: in flight beyond its capacity would only wait there. */
#include "shared/model/concurrency.h"

#include <math.h>

static const double CUT = 0.7, GROWTH = 0.05;
/* Latency of so many times the lowest stops the growth, or is taken for a 429. */
static const double SLOW = 2, TOO_SLOW = 4;
/* Of the latency that led to a cut: so much after it is as before. */
static const double NO_LESS = 0.8;
/* Below this a difference of latencies is noise. */
static const double NOISE_MS = 100;
/* The lowest latency known follows a target that became slower for good: by so much a window. */
static const double DRIFT = 0.01;
enum { WINDOW_MIN_MS = 50, WINDOW_MAX_MS = 10000, CUT_APART_MAX_MS = 1000, CUT_APART_MIN_MS = 100 };

void concurrency_open(struct concurrency *concurrency, int64_t min, int64_t max) {
    *concurrency = (struct concurrency){.min = (double)min,
        .max = (double)max,
        .limit = fmin(fmax(CONCURRENCY_START, (double)min), (double)max),
        .threshold = (double)max};
}

void concurrency_restart(struct concurrency *concurrency) {
    concurrency->threshold = fmax(concurrency->limit / 2, concurrency->min);
    concurrency->limit = fmin(fmax(CONCURRENCY_START, concurrency->min), concurrency->limit);
}

static bool slower(const struct concurrency *concurrency, double times) {
    return concurrency->base_ms > 0 && concurrency->mean_ms > concurrency->base_ms * times &&
           concurrency->mean_ms - concurrency->base_ms > NOISE_MS;
}

/* At most once a round trip: what began before the last cut tells nothing of the limit since. Answers of 429
 * come faster than others do, so that their round trip is that of the calls served. */
static void cut(struct concurrency *concurrency, uint64_t now_ms, uint64_t began_ms) {
    double apart = fmin(fmax(concurrency->mean_ms, CUT_APART_MIN_MS), CUT_APART_MAX_MS);
    if (concurrency->cut_at_ms &&
        (began_ms < concurrency->cut_at_ms || (double)(now_ms - concurrency->cut_at_ms) < apart))
        return;
    concurrency->cut_at_ms = now_ms;
    concurrency->limit = fmax(concurrency->limit * CUT, concurrency->min);
    concurrency->threshold = concurrency->limit;
}

/* A target that queues answers sooner when less is in flight. One that does not has become slower by itself,
 * or what is asked of it takes longer: that is its latency from then on. */
static void cut_for_latency(struct concurrency *concurrency, uint64_t now_ms, uint64_t began_ms) {
    if (!concurrency->slow_limit) {
        concurrency->slow_limit = concurrency->limit;
        concurrency->slow_ms = concurrency->mean_ms;
    }
    bool halved = concurrency->limit <= fmax(concurrency->slow_limit / 2, concurrency->min);
    if (halved && concurrency->mean_ms > concurrency->slow_ms * NO_LESS) {
        concurrency->base_ms = concurrency->mean_ms;
        concurrency->slow_limit = 0;
    } else {
        cut(concurrency, now_ms, began_ms);
    }
}

/* Closes the window when a round trip is over; true when it did. */
static bool note_latency(struct concurrency *concurrency, uint64_t now_ms, uint64_t latency_ms) {
    double length = fmin(fmax(concurrency->mean_ms, WINDOW_MIN_MS), WINDOW_MAX_MS);
    if (!concurrency->window_count++)
        concurrency->window_at_ms = now_ms;
    concurrency->window_sum_ms += (double)latency_ms;
    if ((double)(now_ms - concurrency->window_at_ms) < length)
        return false;
    concurrency->mean_ms = concurrency->window_sum_ms / concurrency->window_count;
    concurrency->window_sum_ms = concurrency->window_count = 0;
    double base = concurrency->base_ms;
    concurrency->base_ms = base == 0 || concurrency->mean_ms < base
                               ? concurrency->mean_ms
                               : base + (concurrency->mean_ms - base) * DRIFT;
    return true;
}

void concurrency_ended(struct concurrency *concurrency, uint64_t now_ms, uint64_t began_ms, int64_t in_flight,
    enum concurrency_outcome outcome) {
    if (outcome == CONCURRENCY_LIMITED)
        cut(concurrency, now_ms, began_ms);
    if (outcome != CONCURRENCY_SERVED)
        return;
    if (note_latency(concurrency, now_ms, now_ms - began_ms)) {
        if (slower(concurrency, TOO_SLOW))
            cut_for_latency(concurrency, now_ms, began_ms);
        else
            concurrency->slow_limit = 0;
    }
    if (2 * (double)in_flight < concurrency->limit || slower(concurrency, SLOW))
        return;
    /* A cut leaves 0.7 of what was too much: where twice the threshold is well, that was not the target's
     * limit. */
    if (concurrency->limit >= 2 * concurrency->threshold)
        concurrency->threshold = concurrency->max;
    concurrency->limit += concurrency->limit < concurrency->threshold ? 1 : GROWTH;
    concurrency->limit = fmin(concurrency->limit, concurrency->max);
}
