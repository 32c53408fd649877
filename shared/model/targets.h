/* The models that a process may ask: read from its settings, each with a name, a provider, an address and a
 * key. */
#ifndef SHARED_MODEL_TARGETS_H
#define SHARED_MODEL_TARGETS_H

#include <stdbool.h>

#include "shared/model/provider.h"

struct arena;

enum { TARGETS_MAX = 16, TARGET_NAME_MAX = 100 };

struct model_targets {
    struct model_target items[TARGETS_MAX]; /* the first one serves who names none */
    int count;
    int fallbacks[TARGETS_MAX]; /* indices into items, in the order of LLM_FALLBACKS */
    int fallback_count;
};

/* Reads LLM_PROVIDER, LLM_MODEL, LLM_BASE_URL and LLM_API_KEY as the first model, then LLM_MODELS and
 * LLM_FALLBACKS. Those are lists of entries with commas between, each
 *
 *     name=provider:model@base_url
 *
 * where name= may be left out (then the model's name is the name) and so may @base_url (then it is the
 * provider's own). An entry without a colon names a model that is configured already.
 *
 * Key of an entry: {PROVIDER}_API_KEY (GEMINI_API_KEY, …), else LLM_API_KEY where the provider is the first
 * model's; the first model takes LLM_API_KEY first. So no key goes to a provider that it was not given for.
 *
 * Strings live in arena. False: *error is one line that names the setting and holds no key. */
bool model_targets_read(struct arena *arena, const struct model_configuration *configuration,
    struct model_targets *targets, const char **error);

/* The target's index, or -1. */
int model_targets_find(const struct model_targets *targets, const char *name);

/* The index of one more entry, or of one that is configured, as setting gives it; -1: *error says why not. */
int model_targets_add(struct arena *arena, const struct model_configuration *configuration,
    struct model_targets *targets, const char *setting, const char *entry, const char **error);

/* The names of all, ", " between them, in arena. */
const char *model_targets_names(struct arena *arena, const struct model_targets *targets);

#endif
