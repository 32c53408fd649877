/* The optimizer's settings. */
#include "workers/optimizer/optimizer.h"

struct optimizer_settings optimizer_settings;

#define INTEGER(variable, field, text, least, most, sentence)                                                \
    {                                                                                                        \
        .name = (variable), .type = SETTING_INTEGER, .value = &optimizer_settings.field,                     \
        .otherwise = (text), .min = (least), .max = (most), .help = (sentence)                               \
    }

struct setting optimizer_setting_rows[] = {
    {.name = "OPTIMIZER_MODE",
        .type = SETTING_CHOICE,
        .value = &optimizer_settings.mode,
        .otherwise = "stream",
        .choices = (const char *const[]){"stream", "once", "off", NULL},
        .help = "stream heals while requests flow; once (or --once) does one cycle and ends; off waits to be "
                "asked"},
    INTEGER("OPTIMIZER_FAILURE_THRESHOLD", failure_threshold, "3", 1, 1e6,
        "Failed evaluations of a prompt that start a cycle"),
    INTEGER("OPTIMIZER_LOOKBACK_MINUTES", lookback_minutes, "30", 1, 10080,
        "How far back evaluations count, in minutes"),
    {.name = "OPTIMIZER_FAILURE_SHARE",
        .type = SETTING_DOUBLE,
        .value = &optimizer_settings.failure_share,
        .otherwise = "0.05",
        .min = 0,
        .max = 1,
        .help = "Share of a prompt's evaluations that must have failed as well"},
    INTEGER("OPTIMIZER_CANDIDATES", candidates, "3", 1, 16, "Candidate prompts that a cycle has written"),
    {.name = "OPTIMIZER_APPROVAL",
        .type = SETTING_CHOICE,
        .value = &optimizer_settings.approval,
        .otherwise = "auto",
        .choices = (const char *const[]){"auto", "manual", NULL},
        .help = "auto puts a winner into service; manual has it wait for a person"},
    INTEGER(
        "OPTIMIZER_PROBATION", probation, "20", 4, 1000, "Evaluations over which a new version is watched"),
    INTEGER("OPTIMIZER_REHEARSAL_INPUTS", rehearsal_inputs, "8", 1, 50,
        "Inputs of each set that a candidate is tried on"),
    INTEGER("OPTIMIZER_REHEARSALS_AT_ONCE", rehearsals_at_once, "16", 1, 1000,
        "Rehearsals of a cycle under way at a time, beside the requests that are served"),
    INTEGER("OPTIMIZER_REHEARSAL_TIMEOUT_MS", rehearsal_timeout_ms, "120000", 100, 3600000,
        "How long a rehearsal may take, in milliseconds"),
    {.name = "LLM_OPTIMIZER_MODEL",
        .type = SETTING_STRING,
        .value = &optimizer_settings.model,
        .otherwise = "",
        .help = "The model that analyses failures and writes prompts: a name from LLM_MODELS or an entry as "
                "there; empty: the first one."},
    INTEGER("OPTIMIZER_BACKOFF_MS", backoff_ms, "60000", 1, 86400000,
        "Wait after a cycle that found nothing better, in milliseconds; doubles each time"),
    INTEGER("OPTIMIZER_BACKOFF_MAX_MS", backoff_max_ms, "3600000", 1, 604800000,
        "The longest such wait, in milliseconds"),
    INTEGER("OPTIMIZER_TOKENS_PER_DAY", tokens_per_day, "5000000", 0, 1e15,
        "Model tokens that healing may use in a day (UTC)"),
    INTEGER("OPTIMIZER_ONCE_TIMEOUT_MS", once_timeout_ms, "600000", 1000, 86400000,
        "How long --once may take, in milliseconds"),
    {0},
};
