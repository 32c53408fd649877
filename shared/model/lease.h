/* The arithmetic of one process's lease of the daily budget: amounts only, no clock and no Postgres. All
 * amounts are in 10^-9 US dollars. */
#ifndef SHARED_MODEL_LEASE_H
#define SHARED_MODEL_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing is leased. */
struct lease {
    int64_t amount; /* what may be spent, by what Postgres has confirmed */
    int64_t
        spent; /* by tries that ended; above amount only where a provider charged more than was reserved */
    int64_t reserved; /* the most that tries under way can cost */
};

/* What of it is neither spent nor reserved, at least 0. */
int64_t lease_free(const struct lease *lease);

/* What has to stay taken whatever happens. */
int64_t lease_used(const struct lease *lease);

/* Sets most (0 or more) aside for a try; false: there is not so much, and nothing was changed. */
bool lease_reserve(struct lease *lease, int64_t most);

/* A try for which most was reserved ended and did cost cost. */
void lease_spend(struct lease *lease, int64_t most, int64_t cost);

/* Postgres has confirmed this amount, which never takes what was leased before. */
void lease_grow(struct lease *lease, int64_t amount);

/* What is free is about to be given back: from now on it must not be spent, whether Postgres will confirm it
 * or not. Returns what stays. */
int64_t lease_shrink(struct lease *lease);

/* How much to lease at a time: a hundredth of limit, or what waits for it (0 or more) where that is more. */
int64_t lease_portion(int64_t limit, int64_t waiting);

#endif
