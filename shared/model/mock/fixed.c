/* Clauses that want a fixed text said, or nothing at all. */
#include <string.h>

#include "shared/model/mock/literal.h"
#include "shared/model/mock/reading.h"

/* 0: no text to say. */
static int weigh_literal(const struct reading *reading, const struct mock_literal *literal, unsigned verb) {
    bool total = literal->total || (reading->sentence & WORD_TOTAL) || reading->firm;
    bool only = reading->clause & WORD_ONLY || reading->sentence & WORD_ONLY;
    if (mock_is_conditional(reading) && !total)
        return 0;
    if (total || (only && (literal->quoted || literal->announced)))
        return ABSOLUTE;
    if (literal->quoted || literal->announced)
        return INSTRUCTION;
    /* "reply with kindness" is no text, the world's best known greeting is one. */
    if (!only)
        return verb & WORD_ANSWER && strcmp(literal->text, "Hello World") != 0 ? 0 : SOMETHING;
    /* "always return results" is no text, "just print hello" is one. */
    return (verb & WORD_MAKE) && !reading->strict ? WEAK : ABSOLUTE;
}

static bool speaks(const struct mock_word *word) {
    return !word->negated && (word->classes & (WORD_SAY | WORD_ECHO) || mock_word_is(word, "write") ||
                                 mock_word_is(word, "send"));
}

bool mock_read_fixed(struct reading *reading) {
    for (size_t i = reading->from; i < reading->to; i++) {
        const struct mock_word *word = &reading->words.items[i];
        struct mock_literal literal;
        if (!speaks(word) || !mock_read_literal(reading->arena, &reading->words, i, reading->to, &literal))
            continue;
        /* "write" takes a text to say only from quotes: everything else is written about. */
        if (!(word->classes & WORD_SAY) && !literal.quoted && !literal.announced)
            continue;
        int strength = weigh_literal(reading, &literal, word->classes);
        struct directive more = {.literal = literal.text};
        if (strength) {
            mock_direct(reading, PRODUCT_FIXED, strength, &more);
            return true;
        }
    }
    return false;
}

static bool is_empty_answer(const struct reading *reading, size_t i) {
    static const char *const nouns[] = {"string", "text", "response", "answer", "output", "reply", "message",
        "content", "characters", "words", "word", "nothing", "answers", "responses", NULL};
    const struct mock_word *word = &reading->words.items[i];
    bool empty = mock_word_is(word, "empty") || mock_word_is(word, "blank") || mock_word_is(word, "no");
    return empty && mock_find_word(reading, i + 1, nouns) <= i + 2 &&
           mock_find_word(reading, i + 1, nouns) < reading->to;
}

static bool is_left_empty(const struct reading *reading, size_t i) {
    static const char *const words[] = {"leave", "stay", "keep", "be", "remain", "is", "are", "stays", NULL};
    const struct mock_word *word = &reading->words.items[i];
    bool quiet = mock_word_is(word, "silent") || mock_word_is(word, "quiet") || mock_word_is(word, "mute");
    bool empty = (mock_word_is(word, "empty") || mock_word_is(word, "blank")) && (reading->clause & WORD_SAY);
    return (quiet || empty) && mock_find_word(reading, reading->from, words) < i;
}

static bool says_nothing(const struct reading *reading, size_t i) {
    static const char *const more[] = {
        "else", "but", "except", "other", "more", "besides", "beyond", "further", NULL};
    static const char *const verbs[] = {"do", "does", "produce", "write", "give", "send", "contribute", NULL};
    if (!mock_word_is(&reading->words.items[i], "nothing"))
        return false;
    bool verb = mock_find_word(reading, reading->from, verbs) < i;
    for (size_t k = reading->from; k < i; k++)
        verb |= reading->words.items[k].classes & WORD_SAY;
    return verb && (i + 1 == reading->to || mock_find_word(reading, i + 1, more) != i + 1);
}

bool mock_read_silence(struct reading *reading) {
    bool only = reading->clause & WORD_ONLY || reading->sentence & WORD_TOTAL;
    for (size_t i = reading->from; i < reading->to && !mock_is_conditional(reading); i++) {
        if (says_nothing(reading, i) || is_left_empty(reading, i)) {
            mock_direct(reading, PRODUCT_SILENCE, ABSOLUTE, NULL);
            return true;
        }
        if (is_empty_answer(reading, i) && (reading->clause & (WORD_SAY | WORD_MAKE))) {
            mock_direct(reading, PRODUCT_SILENCE, only ? ABSOLUTE : WEAK, NULL);
            return true;
        }
    }
    return false;
}
