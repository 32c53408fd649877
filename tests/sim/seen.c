/* A table with open addressing that doubles when it is half full: 32 bytes a call. */
#include "tests/sim/seen.h"

#include <stdlib.h>

enum { FIRST_SIZE = 1024 };

static struct seen_call *slot_of(const struct seen *seen, uint64_t hash) {
    size_t at = hash & (seen->size - 1);
    while (seen->slots[at].hash && seen->slots[at].hash != hash)
        at = (at + 1) & (seen->size - 1);
    return &seen->slots[at];
}

static void grow(struct seen *seen) {
    struct seen larger = {.size = seen->size ? 2 * seen->size : FIRST_SIZE, .used = seen->used};
    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (!larger.slots)
        abort();
    for (size_t i = 0; i < seen->size; i++)
        if (seen->slots[i].hash)
            *slot_of(&larger, seen->slots[i].hash) = seen->slots[i];
    free(seen->slots);
    *seen = larger;
}

struct seen_call *seen_find(struct seen *seen, uint64_t hash, bool *is_new) {
    if (2 * seen->used >= seen->size)
        grow(seen);
    hash += !hash;
    struct seen_call *call = slot_of(seen, hash);
    *is_new = !call->hash;
    call->hash = hash;
    seen->used += *is_new;
    return call;
}

void seen_free(struct seen *seen) {
    free(seen->slots);
    *seen = (struct seen){0};
}
