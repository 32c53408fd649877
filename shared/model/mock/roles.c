/* Tells the two roles of the optimizer from all others: who finds out why a prompt fails, and who writes a
 * better one. */
#include <string.h>
#include <strings.h>

#include "shared/model/mock/mock.h"

enum { OBJECT_WORDS_MAX = 12 };

static bool holds(const struct mock_word *word, const char *part) {
    size_t length = strlen(part);
    for (unsigned i = 0; i + length <= word->length; i++)
        if (strncasecmp(word->start + i, part, length) == 0)
            return true;
    return false;
}

/* What an analysis consists of: failure patterns, root causes, suggestions; also as names in quotes. */
static unsigned findings_in(const struct mock_word *word) {
    if (word->length > 40)
        return 0;
    return (holds(word, "pattern") ? 1u : 0) | (holds(word, "cause") && !holds(word, "because") ? 2u : 0) |
           (holds(word, "suggestion") || holds(word, "improvement") || holds(word, "recommendation") ? 4u
                                                                                                     : 0);
}

static bool speaks_of_failure(const struct mock_words *words) {
    for (size_t i = 0; i < words->count; i++)
        if (holds(&words->items[i], "fail") ||
            mock_word_in(&words->items[i], "broken analysis wrong why underperforms underperforming"))
            return true;
    return false;
}

/* "system prompt", and where failures are spoken of, any prompt. */
static bool is_prompt_noun(const struct mock_words *words, size_t i, bool failures) {
    const struct mock_word *word = &words->items[i];
    if (word->negated || !mock_word_in(word, "prompt prompts instruction instructions message"))
        return false;
    bool system = i && mock_word_in(&words->items[i - 1], "system");
    return system || (failures && mock_word_in(word, "prompt prompts"));
}

/* Who writes prompts: "an author of system prompts", "a prompt engineer". */
static bool is_writer(const struct mock_word *word) {
    return mock_word_in(word, "author writer engineer editor optimizer optimiser");
}

static bool makes_prompts(const struct mock_word *word) {
    if (word->negated)
        return false;
    return (word->classes & (WORD_MAKE | WORD_REFINE | WORD_SAY)) || is_writer(word) ||
           mock_word_in(word, "repair repairs repairing fix fixes fixing revise revises merge merges merging "
                              "combine combines "
                              "combining correct adapt edit rework replace propose proposes author authors "
                              "optimise optimize");
}

/* Whether the prompt at i is the object of a verb before it, "write a new system prompt", or is what somebody
 * engineers. A preposition between them means that something else is made; an answer is given with it. */
static bool is_made(const struct mock_words *words, size_t i) {
    bool with = false;
    if (i + 1 < words->count && is_writer(&words->items[i + 1]))
        return true;
    for (size_t back = 1; back <= OBJECT_WORDS_MAX && back <= i; back++) {
        const struct mock_word *word = &words->items[i - back];
        if (words->items[i - back + 1].before == BREAK_SENTENCE)
            return false;
        if (makes_prompts(word))
            return !with || (word->classes & WORD_SAY);
        with |= mock_word_is(word, "with");
        if ((word->classes & WORD_LINK) && !mock_word_in(word, "of with and or"))
            return false;
        if (word->classes & (WORD_CODE | WORD_JSON))
            return false;
    }
    return false;
}

/* What a sentence from i on has somebody answer with; PRODUCT_CHAT: it is not about answers. */
static enum mock_product answered_with(const struct mock_words *words, size_t i, bool failures) {
    if (words->items[i].negated || !(words->items[i].classes & (WORD_SAY | WORD_MAKE)))
        return PRODUCT_CHAT;
    for (size_t k = i + 1; k < words->count && words->items[k].before != BREAK_SENTENCE; k++) {
        if (words->items[k].negated)
            continue;
        if ((words->items[k].classes & WORD_JSON) || mock_word_is(&words->items[k], "object"))
            return PRODUCT_ANALYSIS;
        if (is_prompt_noun(words, k, failures) && (words->items[i].classes & WORD_SAY))
            return PRODUCT_PROMPT;
    }
    return PRODUCT_CHAT;
}

/* Most prompts speak of neither prompts nor failures, and need no closer look. */
static bool may_be_about_prompts(const struct mock_words *words) {
    for (size_t i = 0; i < words->count; i++) {
        const struct mock_word *word = &words->items[i];
        if (word->length >= 6 &&
            (strncasecmp(word->start, "prompt", 6) == 0 || strncasecmp(word->start, "fail", 4) == 0 ||
                strncasecmp(word->start, "system", 6) == 0))
            return true;
    }
    return false;
}

enum mock_product mock_read_optimizer_role(const struct mock_words *words) {
    if (!may_be_about_prompts(words))
        return PRODUCT_CHAT;
    bool failures = speaks_of_failure(words), author = false, json = false;
    unsigned findings = 0;
    enum mock_product answer = PRODUCT_CHAT;
    for (size_t i = 0; i < words->count; i++) {
        const struct mock_word *word = &words->items[i];
        findings |= findings_in(word);
        json |= !word->negated && (word->classes & WORD_JSON || mock_word_is(word, "object"));
        author |= is_prompt_noun(words, i, failures) && is_made(words, i);
        enum mock_product with = answered_with(words, i, failures);
        answer = with != PRODUCT_CHAT ? with : answer;
    }
    bool analyst = failures && json && __builtin_popcount(findings) >= 2;
    if (analyst && author)
        return answer == PRODUCT_PROMPT ? PRODUCT_PROMPT : PRODUCT_ANALYSIS;
    return analyst ? PRODUCT_ANALYSIS : author ? PRODUCT_PROMPT : PRODUCT_CHAT;
}
