/* Settings become targets. */
#include "shared/model/targets.h"

#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"

static const char *provider_key(const struct model_configuration *configuration, const char *provider) {
    if (strcmp(provider, "gemini") == 0)
        return configuration->gemini_api_key;
    if (strcmp(provider, "anthropic") == 0)
        return configuration->anthropic_api_key;
    return strcmp(provider, "openai") == 0 ? configuration->openai_api_key : "";
}

static const char *first_provider(const struct model_configuration *configuration) {
    if (*configuration->provider)
        return configuration->provider;
    return *configuration->base_url ? "openai" : *configuration->api_key ? "gemini" : "mock";
}

/* NULL: it may be used so. */
static const char *wrong_with(const struct model_target *target) {
    const char *url = target->base_url;
    if (*url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return "its address (LLM_BASE_URL, or what stands behind @) must begin with http:// or https://";
    for (const char *at = url; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return "its address (LLM_BASE_URL, or what stands behind @) must not hold spaces or control "
                   "characters";
    for (const char *at = target->api_key; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)
            return "its key must not hold spaces or control characters";
    size_t length = strlen(target->name);
    if (!length || length > TARGET_NAME_MAX)
        return "its name must be 1 to 100 bytes long";
    for (const char *at = target->name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || *at == ',')
            return "its name must not hold control characters or commas";
    return NULL;
}

static void fill_in(struct arena *arena, struct model_target *target) {
    const struct model_provider *provider = target->provider;
    if (!*target->model && provider->default_model)
        target->model = provider->default_model;
    if (!*target->base_url && provider->default_base_url)
        target->base_url = provider->default_base_url;
    size_t length = strlen(target->base_url);
    while (length && target->base_url[length - 1] == '/')
        length--;
    target->base_url = arena_copy(arena, target->base_url, length);
    if (!target->name)
        target->name = *target->model ? target->model : provider->name;
}

/* The index it got; -1: *error. */
static int add_target(struct arena *arena, struct model_targets *targets, struct model_target target,
    const char *provider, const char *setting, const char **error) {
    target.provider = model_provider_find(provider);
    if (!target.provider) {
        *error = arena_format(
            arena, "%s: '%.40s' is not one of mock, openai, gemini, anthropic", setting, provider);
        return -1;
    }
    fill_in(arena, &target);
    const char *wrong = wrong_with(&target);
    if (!wrong && targets->count == TARGETS_MAX)
        wrong = "there are too many models";
    if (!wrong && model_targets_find(targets, target.name) >= 0)
        wrong = "there are two models of this name";
    if (wrong) {
        *error = arena_format(arena, "%s: model '%.*s': %s", setting, TARGET_NAME_MAX, target.name, wrong);
        return -1;
    }
    targets->items[targets->count] = target;
    return targets->count++;
}

static bool read_first(struct arena *arena, const struct model_configuration *configuration,
    struct model_targets *targets, const char **error) {
    const char *provider = first_provider(configuration);
    struct model_target first = {.model = configuration->model,
        .base_url = configuration->base_url,
        .api_key = *configuration->api_key ? configuration->api_key : provider_key(configuration, provider)};
    if (strcmp(provider, "mock") == 0)
        first = (struct model_target){.model = "", .base_url = "", .api_key = ""};
    return add_target(arena, targets, first, provider, "LLM_PROVIDER", error) >= 0;
}

int model_targets_find(const struct model_targets *targets, const char *name) {
    for (int i = 0; i < targets->count; i++)
        if (strcmp(targets->items[i].name, name) == 0)
            return i;
    return -1;
}

static const char *key_for(const struct model_configuration *configuration, const char *provider) {
    const char *key = provider_key(configuration, provider);
    if (!*key && strcmp(provider, first_provider(configuration)) == 0)
        key = configuration->api_key;
    return key;
}

int model_targets_add(struct arena *arena, const struct model_configuration *configuration,
    struct model_targets *targets, const char *setting, const char *entry, const char **error) {
    int known = model_targets_find(targets, entry);
    if (known >= 0)
        return known;
    const char *equals = strchr(entry, '='), *start = equals ? equals + 1 : entry;
    const char *colon = strchr(start, ':'), *at = strstr(start, "@http");
    if (!colon || (at && at < colon)) {
        *error = arena_format(arena,
            "%s: '%.100s' is neither the name of a model that is configured nor name=provider:model@base_url",
            setting, equals ? entry : start);
        return -1;
    }
    struct model_target target = {
        .model = arena_copy(arena, colon + 1, at ? (size_t)(at - colon - 1) : strlen(colon + 1)),
        .base_url = at ? arena_string(arena, at + 1) : ""};
    const char *provider = arena_copy(arena, start, (size_t)(colon - start));
    target.name = equals ? arena_copy(arena, entry, (size_t)(equals - entry)) : NULL;
    target.api_key = key_for(configuration, provider);
    return add_target(arena, targets, target, provider, setting, error);
}

/* Each entry of a list, without the white space around it; false when one of them is wrong. */
static bool read_list(struct arena *arena, const struct model_configuration *configuration,
    struct model_targets *targets, const char *setting, const char *list, const char **error) {
    bool fallbacks = strcmp(setting, "LLM_FALLBACKS") == 0;
    for (const char *end; *list; list = *end ? end + 1 : end) {
        list += strspn(list, " \t");
        end = strchrnul(list, ',');
        size_t length = (size_t)(end - list);
        while (length && strchr(" \t", list[length - 1]))
            length--;
        if (!length)
            continue;
        int index =
            model_targets_add(arena, configuration, targets, setting, arena_copy(arena, list, length), error);
        if (index < 0)
            return false;
        if (fallbacks && targets->fallback_count < TARGETS_MAX)
            targets->fallbacks[targets->fallback_count++] = index;
    }
    return true;
}

bool model_targets_read(struct arena *arena, const struct model_configuration *configuration,
    struct model_targets *targets, const char **error) {
    *targets = (struct model_targets){0};
    return read_first(arena, configuration, targets, error) &&
           read_list(arena, configuration, targets, "LLM_MODELS", configuration->models, error) &&
           read_list(arena, configuration, targets, "LLM_FALLBACKS", configuration->fallbacks, error);
}

const char *model_targets_names(struct arena *arena, const struct model_targets *targets) {
    struct buffer names = buffer_in(arena);
    for (int i = 0; i < targets->count; i++)
        buffer_format(&names, "%s%s", i ? ", " : "", targets->items[i].name);
    return buffer_text(&names);
}
