/* Splits text into words and clauses, and marks what each negation reaches. */
#include "tests/sim/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"

static const char APOSTROPHE[] = "\xe2\x80\x99";

/* A clause begins where one of these follows a comma or a conjunction. */
static const char STARTERS[] =
    "always|never|do|don't|you|please|no|not|without|with|avoid|make|ensure|be|keep|add|include|write|use|"
    "give|"
    "return|answer|reply|respond|show|start|begin|end|finish|close|cite|quote|put|set|mark|state|provide|"
    "output|"
    "produce|handle|raise|validate|check|document|annotate|format|list|mention|omit|skip|leave|ignore|only|"
    "just|"
    "say|print|tell|speak|stay|follow|explain|describe|summarise|summarize|extract|name|address|sign|insert|"
    "limit|let|reveal|talk|recommend|refuse|apologise|apologize|greet|must|should|finally|instead|then|it|"
    "there";

static const char NEGATORS[] =
    "not|no|never|without|avoid*|omit|omits|omitting|skip|skips|skipping|don't|doesn't|"
    "cannot|can't|won't|mustn't|shouldn't|isn't|aren't|nor|neither|exclude|excluding|refrain*|"
    "lack|lacks|lacking|leave";

/* After these a "not" forbids nothing. */
static const char HARMLESS_AFTER[] = "only|just|matter|more|longer|fewer|less|exceed*|exceeding|over|forget|"
                                     "hesitate|fail|omit|skip|leave|exception|miss";

static const char FORBIDDEN[] = "forbidden|prohibited|banned|unwanted|unnecessary|disallowed|unneeded";

static bool is_word_byte(unsigned char byte) {
    return isalnum(byte) || byte >= 0x80;
}

static bool is_apostrophe(const char *at) {
    return *at == '\'' || strncmp(at, APOSTROPHE, 3) == 0;
}

/* UTF-8's punctuation from U+2010 to U+203F stands between words. */
static bool is_punctuation(const char *at) {
    return (unsigned char)at[0] == 0xe2 && (unsigned char)at[1] == 0x80;
}

static bool in_word(const char *at) {
    return is_word_byte((unsigned char)*at) && !is_punctuation(at);
}

/* Copies the word at *at in lower case and moves *at behind it. */
static const char *take_word(struct arena *arena, const char **at) {
    const char *from = *at, *end = from;
    while (in_word(end) || (is_apostrophe(end) && in_word(end + (*end == '\'' ? 1 : 3))))
        end += is_apostrophe(end) && *end != '\'' ? 3 : 1;
    char *copy = arena_alloc(arena, (size_t)(end - from) + 1), *to = copy;
    for (const char *c = from; c < end;) {
        bool curly = is_apostrophe(c) && *c != '\'';
        *to++ = curly ? '\'' : (char)tolower((unsigned char)*c);
        c += curly ? 3 : 1;
    }
    *at = end;
    return copy;
}

/* What stands between two words: a full stop inside "3.5" or "e.g" ends nothing, nor does the end of a line
 * that was only wrapped. */
static void read_gap(const char *from, const char *to, struct word *word) {
    bool wrapped = to - from <= 2 && islower((unsigned char)*to);
    for (const char *c = from; c < to; c++) {
        bool last = c + 1 == to || isspace((unsigned char)c[1]) || strchr("\"')*`", c[1]);
        if (strchr("!?;", *c) || (*c == '\n' && !wrapped) || (*c == '.' && last))
            word->sentence = true;
        if (strchr(",:()", *c) || (*c == '-' && c > from && c[-1] == ' ') ||
            (is_punctuation(c) && (unsigned char)c[2] >= 0x93 && (unsigned char)c[2] <= 0x95))
            word->comma = true;
    }
}

static void tokenise(struct arena *arena, struct words *words) {
    const char *at = words->source, *gap = at;
    size_t capacity = 0;
    while (*at && words->count < WORDS_MAX) {
        if (!in_word(at)) {
            at++;
            continue;
        }
        if (words->count == capacity) {
            size_t grown = capacity ? capacity * 2 : 64;
            words->items = arena_grow(
                arena, words->items, capacity * sizeof *words->items, grown * sizeof *words->items);
            capacity = grown;
        }
        struct word *word = &words->items[words->count++];
        *word = (struct word){.from = (size_t)(at - words->source)};
        read_gap(gap, at, word);
        word->text = take_word(arena, &at);
        word->to = (size_t)(at - words->source);
        gap = at;
    }
    if (words->count)
        words->items[0].sentence = true;
}

size_t words_sentence_end(const struct words *words, size_t from) {
    size_t end = from + 1;
    while (end < words->count && !words->items[end].sentence)
        end++;
    return end < words->count ? end : words->count;
}

size_t words_clause_end(const struct words *words, size_t from) {
    size_t end = from + 1;
    while (end < words->count && !words->items[end].clause)
        end++;
    return end < words->count ? end : words->count;
}

static bool has_word(const struct words *words, size_t from, size_t to, const char *list) {
    for (size_t i = from; i < to; i++)
        if (word_in(words->items[i].text, list))
            return true;
    return false;
}

