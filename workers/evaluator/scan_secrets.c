/* Walks through an answer once and looks at each word, number and sign that may begin a secret. */
#include "workers/evaluator/scan_secrets.h"

#include "workers/evaluator/scan_assigned.h"
#include "workers/evaluator/scan_keys.h"
#include "workers/evaluator/scan_numbers.h"
#include "workers/evaluator/scan_text.h"

/* A number behind "0." is a fraction. */
static bool in_fraction(struct text whole, const char *at) {
    return at - whole.at >= 2 && at[-1] == '.' && byte_is_digit(at[-2]);
}

/* Looks at the word at *at, and moves *at behind it. */
static bool word_is_sensitive(struct text whole, const char **at) {
    struct text word = {*at, *at};
    while (word.end < whole.end && byte_in_word(*word.end))
        word.end++;
    *at = word.end;
    return key_begins(whole, word.at) || assigned_literal(whole, word);
}

static bool sensitive_at(struct text whole, const char **at) {
    struct text rest = {*at, whole.end};
    if (byte_is_digit(*rest.at) && !in_fraction(whole, rest.at)) {
        if (key_begins(whole, rest.at) || number_is_sensitive(whole.at, at, whole.end))
            return true;
        while (*at < whole.end && byte_in_word(**at))
            (*at)++;
        return false;
    }
    if (byte_in_word(*rest.at))
        return word_is_sensitive(whole, at);
    (*at)++;
    if (*rest.at == '-')
        return private_key_begins(rest);
    return *rest.at == ':' && text_starts(rest, "://") && url_has_credentials(whole, rest.at);
}

bool scan_no_sensitive_data(const char *output) {
    struct text whole = text_of(output);
    for (const char *at = whole.at; at < whole.end;)
        if (sensitive_at(whole, &at))
            return false;
    return true;
}
