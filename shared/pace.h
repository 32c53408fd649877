/* How far apart batches of a busy stream are sent: a batch costs about as much as dozens of what is in it, so
 * a busy stream waits a moment for larger ones, and a quiet one never does. Time is passed in, in
 * milliseconds of one clock. */
#ifndef SHARED_PACE_H
#define SHARED_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed to begin with. */
struct pace {
    uint64_t sent_ms;      /* when the last batch was sent */
    uint64_t window_ms;    /* since when window_items are counted */
    uint64_t window_items; /* sent since then */
    bool busy;             /* by the last whole window */
};

/* How long the next batch is still to wait: 0 for a stream that is not busy, else until gap_ms after the last
 * one. */
uint64_t pace_wait_ms(const struct pace *pace, uint64_t now_ms, uint64_t gap_ms);

/* A batch of items was sent. The stream is busy when a window of 64 ms or more brought busy_rate items a
 * second. */
void pace_sent(struct pace *pace, uint64_t now_ms, size_t items, uint64_t busy_rate);

#endif
