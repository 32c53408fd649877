/* Which calls have come before: by a hash of what they say. */
#ifndef TESTS_SIM_SEEN_H
#define TESTS_SIM_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: nothing has come. */
struct seen {
    struct seen_call *slots;
    size_t size, used;
};

struct seen_call {
    uint64_t hash; /* 0: a free slot */
    bool answered; /* one of its calls got its answer */
};

/* The entry of hash, which is made if there is none: then *is_new. Borrowed until the next call of this. */
struct seen_call *seen_find(struct seen *seen, uint64_t hash, bool *is_new);

void seen_free(struct seen *seen);

#endif
