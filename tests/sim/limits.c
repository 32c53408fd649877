/* A bucket that holds the calls of one second. */
#include "tests/sim/limits.h"

#include <stdio.h>

#include "shared/http_server.h"
#include "tests/sim/settings.h"

static void fill(struct limits *limits, uint64_t now_ms, double per_s) {
    limits->left += limits->begun ? (double)(now_ms - limits->filled_ms) * per_s / 1000 : per_s;
    if (limits->left > per_s)
        limits->left = per_s;
    limits->filled_ms = now_ms;
    limits->begun = true;
}

static void tell(const struct limits *limits, struct http_request *http, double per_s) {
    char text[32];
    snprintf(text, sizeof text, "%.0f", per_s);
    http_add_header(http, "x-ratelimit-limit-requests", text);
    snprintf(text, sizeof text, "%d", (int)limits->left);
    http_add_header(http, "x-ratelimit-remaining-requests", text);
    snprintf(text, sizeof text, "%dms", (int)((per_s - limits->left) * 1000 / per_s));
    http_add_header(http, "x-ratelimit-reset-requests", text);
}

bool limits_take(struct limits *limits, struct http_request *http, uint64_t now_ms, int64_t in_flight) {
    double per_s = (double)sim_settings.requests_per_s;
    bool allowed = !sim_settings.concurrency_max || in_flight <= sim_settings.concurrency_max;
    if (per_s <= 0)
        return allowed;
    fill(limits, now_ms, per_s);
    allowed = allowed && limits->left >= 1;
    limits->left -= allowed;
    tell(limits, http, per_s);
    return allowed;
}
