/* Shares are laid side by side on one line from 0 to 1; the chance is a point on it. */
#include "tests/sim/fates.h"

#include <stddef.h>

#include "tests/sim/chance.h"
#include "tests/sim/settings.h"

const char *const FATE_NAMES[FATES] = {"answered", "error", "rate_limited", "hangs", "slow", "cut",
    "cut_body", "half_json", "refused", "filtered", "empty", "length", "context"};

static const double *const SHARES[FATES] = {
    [FATE_ERROR] = &sim_settings.error_share,
    [FATE_RATE_LIMITED] = &sim_settings.rate_limit_share,
    [FATE_HANGS] = &sim_settings.hang_share,
    [FATE_SLOW] = &sim_settings.slow_share,
    [FATE_CUT] = &sim_settings.cut_share,
    [FATE_CUT_BODY] = &sim_settings.cut_body_share,
    [FATE_HALF_JSON] = &sim_settings.half_json_share,
    [FATE_REFUSED] = &sim_settings.refusal_share,
    [FATE_FILTERED] = &sim_settings.filter_share,
    [FATE_EMPTY] = &sim_settings.empty_share,
    [FATE_LENGTH] = &sim_settings.length_share,
    [FATE_CONTEXT] = &sim_settings.context_share,
};

enum fate fate_draw(uint64_t chance) {
    double point = chance_share(chance, 1);
    for (int fate = FATE_ANSWERED + 1; fate < FATES; fate++) {
        if (point < *SHARES[fate])
            return (enum fate)fate;
        point -= *SHARES[fate];
    }
    return FATE_ANSWERED;
}
