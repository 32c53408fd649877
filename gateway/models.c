/* The models that a request may name, read from the settings that the workers have them from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "shared/arena.h"
#include "shared/log.h"
#include "shared/model/targets.h"

static const char ANY[] = "*";

static struct model_configuration configuration = {
    .gemini_api_key = "", .openai_api_key = "", .anthropic_api_key = ""};

struct setting models_settings[] = {
    {.name = "LLM_MODELS",
        .type = SETTING_STRING,
        .value = &configuration.models,
        .otherwise = ANY,
        .help = "As the generator has it, be it empty: a request that names a model which neither this nor "
                "the settings below name is refused. *: the gateway does not know the models, and the "
                "generator decides."},
    {.name = "LLM_FALLBACKS",
        .type = SETTING_STRING,
        .value = &configuration.fallbacks,
        .otherwise = "",
        .help = "As the generator has it: its models may be named, too."},
    {.name = "LLM_PROVIDER",
        .type = SETTING_STRING,
        .value = &configuration.provider,
        .otherwise = "",
        .help = "As the generator has it; it tells the first model's name where LLM_MODEL does not."},
    {.name = "LLM_MODEL",
        .type = SETTING_STRING,
        .value = &configuration.model,
        .otherwise = "",
        .help = "As the generator has it: the first model's name."},
    {.name = "LLM_BASE_URL",
        .type = SETTING_STRING,
        .value = &configuration.base_url,
        .otherwise = "",
        .help = "As the generator has it; only whether it is set counts, where LLM_PROVIDER is not."},
    {.name = "LLM_API_KEY",
        .type = SETTING_SECRET,
        .value = &configuration.api_key,
        .otherwise = "",
        .help = "Not needed. Where neither LLM_PROVIDER nor LLM_BASE_URL is set, a key means gemini; "
                "LLM_PROVIDER=gemini says the same without one."},
    {0},
};

struct models {
    struct arena *arena;
    struct model_targets targets;
    const char *refusal; /* NULL: they are not known here */
};

struct models *models_open(void) {
    struct arena *arena = arena_create(0);
    struct models *models = arena_alloc(arena, sizeof *models);
    const char *error;
    *models = (struct models){.arena = arena};
    if (strcmp(configuration.models, ANY) == 0)
        return models;
    if (!model_targets_read(arena, &configuration, &models->targets, &error)) {
        fprintf(stderr, "%s\n", error);
        exit(2);
    }
    const char *names = model_targets_names(arena, &models->targets);
    models->refusal = arena_format(arena, "The model is not known. Known models: %s.", names);
    log_info("models_known", log_string("models", names));
    return models;
}

const char *models_refusal(const struct models *models, const char *name) {
    return name && models->refusal && model_targets_find(&models->targets, name) < 0 ? models->refusal : NULL;
}

void models_close(struct models **models) {
    struct arena *arena = (*models)->arena;
    *models = NULL;
    arena_destroy(&arena);
}
