/* Adds and subtracts what a process leases, reserves and spends. */
#include "shared/model/lease.h"

enum { PORTIONS = 100 };

/* What providers say that they used may be anything. Far above every budget, and far below what Postgres and
 * we can add to. */
static const int64_t SPENT_MAX = INT64_C(1000000000000000000);

int64_t lease_used(const struct lease *lease) {
    return lease->spent + lease->reserved;
}

int64_t lease_free(const struct lease *lease) {
    int64_t used = lease_used(lease);
    return lease->amount > used ? lease->amount - used : 0;
}

bool lease_reserve(struct lease *lease, int64_t most) {
    if (lease_free(lease) < most)
        return false;
    lease->reserved += most;
    return true;
}

void lease_spend(struct lease *lease, int64_t most, int64_t cost) {
    lease->reserved -= most;
    lease->spent = cost < SPENT_MAX - lease->spent ? lease->spent + cost : SPENT_MAX;
}

void lease_grow(struct lease *lease, int64_t amount) {
    if (lease->amount < amount)
        lease->amount = amount;
}

int64_t lease_shrink(struct lease *lease) {
    int64_t used = lease_used(lease);
    if (lease->amount > used)
        lease->amount = used;
    return used;
}

int64_t lease_portion(int64_t limit, int64_t waiting) {
    int64_t portion = limit / PORTIONS;
    return portion > waiting ? portion : waiting;
}
