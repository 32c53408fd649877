/* Reads the price file, finds a model's prices, and multiplies. */
#include "shared/model/prices.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/model_price.h"
#include "shared/arena.h"
#include "shared/json.h"
#include "shared/model/model.h"

enum { NAME_BYTES_MAX = 400 };

static const int64_t TOKENS_MAX = INT32_MAX;

/* US dollars for a million tokens are 10^6 of 10^-12 for one. */
static int64_t of_one_token(double usd_for_a_million) {
    return llround(usd_for_a_million * 1e6);
}

static bool is_name(const char *name) {
    const char *slash = strchr(name, '/');
    return slash && slash > name && slash[1] && strlen(name) <= NAME_BYTES_MAX;
}

static const char *read_model(
    struct arena *arena, const cJSON *member, struct priced_model *model, struct json_errors *errors) {
    struct model_price read;
    if (!is_name(member->string))
        return "a name that is not <provider>/<model>";
    if (!model_price_decode_json(arena, member, &read, errors))
        return json_first_error(arena, arena_format(arena, "\"%s\" has no prices", member->string), errors);
    model->name = arena_string(arena, member->string);
    model->price = (struct price){.input = of_one_token(read.input),
        .cached = of_one_token(read.has_cached ? read.cached : read.input),
        .cache_write = of_one_token(read.has_cache_write ? read.cache_write : read.input),
        .output = of_one_token(read.output)};
    return NULL;
}

const struct prices *prices_read(struct arena *arena, const char *bytes, uint64_t length, const char **why) {
    struct json_errors errors = {0};
    const cJSON *root = json_parse(arena, bytes, length, &errors);
    if (!root || !cJSON_IsObject(root)) {
        *why = root ? "it is no JSON object" : json_first_error(arena, "it is no JSON", &errors);
        return NULL;
    }
    struct prices *prices = arena_alloc(arena, sizeof *prices);
    prices->models = arena_alloc(arena, sizeof *prices->models * (size_t)(cJSON_GetArraySize(root) + 1));
    for (const cJSON *member = root->child; member; member = member->next) {
        if (strcmp(member->string, "as_of") == 0)
            continue;
        *why = read_model(arena, member, &prices->models[prices->count++], &errors);
        if (*why)
            return NULL;
    }
    return prices;
}

static void fail(const char *path, const char *why) {
    fprintf(stderr, "LLM_PRICES: %s: %s\n", path, why);
    exit(2);
}

const struct prices *prices_load(struct arena *arena, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path, strerror(errno));
    char *bytes = arena_alloc(arena, PRICES_BYTES_MAX + 1);
    size_t length = fread(bytes, 1, PRICES_BYTES_MAX + 1, file);
    if (ferror(file))
        fail(path, strerror(errno));
    fclose(file);
    if (length > PRICES_BYTES_MAX)
        fail(path, "it is longer than 1 MiB");
    const char *why;
    const struct prices *prices = prices_read(arena, bytes, length, &why);
    if (!prices)
        fail(path, why);
    return prices;
}

const struct price *prices_find(const struct prices *prices, const char *provider, const char *model) {
    size_t length = strlen(provider);
    for (int i = 0; prices && i < prices->count; i++) {
        const char *name = prices->models[i].name;
        if (strncmp(name, provider, length) == 0 && name[length] == '/' &&
            strcmp(name + length + 1, model) == 0)
            return &prices->models[i].price;
    }
    return NULL;
}

static int64_t bounded(int64_t tokens) {
    return tokens < 0 ? 0 : tokens < TOKENS_MAX ? tokens : TOKENS_MAX;
}

/* 4 × 2^31 tokens at 10^10 each do not fit into 64 bits. */
static int64_t to_nanousd(__int128 picousd) {
    return (int64_t)((picousd + 500) / 1000);
}

int64_t price_cost_nanousd(const struct price *price, const struct model_answer *answer) {
    int64_t cached = bounded(answer->cached_tokens), written = bounded(answer->cache_write_tokens);
    int64_t plain = bounded(bounded(answer->prompt_tokens) - cached - written);
    return to_nanousd((__int128)plain * price->input + (__int128)cached * price->cached +
                      (__int128)written * price->cache_write +
                      (__int128)bounded(answer->completion_tokens) * price->output);
}

int64_t price_most_nanousd(const struct price *price, int64_t prompt_tokens, int64_t completion_tokens) {
    int64_t dearest = price->input > price->cache_write ? price->input : price->cache_write;
    if (dearest < price->cached)
        dearest = price->cached;
    return to_nanousd((__int128)bounded(prompt_tokens) * dearest +
                      (__int128)bounded(completion_tokens) * price->output + 499);
}
