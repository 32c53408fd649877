/* Counts what a stream sends in windows, and spaces its batches while it is busy. */
#include "shared/pace.h"

enum { WINDOW_MS = 64 };

uint64_t pace_wait_ms(const struct pace *pace, uint64_t now_ms, uint64_t gap_ms) {
    uint64_t since = now_ms - pace->sent_ms;
    return pace->busy && since < gap_ms ? gap_ms - since : 0;
}

void pace_sent(struct pace *pace, uint64_t now_ms, size_t items, uint64_t busy_rate) {
    uint64_t window = now_ms - pace->window_ms;
    pace->sent_ms = now_ms;
    pace->window_items += items;
    if (window < WINDOW_MS)
        return;
    pace->busy = pace->window_items * 1000 / window >= busy_rate;
    pace->window_ms = now_ms;
    pace->window_items = 0;
}
