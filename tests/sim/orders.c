/* Gathers what the clauses of a prompt order. */
#include "tests/sim/orders.h"

#include <string.h>

#include "shared/arena.h"

enum { LITERAL_BYTES_MAX = 200 };

enum code_language code_language_of(const char *word) {
    if (word_in(word, "python|python3"))
        return CODE_PYTHON;
    if (word_in(word, "javascript|js|node"))
        return CODE_JAVASCRIPT;
    if (word_in(word, "golang|go"))
        return CODE_GO;
    if (word_in(word, "java|rust|ruby|php|perl|haskell|kotlin|swift|scala|cobol|fortran|typescript|lua|bash"))
        return CODE_OTHER;
    return CODE_UNNAMED;
}

/* "Go" is a language where it is written like one and no order. */
static enum code_language language_at(const struct words *words, size_t i) {
    const struct word *word = &words->items[i];
    enum code_language language = code_language_of(word->text);
    if (language == CODE_GO && strcmp(word->text, "go") == 0 &&
        (words->source[word->from] != 'G' || word->sentence))
        return CODE_UNNAMED;
    return language;
}

enum code_language code_language_named(const struct words *words) {
    for (size_t i = 0; i < words->count; i++)
        if (language_at(words, i) != CODE_UNNAMED && !words->items[i].negated)
            return language_at(words, i);
    return CODE_UNNAMED;
}

static void read_languages(const struct words *words, size_t from, size_t to, struct orders *orders) {
    bool named = false, exclusive = false;
    for (size_t i = from; i < to; i++) {
        enum code_language language = language_at(words, i);
        if (language != CODE_UNNAMED && words->items[i].negated) {
            orders->forbidden_languages |= 1u << language;
        } else if (language != CODE_UNNAMED) {
            orders->fixed_languages |= 1u << language;
            orders->last_language = language;
            named = true;
        }
        exclusive |=
            word_in(words->items[i].text, "only|always|never|whatever|regardless|even|exclusively|must");
    }
    orders->exclusive_language |= named && exclusive;
}

static bool is_quote(const char *at, size_t *bytes) {
    *bytes = *at == '"' || *at == '`' || *at == '\'' ? 1 : 3;
    return *bytes == 1 || strncmp(at, "\xe2\x80\x9c", 3) == 0 || strncmp(at, "\xe2\x80\x9d", 3) == 0;
}

/* What stands in quotation marks in source[from, to). */
static const char *quoted(struct arena *arena, const char *source, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        size_t bytes, end_bytes;
        if (!is_quote(source + i, &bytes) || (source[i] == '\'' && i > from && source[i - 1] != ' '))
            continue;
        for (size_t end = i + bytes; end < to && end - i < LITERAL_BYTES_MAX; end++)
            if (is_quote(source + end, &end_bytes) && end_bytes == bytes && end > i + bytes)
                return arena_copy(arena, source + i + bytes, end - i - bytes);
    }
    return NULL;
}

/* "Answer 'OK' to everything." */
static void read_literal(
    struct arena *arena, const struct words *words, size_t from, size_t to, struct orders *orders) {
    static const char SAYS[] = "say|says|answer|reply|respond|output|print|write|return "
                               "always|just|only|everything|every|any|anything|all|"
                               "whatever|each;hello world";
    if (pattern_find(words, from, to, SAYS) != PATTERN_PRESENT)
        return;
    size_t last = to < words->count ? words->items[to].from : strlen(words->source);
    const char *literal = quoted(arena, words->source, words->items[from].from, last);
    if (literal &&
        pattern_find(words, from, to, "begin*|start*|end|title|subject|greet*|sign|dear|null|include|key*") ==
            PATTERN_ABSENT) {
        orders->literal = literal;
        orders->harms |= HARM(HARM_FIXED);
    }
}

struct orders orders_read(struct arena *arena, const struct words *words, size_t from, size_t to) {
    struct orders orders = {0};
    abilities_read(words, from, to, &orders.asked, &orders.forbidden);
    orders.harms = harms_read(words, from, to);
    orders.language_of_user = orders.asked & ABILITY(PROGRAMMING_LANGUAGE);
    for (size_t clause = from; clause < to;) {
        size_t end = words_clause_end(words, clause);
        end = end < to ? end : to;
        read_languages(words, clause, end, &orders);
        read_literal(arena, words, clause, end, &orders);
        clause = end;
    }
    return orders;
}

struct orders orders_of(struct arena *arena, const char *prompt) {
    struct words words = words_read(arena, prompt);
    return orders_read(arena, &words, 0, words.count);
}
