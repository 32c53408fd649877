/* A hash table whose buckets are lists through the works themselves. */
#include "workers/generator/in_flight.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "workers/generator/generator.h"

enum { BUCKETS = 16384 };

struct in_flight {
    struct work *buckets[BUCKETS];
};

struct in_flight *in_flight_open(void) {
    struct in_flight *in_flight = calloc(1, sizeof *in_flight);
    if (!in_flight)
        abort();
    return in_flight;
}

/* Ids that differ in the case of their letters only are the same. */
static struct work **bucket_of(struct in_flight *in_flight, const struct work *work) {
    size_t hash = 0;
    for (const char *at = work->request.envelope.request_id; *at; at++)
        hash = hash * 31 + (size_t)tolower((unsigned char)*at);
    return &in_flight->buckets[hash % BUCKETS];
}

struct work *in_flight_add(struct in_flight *in_flight, struct work *work) {
    const struct envelope *envelope = &work->request.envelope;
    struct work **bucket = bucket_of(in_flight, work);
    for (struct work *other = *bucket; other; other = other->next)
        if (other->request.envelope.run == envelope->run &&
            strcasecmp(other->request.envelope.request_id, envelope->request_id) == 0)
            return other;
    work->next = *bucket;
    *bucket = work;
    return NULL;
}

void in_flight_remove(struct in_flight *in_flight, struct work *work) {
    struct work **link = bucket_of(in_flight, work);
    while (*link != work)
        link = &(*link)->next;
    *link = work->next;
}
