/* Reads "do not", "never", "no", "without" and "instead of": what they forbid, and how far they reach. */
#include "shared/model/mock/negation.h"

#include <string.h>

/* "instead of", "rather than", "in place of". */
static bool replaces(const struct mock_words *words, size_t i, size_t to) {
    const struct mock_word *items = words->items;
    if (i + 1 >= to)
        return false;
    return (mock_word_is(&items[i], "instead") && mock_word_is(&items[i + 1], "of")) ||
           (mock_word_is(&items[i], "rather") && mock_word_is(&items[i + 1], "than")) ||
           (mock_word_is(&items[i], "place") && mock_word_is(&items[i + 1], "of"));
}

static bool refuses_to_make(const struct mock_words *words, size_t i, size_t to) {
    return i + 2 < to && (words->items[i].classes & WORD_REFUSE) &&
           mock_word_is(&words->items[i + 1], "to") &&
           (words->items[i + 2].classes & (WORD_MAKE | WORD_EXPLAIN)) &&
           !mock_word_is(&words->items[i + 2], "do");
}

static bool negates(const struct mock_words *words, size_t i, size_t to) {
    const struct mock_word *word = &words->items[i];
    if (replaces(words, i, to) || refuses_to_make(words, i, to))
        return true;
    if (!(word->classes & (WORD_NOT | WORD_NO)))
        return false;
    return i + 1 == to || !mock_word_in(&words->items[i + 1],
                              "only just matter hesitate forget fail worry least necessarily");
}

/* "nothing but code", "not … anything other than code". */
static bool excepts(const struct mock_words *words, size_t i, size_t to) {
    for (; i + 1 < to; i++)
        if (mock_word_in(&words->items[i], "anything nothing something") &&
            (mock_word_in(&words->items[i + 1], "but except besides beyond") ||
                (i + 2 < to && mock_word_is(&words->items[i + 1], "other") &&
                    mock_word_is(&words->items[i + 2], "than"))))
            return true;
    return false;
}

/* Words that may stand between a negation and its object: "never (answer the user with any) code". */
static bool is_between(const struct mock_word *word) {
    if (word->quoted || (word->classes & (WORD_CODE | WORD_VERSE | WORD_PROSE | WORD_FENCE) &&
                            !mock_word_in(word, "code program implement")))
        return false;
    return (word->classes &
               (WORD_MAKE | WORD_SAY | WORD_ONLY | WORD_TOTAL | WORD_FILLER | WORD_USER | WORD_REQUEST)) ||
           mock_word_in(word,
               "with in as of to or from under add adding include including contain containing use using "
               "line lines piece source ever longer answer solution working") ||
           mock_word_in(word, "circumstances ever even");
}

/* After "no code" the sentence may end or go on loosely; "no code that …", "no code duplication" forbid
 * something else. */
static bool ends_object(const struct mock_words *words, size_t i, size_t to) {
    if (i >= to || words->items[i].before != BREAK_NONE)
        return true;
    const struct mock_word *word = &words->items[i];
    if (mock_word_in(word,
            "at under or and nor to ever even just please whatsoever needed allowed required is are may "
            "should must whatever anywhere yourself here if only instead but no regardless"))
        return true;
    if (i + 1 < to && mock_word_in(word, "in of for by"))
        return mock_word_in(&words->items[i + 1], "your the any response answer reply output all");
    return false;
}

static size_t skip_class(const struct mock_words *words, size_t i, size_t to, unsigned classes) {
    while (i < to && (words->items[i].classes & classes))
        i++;
    return i;
}

/* Not Python means another language, not no code. */
static const char LANGUAGES[] =
    "python python3 javascript js typescript java rust golang sql bash shell ruby php c++ "
    "library query queries class classes recursion decorator test tests";

