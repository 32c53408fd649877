/* The simulator's settings. */
#ifndef TESTS_SIM_SETTINGS_H
#define TESTS_SIM_SETTINGS_H

#include <stdint.h>

#include "shared/settings.h"
#include "tests/sim/model.h"

struct sim_settings {
    int64_t port, seed, latency_ms, jitter_ms, retry_after_s, harm_after;
    double error_share, rate_limit_share, hang_share, bad_json_share, noise;
    const char *analyst, *author;
};
extern struct sim_settings sim_settings;
extern struct setting sim_setting_rows[];

/* What of it is the model's. */
struct sim_options sim_settings_options(void);

#endif
