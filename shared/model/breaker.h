/* A circuit breaker: closed while a target works, open while it does not, half-open while one probe finds
 * out. Time is passed in; nothing here waits. */
#ifndef SHARED_MODEL_BREAKER_H
#define SHARED_MODEL_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BREAKER_CALLS_MIN = 10,  /* that a share of failures is taken of */
    BREAKER_SHORT_MS = 1000, /* the window that sees a busy target die within a second */
    BREAKER_LONG_MS = 10000, /* the one that sees it where calls are few */
    BREAKER_IN_ROW = 4,      /* unreachable so often in a row, with */
    BREAKER_SILENT_MS = 200, /* nobody served for so long: open, however few the calls */
    BREAKER_PROBE_MS = 500,  /* from opening, or a failed probe, to the next probe */
    BREAKER_SLOT_MS = 100,
    BREAKER_SLOTS = BREAKER_LONG_MS / BREAKER_SLOT_MS,
};

/* The numbers that the metric agent_model_breaker_state shows. */
enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

enum breaker_outcome {
    BREAKER_ALIVE,       /* it answered, with whatever but the following */
    BREAKER_FAILED,      /* timeout, 5xx, cut */
    BREAKER_UNREACHABLE, /* no connection: never the fault of what was asked */
    BREAKER_UNKNOWN,     /* given up before it was known */
};

/* Zeroed: closed. */
struct breaker {
    enum breaker_state state;
    unsigned epoch;       /* counts changes of state: what began before one tells nothing after it */
    uint64_t probe_at_ms; /* when open */
    uint64_t alive_at_ms; /* when it answered last; 0: not so far */
    int failed_in_row, unreachable_in_row;
    struct breaker_slot {
        uint64_t number; /* of BREAKER_SLOT_MS since the clock began */
        int calls, failed;
    } slots[BREAKER_SLOTS];
};

/* True when it is open and its next probe is due. */
bool breaker_probe_due(const struct breaker *breaker, uint64_t now_ms);

/* The probe begins: open becomes half-open. */
void breaker_probe(struct breaker *breaker);

/* A call has ended that began in this epoch. The state may have changed after. */
void breaker_ended(struct breaker *breaker, uint64_t now_ms, unsigned epoch, enum breaker_outcome outcome);

/* Opens it where it is closed. */
void breaker_trip(struct breaker *breaker, uint64_t now_ms);

/* "closed", "half_open", "open" */
const char *breaker_state_name(enum breaker_state state);

#endif