/* Reads what a negation at i forbids; returns where that ends. */
static size_t read_object(
    const struct mock_words *words, size_t i, size_t to, struct mock_forbidden *forbidden) {
    size_t object = i + 1;
    while (object < to && is_between(&words->items[object]) && words->items[object].before == BREAK_NONE &&
           !mock_word_is(&words->items[object], "code"))
        object++;
    if (object >= to)
        return to;
    unsigned classes = words->items[object].classes;
    size_t end = skip_class(
        words, object, to, WORD_CODE | WORD_VERSE | WORD_PROSE | WORD_FENCE | WORD_EXPLAIN | WORD_JSON);
    bool fence = false;
    for (size_t k = object; k < end; k++)
        fence |= words->items[k].classes & WORD_FENCE;
    if (fence)
        forbidden->fence = true;
    else if (end == object + 1 && mock_word_in(&words->items[object], LANGUAGES))
        return end;
    else if (end > object && ends_object(words, end, to)) {
        forbidden->code |= classes & WORD_CODE;
        forbidden->verse |= classes & WORD_VERSE;
        forbidden->prose |= classes & (WORD_PROSE | WORD_EXPLAIN);
    }
    return end > object ? end : object + 1;
}

/* "You must not answer", not "functions do not print": nothing but "you" and the like stands before. */
static bool is_addressed(const struct mock_words *words, size_t from, size_t i) {
    for (; from < i; from++)
        if (!mock_word_in(&words->items[from],
                "you must should will shall please and so do just simply can may i want") &&
            !(words->items[from].classes & WORD_TOTAL))
            return false;
    return true;
}

/* "do not answer", "never say a word to anyone". */
static bool forbids_answer(const struct mock_words *words, size_t i, size_t to, bool *firmly) {
    size_t verb = i + 1;
    while (verb < to &&
           (words->items[verb].classes & WORD_TOTAL || mock_word_in(&words->items[verb], "ever to even")))
        verb++;
    if (verb >= to || !(words->items[verb].classes & WORD_SAY))
        return false;
    *firmly = !(words->items[verb].classes & WORD_MAKE);
    for (size_t k = verb + 1; k < to; k++)
        if (!(words->items[k].classes & (WORD_TOTAL | WORD_USER)) &&
            !mock_word_in(&words->items[k],
                "a single word words at to the user question questions request requests back"))
            return false;
    return true;
}

/* "Code is forbidden", "programs are not allowed": what is forbidden stands before. */
static bool forbids_subject(const struct mock_words *words, size_t from, size_t i, size_t to) {
    bool not_allowed = mock_word_is(&words->items[i], "not") && i + 1 < to &&
                       mock_word_in(&words->items[i + 1], "allowed permitted welcome wanted accepted");
    return i > from &&
           (not_allowed || mock_word_in(&words->items[i], "forbidden prohibited banned disallowed")) &&
           (words->items[from].classes & WORD_CODE ||
               (from + 1 < i && words->items[from + 1].classes & WORD_CODE));
}

static bool reaches_far(const struct mock_words *words, size_t i, size_t to) {
    bool longer = i + 1 < to && mock_word_is(&words->items[i + 1], "longer");
    return (words->items[i].classes & WORD_NOT) || longer || refuses_to_make(words, i, to);
}

struct mock_forbidden mock_read_negation(struct mock_words *words, size_t from, size_t to) {
    struct mock_forbidden forbidden = {0};
    forbidden.everything_else = excepts(words, from, to);
    for (size_t i = from; i < to && !forbidden.everything_else; i++) {
        struct mock_word *word = &words->items[i];
        if (word->negated || !negates(words, i, to))
            continue;
        if ((word->classes & WORD_NOT) && is_addressed(words, from, i) &&
            forbids_answer(words, i, to, &forbidden.firmly))
            forbidden.answer = true;
        bool subject = forbids_subject(words, from, i, to);
        forbidden.code |= subject;
        size_t end = read_object(words, i, to, &forbidden);
        /* "never …" reaches to the clause's end, "no …" only over its noun. */
        if (reaches_far(words, i, to))
            end = to;
        for (size_t k = subject ? from : i; k < end; k++)
            words->items[k].negated = true;
    }
    return forbidden;
}
