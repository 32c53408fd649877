/* What a noun phrase names: code, verse, prose, the request itself, or a fixed voice or language. */
#include <string.h>

#include "shared/model/mock/mock.h"

static enum mock_product product_of(const struct mock_word *word) {
    static const struct {
        unsigned class;
        enum mock_product product;
    } table[] = {
        {WORD_VERSE, PRODUCT_VERSE},
        {WORD_REQUEST, PRODUCT_REFINED},
        {WORD_CODE, PRODUCT_CODE},
        {WORD_PROSE, PRODUCT_PROSE},
        {WORD_SUMMARISE, PRODUCT_SUMMARY},
        {WORD_TRANSLATE, PRODUCT_TRANSLATION},
        {WORD_JSON, PRODUCT_JSON},
        {WORD_HELP, PRODUCT_HELP},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (word->classes & table[i].class)
            return table[i].product;
    return PRODUCT_CHAT;
}

/* Helpers say less than any other noun, and "request" less than what stands beside it. */
static bool outweighs(enum mock_product found, enum mock_product next) {
    if (next == PRODUCT_HELP)
        return found != PRODUCT_CHAT;
    return next == PRODUCT_JSON && found == PRODUCT_CODE;
}

enum mock_product mock_phrase_product(
    const struct mock_words *words, size_t from, size_t to, size_t *unknown, size_t *place) {
    enum mock_product found = PRODUCT_CHAT;
    *unknown = 0;
    for (size_t i = from; i < to; i++) {
        const struct mock_word *word = &words->items[i];
        if (word->negated || word->quoted)
            continue;
        enum mock_product next = product_of(word);
        bool named = found != PRODUCT_CHAT && found != PRODUCT_HELP;
        /* "a haiku describing …", "code that …": the head noun has passed. */
        if (named && (word->classes & (WORD_LINK | WORD_EXPLAIN) || mock_word_is(word, "a") ||
                         mock_word_is(word, "the")))
            break;
        if ((word->classes & WORD_TOPIC) && *unknown)
            break;
        if (next == PRODUCT_CHAT)
            *unknown += !(word->classes & ~(unsigned)WORD_JUDGE);
        else if (!outweighs(found, next)) {
            found = next;
            *place = i;
        }
    }
    return found;
}

static bool names_code_beside(const struct mock_words *words, size_t i) {
    bool after = i + 1 < words->count && (words->items[i + 1].classes & WORD_CODE);
    return after ||
           (i && (mock_word_is(&words->items[i - 1], "in") || mock_word_is(&words->items[i - 1], "using")));
}

static bool has_capital(const struct mock_word *word) {
    return word->start[0] >= 'A' && word->start[0] <= 'Z';
}

static const struct {
    const char *word, *language, *name;
} LANGUAGES[] = {
    {"python", "python", "Python"},
    {"python3", "python", "Python"},
    {"javascript", "javascript", "JavaScript"},
    {"js", "javascript", "JavaScript"},
    {"typescript", "typescript", "TypeScript"},
    {"java", "java", "Java"},
    {"rust", "rust", "Rust"},
    {"golang", "go", "Go"},
    {"sql", "sql", "SQL"},
    {"bash", "bash", "Bash"},
    {"shell", "bash", "Bash"},
    {"ruby", "ruby", "Ruby"},
    {"php", "php", "PHP"},
    {"c++", "cpp", "C++"},
    {"cpp", "cpp", "C++"},
};

const char *mock_language_name(const char *language) {
    for (size_t i = 0; i < sizeof LANGUAGES / sizeof *LANGUAGES; i++)
        if (strcmp(LANGUAGES[i].language, language) == 0)
            return LANGUAGES[i].name;
    return "C";
}

/* The language that the word at i names, or NULL. */
static const char *language_at(const struct mock_words *words, size_t i) {
    const struct mock_word *word = &words->items[i];
    if (word->length <= 2 && has_capital(word) && names_code_beside(words, i)) {
        if (mock_word_is(word, "c"))
            return "c";
        if (mock_word_is(word, "go"))
            return "go";
    }
    for (size_t row = 0;
         (word->classes & WORD_CODE) && !word->negated && row < sizeof LANGUAGES / sizeof *LANGUAGES; row++)
        if (mock_word_is(word, LANGUAGES[row].word))
            return LANGUAGES[row].language;
    return NULL;
}

const char *mock_code_language(const struct mock_words *words) {
    const char *language = NULL;
    for (size_t i = 0; i < words->count && !language; i++)
        language = language_at(words, i);
    return language;
}

/* Whether a verb of making stands before i with at most four words between and no preposition. */
static bool is_made(const struct mock_words *words, size_t i) {
    for (size_t back = 1; back <= 5 && back <= i; back++) {
        const struct mock_word *word = &words->items[i - back];
        if (word->classes & WORD_MAKE)
            return !word->negated;
        if (words->items[i - back + 1].before == BREAK_SENTENCE || (word->classes & WORD_LINK))
            return false;
    }
    return false;
}

static bool follows_in(const struct mock_words *words, size_t i) {
    return i && mock_word_in(&words->items[i - 1], "in using with");
}

const char *mock_asked_language(const struct mock_words *words) {
    for (size_t i = 0; i < words->count; i++) {
        const char *language = language_at(words, i);
        if (language && (is_made(words, i) || follows_in(words, i)))
            return language;
    }
    return NULL;
}

/* "Write everything in Go": the sentence up to the language speaks of all cases. */
static bool is_for_all(const struct mock_words *words, size_t i) {
    unsigned classes = 0;
    for (;; i--) {
        classes |= words->items[i].negated ? 0 : words->items[i].classes;
        if (!i || words->items[i].before == BREAK_SENTENCE)
            return (classes & WORD_MAKE) && (classes & (WORD_ONLY | WORD_TOTAL));
    }
}

bool mock_insists_on_language(const struct mock_words *words) {
    static const char only[] = "only just solely merely exclusively purely strictly";
    for (size_t i = 0; i < words->count; i++) {
        if (!language_at(words, i))
            continue;
        bool beside = (i && mock_word_in(&words->items[i - 1], only)) ||
                      (i + 1 < words->count && mock_word_in(&words->items[i + 1], only));
        if (beside || is_made(words, i) || (follows_in(words, i) && is_for_all(words, i)))
            return true;
    }
    return false;
}

bool mock_is_significant(const struct mock_word *word) {
    unsigned general = WORD_MAKE | WORD_SAY | WORD_FILLER | WORD_LINK | WORD_TOTAL | WORD_ONLY | WORD_NOT |
                       WORD_NO | WORD_IF | WORD_USER | WORD_EXPLAIN | WORD_HELP;
    static const char *const nouns[] = {"function", "functions", "code", "program", "script", "python",
        "class", "method", "implementation", "snippet", "algorithm", "javascript", "request", "task",
        "include"};
    if (word->quoted || (word->classes & general) || word->length < 2)
        return false;
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (mock_word_is(word, nouns[i]))
            return false;
    return true;
}
