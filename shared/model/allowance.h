/* The rate headers of an answer: what is left of a provider's limits. */
#ifndef SHARED_MODEL_ALLOWANCE_H
#define SHARED_MODEL_ALLOWANCE_H

#include "shared/model/model.h"

struct http_call_answer;

/* The headers' names; NULL: the provider has none. */
struct allowance_headers {
    const char *requests_left, *requests_reset, *tokens_left, *tokens_reset;
};

/* Sets requests_left and tokens_left; within http_client_post's done. */
void allowance_read(
    const struct allowance_headers *names, const struct http_call_answer *http, struct model_answer *answer);

/* "1s", "6m0s", "120ms", "0.5" (seconds), or a time of RFC 3339 as seen at now_us (since 1970), in
 * milliseconds, at most a day; -1: none of these. */
int64_t allowance_reset_ms(const char *text, int64_t now_us);

#endif