/* "Do not explain, apologise or greet" is one clause, "do not explain, give an example" is two. */
static bool begins_clause(const struct words *words, size_t i, size_t begin, size_t end) {
    const struct word *word = &words->items[i];
    bool conjoined = i > begin && word_in(words->items[i - 1].text, "and|but|then|while|so");
    if (word_in(word->text, "but|instead") && i > begin)
        return !(word_in(words->items[i - 1].text, "nothing|anything|all|everything"));
    if (!word->comma && !conjoined)
        return false;
    /* "Without a preamble: a greeting …" */
    if (word->comma && word_in(words->items[begin].text, "without|instead|rather"))
        return !has_word(words, i, end, "or|nor");
    if (!word_in(word->text, STARTERS))
        return false;
    bool again = word_in(word->text, "no|not|never|without|always|you|do|don't|only|just|instead");
    return again || !(has_word(words, begin, i, NEGATORS) && has_word(words, i, end, "or|nor"));
}

static void split_clauses(struct words *words) {
    for (size_t begin = 0; begin < words->count;) {
        size_t end = words_sentence_end(words, begin), clause = begin;
        words->items[begin].clause = true;
        for (size_t i = begin + 1; i < end; i++) {
            if (!begins_clause(words, i, clause, end))
                continue;
            words->items[i].clause = true;
            clause = i;
        }
        begin = end;
    }
}

static bool pair(const struct words *words, size_t i, size_t end, const char *first, const char *second) {
    return i + 1 < end && word_in(words->items[i].text, first) && word_in(words->items[i + 1].text, second);
}

/* A negation that negates what comes after it. */
static bool negates(const struct words *words, size_t i, size_t end) {
    if (pair(words, i, end, "instead", "of") || pair(words, i, end, "rather", "than") ||
        pair(words, i, end, "free", "of|from") || pair(words, i, end, "keep|stay", "away"))
        return true;
    const char *text = words->items[i].text;
    if (!word_in(text, NEGATORS))
        return false;
    if (word_in(text, "leave"))
        return has_word(words, i, end, "out|away|off");
    return i + 1 == end || !word_in(words->items[i + 1].text, HARMLESS_AFTER);
}

/* "Docstrings are not needed": what is forbidden stands before. */
static bool negates_subject(const struct words *words, size_t i, size_t end) {
    return word_in(words->items[i].text, FORBIDDEN) ||
           pair(words, i, end, "not|aren't|isn't|never|no",
               "needed|necessary|required|allowed|wanted|permitted|welcome|desired");
}

static void mark(struct words *words, size_t from, size_t to) {
    for (size_t i = from; i < to; i++)
        words->items[i].negated = true;
}

/* "not" with "forget" behind it orders after all; the verb alone is spoken against. */
static void mark_harmless(struct words *words, size_t i, size_t end) {
    if (i + 1 < end && word_in(words->items[i].text, NEGATORS) &&
        word_in(words->items[i + 1].text, "forget|fail|hesitate|omit|skip|miss|leave"))
        words->items[i + 1].negated = true;
}

static void mark_negations(struct words *words) {
    for (size_t begin = 0; begin < words->count;) {
        size_t end = words_clause_end(words, begin);
        for (size_t i = begin; i < end; i++) {
            if (negates_subject(words, i, end)) {
                mark(words, begin, i);
            } else if (!words->items[i].negated && negates(words, i, end)) {
                mark(words, i + 1, end);
                break;
            }
            mark_harmless(words, i, end);
        }
        begin = end;
    }
}

struct words words_read(struct arena *arena, const char *text) {
    struct words words = {.source = text};
    tokenise(arena, &words);
    split_clauses(&words);
    mark_negations(&words);
    return words;
}

static bool ends_item(char byte) {
    return !byte || byte == '|' || byte == ' ' || byte == ';';
}

/* List is what stands up to a space, a ';' or its end. Most of the simulator's time is spent here. */
static bool word_in_term(const char *word, const char *list) {
    for (;; list++) {
        const char *at = word;
        while (*at && *at == *list)
            at++, list++;
        if (*list == '*' || (!*at && ends_item(*list)))
            return true;
        while (!ends_item(*list))
            list++;
        if (*list != '|')
            return false;
    }
}

bool word_in(const char *word, const char *list) {
    return word_in_term(word, list);
}

static enum pattern_found find_term(const struct words *words, size_t from, size_t to, const char *term) {
    enum pattern_found found = PATTERN_ABSENT;
    bool inside = *term == '-';
    for (size_t i = from; i < to && found != PATTERN_PRESENT; i++) {
        const struct word *word = &words->items[i];
        if (inside && !word->negated)
            continue;
        if (word_in_term(word->text, term + inside))
            found = inside || !word->negated ? PATTERN_PRESENT : PATTERN_NEGATED;
    }
    return found;
}

static enum pattern_found find_alternative(
    const struct words *words, size_t from, size_t to, const char *alternative) {
    enum pattern_found all = PATTERN_PRESENT;
    /* What is said beside a forbidden thing is inside the same negation. */
    bool negative = *alternative == '-';
    while (*alternative && *alternative != ';' && all != PATTERN_ABSENT) {
        enum pattern_found found = find_term(words, from, to, alternative);
        if (negative && found == PATTERN_NEGATED)
            found = PATTERN_PRESENT;
        all = found < all ? found : all;
        alternative += strcspn(alternative, " ;");
        alternative += strspn(alternative, " ");
    }
    return all;
}

enum pattern_found pattern_find(const struct words *words, size_t from, size_t to, const char *pattern) {
    enum pattern_found best = PATTERN_ABSENT;
    while (*pattern && best != PATTERN_PRESENT) {
        enum pattern_found found = find_alternative(words, from, to, pattern);
        best = found > best ? found : best;
        pattern += strcspn(pattern, ";");
        pattern += strspn(pattern, "; ");
    }
    return best;
}
