/* Finds the fixed text that an instruction wants said, "moo" in "whatever is asked, just say moo". */
#include "shared/model/mock/literal.h"

#include <string.h>
#include <strings.h>

#include "shared/arena.h"

enum { LITERAL_WORDS_MAX = 10 };

static bool is_any(const struct mock_word *word, const char *const *list) {
    for (; *list; list++)
        if (mock_word_is(word, *list))
            return true;
    return false;
}

/* Words between "answer" and the text itself: "answer (every question with exactly the word) moo". */
static bool leads_in(const struct mock_word *word, unsigned verb) {
    static const char *const words[] = {"with", "by", "saying", "the", "but", "back", "following", "single",
        "simply", "other", "than", "else", "a", "one", "exact", "same", "out", "them", "me", "us", "two",
        "three", "of", "phrase", "literal", "fixed", "is", "be", "must", "should", "shall", "it", "anyone",
        NULL};
    static const char *const objects[] = {
        "to", "user", "user's", "their", "message", "for", "asks", "says", "asked", "in", NULL};
    if (word->quoted)
        return false;
    if ((word->classes & (WORD_ONLY | WORD_TOTAL | WORD_LITERAL)) || is_any(word, words))
        return true;
    return (verb & WORD_ANSWER) && ((word->classes & WORD_REQUEST) || is_any(word, objects));
}

/* Where the text ends: "moo (to everything)", "moo (and nothing else)". */
static bool ends_literal(const struct mock_words *words, size_t i, size_t to) {
    static const char *const always[] = {"regardless", "whatever", "always", "only", "instead", "whenever",
        "when", "without", "no", "forever", "irrespective", "please", "until", "if", NULL};
    static const char *const before_total[] = {"to", "for", "every", "each", "and", "in", "at", "as", NULL};
    const struct mock_word *word = &words->items[i];
    if (is_any(word, always))
        return true;
    if (!is_any(word, before_total) || i + 1 >= to)
        return mock_word_is(word, "nothing");
    const struct mock_word *next = &words->items[i + 1];
    static const char *const nexts[] = {"nothing", "the", "your", "response", "time", "stop", "a", "no",
        "not", "do", "never", "users", "questions", NULL};
    return (next->classes & (WORD_TOTAL | WORD_REQUEST | WORD_USER | WORD_NOT)) || is_any(next, nexts);
}

static bool first_word_fits(const struct mock_word *word, unsigned verb) {
    static const char *const misfits[] = {"what", "how", "why", "if", "that", "so", "whether", "which", "who",
        "when", "something", "an", "your", "their", "in", "as", "to", "about", "like", "from", "for", "my",
        "his", "its", "these", "those", "this", "questions", "using", "according", "both", "after", "before",
        "and", "or", "whose", NULL};
    if (is_any(word, misfits) || (word->classes & (WORD_USER | WORD_NOT)))
        return false;
    bool adverb = word->length > 4 && strncasecmp(word->start + word->length - 2, "ly", 2) == 0;
    return !((verb & WORD_ANSWER) && adverb);
}

/* A form ("code", "a haiku", "JSON") is no text to be said. */
static bool is_form(const struct mock_word *word) {
    return !word->quoted &&
           (word->classes & (WORD_CODE | WORD_VERSE | WORD_PROSE | WORD_JSON | WORD_TRANSLATE |
                                WORD_SUMMARISE | WORD_FENCE | WORD_REFINE | WORD_REFINED | WORD_REQUEST)) &&
           !(word->classes & WORD_SAY);
}

static const char *copy_literal(struct arena *arena, const struct mock_words *words, size_t from, size_t to) {
    const struct mock_word *first = &words->items[from], *last = &words->items[to - 1];
    if (to - from == 1 && first->quoted)
        return arena_copy(arena, first->start, first->length);
    const char *start = first->start - (first->quoted ? 1 : 0), *end = last->start + last->length;
    /* print("x") is one text with its brackets. */
    end += last->quoted && strchr("\"'`", *end) && *end ? 1 : 0;
    end += memchr(start, '(', (size_t)(end - start)) && *end == ')' ? 1 : 0;
    size_t length = (size_t)(end - start);
    if (length == 11 && strncasecmp(start, "hello world", 11) == 0)
        return "Hello World";
    return arena_copy(arena, start, length);
}

/* "yes or no" leaves a choice; the first is taken. */
static size_t cut_choice(const struct mock_words *words, size_t from, size_t to) {
    for (size_t i = from + 1; i < to; i++)
        if (mock_word_is(&words->items[i], "or"))
            return i;
    return to;
}

static size_t find_end(const struct mock_words *words, size_t from, size_t to) {
    size_t end = from + 1;
    while (end < to && !ends_literal(words, end, to) && !words->items[end].negated)
        end++;
    return cut_choice(words, from, end);
}

bool mock_read_literal(struct arena *arena, const struct mock_words *words, size_t verb, size_t to,
    struct mock_literal *literal) {
    unsigned classes = words->items[verb].classes;
    size_t from = verb + 1;
    *literal = (struct mock_literal){0};
    for (; from < to && leads_in(&words->items[from], classes); from++) {
        literal->announced |=
            words->items[from].classes & WORD_LITERAL && !(words->items[from].classes & WORD_REQUEST);
        literal->total |= words->items[from].classes & WORD_TOTAL;
    }
    if (from == to || !first_word_fits(&words->items[from], classes))
        return false;
    size_t end = find_end(words, from, to);
    literal->quoted = words->items[from].quoted;
    if (literal->quoted)
        end = from + 1;
    for (size_t i = from; i < end; i++)
        if (is_form(&words->items[i]) && !literal->announced)
            return false;
    if (end - from > LITERAL_WORDS_MAX)
        return false;
    literal->text = copy_literal(arena, words, from, end);
    return true;
}
