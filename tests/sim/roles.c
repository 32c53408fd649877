/* Tells roles apart by what a system prompt asks for, not by its wording. */
#include "tests/sim/roles.h"

#include <stdbool.h>
#include <string.h>

#include "tests/sim/words.h"

const char *const ROLE_NAMES[ROLES] = {
    [ROLE_AUTHOR] = "author",
    [ROLE_REFINER] = "refiner",
    [ROLE_JUDGE] = "judge",
    [ROLE_ANALYST] = "analyst",
    [ROLE_PROMPT_AUTHOR] = "prompt_author",
};

static bool in_one_sentence(const struct words *words, const char *pattern) {
    for (size_t from = 0; from < words->count;) {
        size_t end = words_sentence_end(words, from);
        if (pattern_find(words, from, end, pattern) == PATTERN_PRESENT)
            return true;
        from = end;
    }
    return false;
}

static bool anywhere(const struct words *words, const char *pattern) {
    return pattern_find(words, 0, words->count, pattern) != PATTERN_ABSENT;
}

/* Words that stand side by side, "system prompt". */
static bool side_by_side(const struct words *words, const char *first, const char *second) {
    for (size_t i = 0; i + 1 < words->count; i++)
        if (word_in(words->items[i].text, first) && word_in(words->items[i + 1].text, second))
            return true;
    return false;
}

static bool asks_for_prompt(const struct words *words) {
    return (side_by_side(words, "system|improved|better|revised|repaired|new", "prompt|prompts")) &&
           in_one_sentence(words, "write|writes|rewrite|rewrites|improve|improves|repair|repairs|revise|"
                                  "propose|compose|author|merge|"
                                  "create|answer|reply|return prompt|prompts") &&
           anywhere(words, "analysis|failure|failures|failed|candidate|weaknesses");
}

enum role role_of(struct arena *arena, const char *system) {
    if (!*system)
        return ROLE_AUTHOR;
    struct words words = words_read(arena, system);
    if (strstr(system, "failure_patterns"))
        return ROLE_ANALYST;
    if (asks_for_prompt(&words))
        return ROLE_PROMPT_AUTHOR;
    if (anywhere(&words, "relevance quality safety judge*|rate|rates|score*|evaluat*|assess*"))
        return ROLE_JUDGE;
    if (in_one_sentence(&words, "refine|refines|rewrite|rephrase|clarif* request|requests|question|input") &&
        anywhere(&words, "-answer|-reply|-carry"))
        return ROLE_REFINER;
    return ROLE_AUTHOR;
}
