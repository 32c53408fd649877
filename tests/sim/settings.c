/* The settings as a table. */
#include "tests/sim/settings.h"

#include <string.h>

struct sim_settings sim_settings;

static const char *const ANALYSTS[] = {"good", "off_topic", NULL};
static const char *const AUTHORS[] = {"good", "worse", "delayed_harm", NULL};

enum { MS_MAX = 600000 };

#define INTEGER(variable, member, low, high, default_text, help_text)                                        \
    {                                                                                                        \
        .name = (variable), .type = SETTING_INTEGER, .value = &sim_settings.member,                          \
        .otherwise = (default_text), .min = (low), .max = (high), .help = (help_text),                       \
    }
#define SHARE(variable, member, help_text)                                                                   \
    {                                                                                                        \
        .name = (variable), .type = SETTING_DOUBLE, .value = &sim_settings.member, .otherwise = "0",         \
        .min = 0, .max = 1, .help = (help_text),                                                             \
    }
#define CHOICE(variable, member, list, help_text)                                                            \
    {                                                                                                        \
        .name = (variable), .type = SETTING_CHOICE, .value = &sim_settings.member, .otherwise = "good",      \
        .choices = (list), .help = (help_text),                                                              \
    }

struct setting sim_setting_rows[] = {
    INTEGER("SIM_PORT", port, 0, 65535, "0", "Port to serve on, before LISTEN_PORT; 0: LISTEN_PORT"),
    INTEGER("SIM_SEED", seed, 0, 0x7fffffff, "1", "Seed of all chance"),
    INTEGER("SIM_LATENCY_MS", latency_ms, 0, MS_MAX, "0", "Time to answer, in milliseconds"),
    INTEGER("SIM_JITTER_MS", jitter_ms, 0, MS_MAX, "0", "Most that is added to the time to answer"),
    SHARE("SIM_ERROR_SHARE", error_share, "Share of calls that are answered 500"),
    SHARE("SIM_RATE_LIMIT_SHARE", rate_limit_share, "Share of calls that are answered 429"),
    INTEGER("SIM_RETRY_AFTER_S", retry_after_s, 0, 3600, "1", "Retry-After of a 429, in seconds"),
    SHARE("SIM_HANG_SHARE", hang_share, "Share of calls that are never answered"),
    SHARE("SIM_BAD_JSON_SHARE", bad_json_share, "Share of judgements and analyses that are broken JSON"),
    {.name = "SIM_NOISE",
        .type = SETTING_DOUBLE,
        .value = &sim_settings.noise,
        .otherwise = "0.2",
        .min = 0,
        .max = 5,
        .help = "Noise of a judgement's relevance and quality, in points"},
    CHOICE("SIM_ANALYST", analyst, ANALYSTS, "Whether its analysis is to the point"),
    CHOICE("SIM_AUTHOR", author, AUTHORS, "Whether its prompts are made to be good"),
    INTEGER("SIM_HARM_AFTER", harm_after, 0, 1000000, "24", "Calls under a prompt before delayed harm shows"),
    {0},
};

struct sim_options sim_settings_options(void) {
    const char *author = sim_settings.author;
    return (struct sim_options){
        .seed = (uint64_t)sim_settings.seed,
        .noise = sim_settings.noise,
        .off_topic_analyst = strcmp(sim_settings.analyst, "off_topic") == 0,
        .author = strcmp(author, "worse") == 0          ? AUTHOR_WORSE
                  : strcmp(author, "delayed_harm") == 0 ? AUTHOR_DELAYED_HARM
                                                        : AUTHOR_GOOD,
        .harm_after = sim_settings.harm_after,
    };
}
