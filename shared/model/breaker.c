/* The circuit breaker's rules. It opens when half of enough calls failed, in a short or a long window, or
 * when nobody can connect: the latter needs few calls, since no request can cause it. */
#include "shared/model/breaker.h"

#include <string.h>

static void change(struct breaker *breaker, enum breaker_state state) {
    breaker->state = state;
    breaker->epoch++;
}

bool breaker_probe_due(const struct breaker *breaker, uint64_t now_ms) {
    return breaker->state == BREAKER_OPEN && now_ms >= breaker->probe_at_ms;
}

void breaker_probe(struct breaker *breaker) {
    change(breaker, BREAKER_HALF_OPEN);
}

static void open_breaker(struct breaker *breaker, uint64_t now_ms) {
    change(breaker, BREAKER_OPEN);
    breaker->probe_at_ms = now_ms + BREAKER_PROBE_MS;
}

void breaker_trip(struct breaker *breaker, uint64_t now_ms) {
    if (breaker->state == BREAKER_CLOSED)
        open_breaker(breaker, now_ms);
}

static void close_breaker(struct breaker *breaker) {
    change(breaker, BREAKER_CLOSED);
    breaker->failed_in_row = breaker->unreachable_in_row = 0;
    memset(breaker->slots, 0, sizeof breaker->slots);
}

static void note(struct breaker *breaker, uint64_t now_ms, enum breaker_outcome outcome) {
    uint64_t number = now_ms / BREAKER_SLOT_MS;
    struct breaker_slot *slot = &breaker->slots[number % BREAKER_SLOTS];
    if (slot->number != number)
        *slot = (struct breaker_slot){.number = number};
    slot->calls++;
    slot->failed += outcome != BREAKER_ALIVE;
    if (outcome == BREAKER_ALIVE) {
        breaker->failed_in_row = breaker->unreachable_in_row = 0;
        breaker->alive_at_ms = now_ms;
        return;
    }
    breaker->failed_in_row++;
    breaker->unreachable_in_row = outcome == BREAKER_UNREACHABLE ? breaker->unreachable_in_row + 1 : 0;
}

static bool half_failed(const struct breaker *breaker, uint64_t now_ms, uint64_t window_ms) {
    uint64_t now = now_ms / BREAKER_SLOT_MS;
    int calls = 0, failed = 0;
    for (uint64_t back = 0; back < window_ms / BREAKER_SLOT_MS && back <= now; back++) {
        const struct breaker_slot *slot = &breaker->slots[(now - back) % BREAKER_SLOTS];
        if (slot->number != now - back)
            continue;
        calls += slot->calls;
        failed += slot->failed;
    }
    return calls >= BREAKER_CALLS_MIN && 2 * failed >= calls;
}

static bool must_open(const struct breaker *breaker, uint64_t now_ms) {
    if (breaker->unreachable_in_row >= BREAKER_IN_ROW && now_ms - breaker->alive_at_ms >= BREAKER_SILENT_MS)
        return true;
    return half_failed(breaker, now_ms, BREAKER_SHORT_MS) || half_failed(breaker, now_ms, BREAKER_LONG_MS);
}

void breaker_ended(struct breaker *breaker, uint64_t now_ms, unsigned epoch, enum breaker_outcome outcome) {
    if (epoch != breaker->epoch)
        return;
    if (breaker->state == BREAKER_HALF_OPEN) {
        if (outcome == BREAKER_ALIVE) {
            close_breaker(breaker);
            breaker->alive_at_ms = now_ms;
        } else {
            open_breaker(breaker, outcome == BREAKER_UNKNOWN ? now_ms - BREAKER_PROBE_MS : now_ms);
        }
        return;
    }
    if (outcome == BREAKER_UNKNOWN)
        return;
    note(breaker, now_ms, outcome);
    if (outcome != BREAKER_ALIVE && must_open(breaker, now_ms))
        open_breaker(breaker, now_ms);
}

const char *breaker_state_name(enum breaker_state state) {
    static const char *const NAMES[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_HALF_OPEN] = "half_open", [BREAKER_OPEN] = "open"};
    return NAMES[state];
}
