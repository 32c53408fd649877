/* What models cost, by the price file that LLM_PRICES names. Money is counted in whole 10^-9 US dollars, so
 * that sums are exact. */
#ifndef SHARED_MODEL_PRICES_H
#define SHARED_MODEL_PRICES_H

#include <stdint.h>

struct arena;
struct model_answer;

/* In 10^-12 US dollars for a token. */
struct price {
    int64_t input, cached, cache_write, output;
};

/* One row of the file: "<provider>/<model>", the model as its API knows it. */
struct priced_model {
    const char *name;
    struct price price;
};

struct prices {
    struct priced_model *models;
    int count;
};

enum { PRICES_BYTES_MAX = 1 << 20 };

/* Reads the text of a price file: a JSON object whose members are "<provider>/<model>": {"input", "cached",
 * "cache_write", "output"}, in US dollars for a million tokens (schemas/model-price.schema.json), and
 * "as_of": any text. NULL: it is wrong, and *why, one line, says how. All of it lives in arena; bytes are
 * borrowed for the call. */
const struct prices *prices_read(struct arena *arena, const char *bytes, uint64_t length, const char **why);

/* The file at path the same way. A file that cannot be read, or is wrong, is one line on standard error and
 * exit code 2. */
const struct prices *prices_load(struct arena *arena, const char *path);

/* NULL: it has no price. prices may be NULL. */
const struct price *prices_find(const struct prices *prices, const char *provider, const char *model);

/* (prompt − cached − cache writes) × input + cached × cached + cache writes × cache_write + completion ×
 * output, rounded to the nearest 10^-9 US dollars. prompt_tokens includes the cached ones and the cache
 * writes, so each token of the prompt is charged once, at the price of its kind; where a provider reports
 * more of those than of the prompt, what is left of the prompt is 0. Each count is taken as at most 2^31 - 1.
 */
int64_t price_cost_nanousd(const struct price *price, const struct model_answer *answer);

/* The most that a call can cost whose prompt has at most prompt_tokens tokens and whose answer at most
 * completion_tokens. */
int64_t price_most_nanousd(const struct price *price, int64_t prompt_tokens, int64_t completion_tokens);

#endif
