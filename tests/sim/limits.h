/* The provider's limits: calls a second, and calls at once. */
#ifndef TESTS_SIM_LIMITS_H
#define TESTS_SIM_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct http_request;

/* Zeroed: full. */
struct limits {
    double left; /* calls that may come now */
    uint64_t filled_ms;
    bool begun;
};

/* Whether SIM_REQUESTS_PER_S and SIM_CONCURRENCY_MAX allow one call more; in_flight includes it. With the
 * former set, the answer gets OpenAI's x-ratelimit headers. */
bool limits_take(struct limits *limits, struct http_request *http, uint64_t now_ms, int64_t in_flight);

#endif
