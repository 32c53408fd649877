/* The simulator's settings. */
#ifndef TESTS_SIM_SETTINGS_H
#define TESTS_SIM_SETTINGS_H

#include <stdint.h>

#include "shared/settings.h"
#include "tests/sim/model.h"

struct sim_settings {
    int64_t port, seed, latency_ms, jitter_ms, slow_ms, dead_ms, retry_after_s, error_status, harm_after;
    int64_t requests_per_s, concurrency_max, reasoning_tokens;
    double error_share, rate_limit_share, hang_share, slow_share, cut_share, cut_body_share, half_json_share,
        refusal_share, filter_share, empty_share, length_share, context_share, bad_json_share, cached_share,
        noise;
    const char *fates_of, *analyst, *author, *tls_certificate, *tls_key;
};
extern struct sim_settings sim_settings;
extern struct setting sim_setting_rows[];

/* What of it is the model's. */
struct sim_options sim_settings_options(void);

#endif
