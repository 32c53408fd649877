/* The settings as a table. */
#include "tests/sim/settings.h"

#include <string.h>

struct sim_settings sim_settings;

static const char *const ANALYSTS[] = {"good", "off_topic", NULL};
static const char *const AUTHORS[] = {"good", "worse", "delayed_harm", NULL};

static const char *const FATES_OF[] = {"all", "author", "refiner", "judge", "analyst", "prompt_author", NULL};

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
        .name = (variable), .type = SETTING_CHOICE, .value = &sim_settings.member, .otherwise = (list)[0],   \
        .choices = (list), .help = (help_text),                                                              \
    }

struct setting sim_setting_rows[] = {
    INTEGER("SIM_PORT", port, 0, 65535, "0", "Port to serve on, before LISTEN_PORT; 0: LISTEN_PORT"),
    INTEGER("SIM_SEED", seed, 0, 0x7fffffff, "1", "Seed of all chance"),
    INTEGER("SIM_LATENCY_MS", latency_ms, 0, MS_MAX, "0", "Time to answer, in milliseconds"),
    INTEGER("SIM_JITTER_MS", jitter_ms, 0, MS_MAX, "0", "Most that is added to the time to answer"),
    SHARE("SIM_ERROR_SHARE", error_share, "Share of calls that are answered SIM_ERROR_STATUS"),
    INTEGER("SIM_ERROR_STATUS", error_status, 400, 599, "500", "Status of those"),
    SHARE("SIM_RATE_LIMIT_SHARE", rate_limit_share, "Share of calls that are answered 429"),
    INTEGER("SIM_RETRY_AFTER_S", retry_after_s, -1, 3600, "1", "Retry-After of a 429, in seconds; -1: none"),
    INTEGER("SIM_REQUESTS_PER_S", requests_per_s, 0, 1000000, "0", "Calls a second before 429; 0: any"),
    INTEGER("SIM_CONCURRENCY_MAX", concurrency_max, 0, 1000000, "0", "Calls at once before 429; 0: any"),
    SHARE("SIM_HANG_SHARE", hang_share, "Share of calls that are never answered"),
    SHARE("SIM_SLOW_SHARE", slow_share, "Share of calls that are answered SIM_SLOW_MS later than others"),
    INTEGER("SIM_SLOW_MS", slow_ms, 0, MS_MAX, "5000", "How much later those are answered"),
    SHARE("SIM_CUT_SHARE", cut_share, "Share of calls whose connection closes before an answer"),
    SHARE("SIM_CUT_BODY_SHARE", cut_body_share, "Share of calls whose connection breaks within the answer"),
    SHARE("SIM_HALF_JSON_SHARE", half_json_share,
        "Share of answers that are half JSON, or a stream without end"),
    SHARE("SIM_REFUSAL_SHARE", refusal_share, "Share of calls that the model refuses"),
    SHARE("SIM_FILTER_SHARE", filter_share, "Share of answers that are withheld by a filter"),
    SHARE("SIM_EMPTY_SHARE", empty_share, "Share of answers without a text"),
    SHARE("SIM_LENGTH_SHARE", length_share, "Share of answers that are cut by their length"),
    SHARE("SIM_CONTEXT_SHARE", context_share, "Share of calls that are too long for the model's context"),
    CHOICE("SIM_FATES_OF", fates_of, FATES_OF, "Whose calls the shares above befall"),
    INTEGER("SIM_DEAD_MS", dead_ms, 0, MS_MAX, "0", "How long it is dead: no listener, no connection"),
    SHARE("SIM_CACHED_SHARE", cached_share, "Share of prompt tokens that are said to come from a cache"),
    INTEGER("SIM_REASONING_TOKENS", reasoning_tokens, 0, 1000000, "0", "Tokens of reasoning in each answer"),
    {.name = "SIM_TLS_CERT",
        .type = SETTING_STRING,
        .value = &sim_settings.tls_certificate,
        .otherwise = "",
        .help = "PEM file of a certificate to serve TLS with; empty: plain HTTP"},
    {.name = "SIM_TLS_KEY",
        .type = SETTING_STRING,
        .value = &sim_settings.tls_key,
        .otherwise = "",
        .help = "PEM file of its key"},
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
