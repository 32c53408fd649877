/* What a system prompt asks for: each clause gives at most one directive, and the strongest one wins, the
 * later one among equals. */
#include <string.h>

#include "shared/arena.h"
#include "shared/model/mock/mock.h"
#include "shared/model/mock/negation.h"
#include "shared/model/mock/reading.h"

enum { PROMPT_BYTES_MAX = 16384, PROMPT_WORDS_MAX = 2500 };

static unsigned classes_in(const struct mock_words *words, size_t from, size_t to) {
    unsigned classes = 0;
    for (; from < to; from++)
        if (!words->items[from].negated)
            classes |= words->items[from].classes;
    return classes;
}

static bool clause_has(const struct reading *reading, const char *word) {
    for (size_t i = reading->from; i < reading->to; i++)
        if (mock_word_is(&reading->words.items[i], word) && !reading->words.items[i].negated)
            return true;
    return false;
}

/* Sentences and clauses. */

enum {
    VERBS = (int)(WORD_MAKE | WORD_SAY | WORD_EXPLAIN | WORD_TRANSLATE | WORD_SUMMARISE | WORD_REFINE |
                  WORD_REFUSE | WORD_ECHO)
};

static bool opens_clause(const struct mock_words *words, size_t i) {
    const struct mock_word *word = &words->items[i];
    if (word->before == BREAK_SENTENCE)
        return true;
    bool excepted =
        mock_word_is(&words->items[i - 1], "nothing") || mock_word_is(&words->items[i - 1], "anything");
    if ((mock_word_is(word, "but") && !excepted) || mock_word_is(word, "then"))
        return true;
    unsigned starts = VERBS | WORD_NOT | WORD_NO | WORD_IF | WORD_ONLY | WORD_JUDGE | WORD_IGNORE;
    if (word->before == BREAK_COMMA && ((word->classes & starts) || mock_word_is(word, "you")))
        return true;
    bool joins = mock_word_is(word, "and") && i + 1 < words->count;
    return joins && (words->items[i + 1].classes & starts) && !mock_word_is(&words->items[i + 1], "nothing");
}

static size_t sentence_end(const struct mock_words *words, size_t from) {
    size_t end = from + 1;
    while (end < words->count && words->items[end].before != BREAK_SENTENCE)
        end++;
    return end;
}

static size_t clause_end(const struct mock_words *words, size_t from, size_t to) {
    size_t end = from + 1;
    while (end < to && !opens_clause(words, end))
        end++;
    return end;
}

/* Directives. */

void mock_direct(
    struct reading *reading, enum mock_product product, int strength, const struct directive *more) {
    struct directive *best = &reading->best[product];
    if (strength < best->strength)
        return;
    *best = more ? *more : (struct directive){0};
    best->strength = strength;
    best->order = reading->order;
}

bool mock_is_conditional(const struct reading *reading) {
    return (reading->sentence & WORD_IF) && !(reading->sentence & WORD_TOTAL);
}

static int weigh(const struct reading *reading, enum mock_product product) {
    bool only = reading->clause & WORD_ONLY, total = reading->sentence & WORD_TOTAL;
    int strength = INSTRUCTION;
    if (product == PRODUCT_HELP)
        return HELPFUL;
    if (product == PRODUCT_PROSE || product == PRODUCT_JSON)
        strength = reading->strict || reading->firm || clause_has(reading, "instead") ? ABSOLUTE : MANNER;
    else if (only || total || reading->firm)
        strength = ABSOLUTE;
    return strength - (mock_is_conditional(reading) ? 5 : 0);
}

static const char *find_voice(const struct reading *reading) {
    static const char *const voices[] = {
        "pirate", "haiku", "limerick", "shakespeare", "yoda", "sonnet", "song"};
    for (size_t i = reading->from; i < reading->to; i++) {
        const struct mock_word *word = &reading->words.items[i];
        char stem[MOCK_STEM_BYTES];
        for (size_t voice = 0; (word->classes & WORD_VERSE) && voice < sizeof voices / sizeof *voices;
             voice++)
            if (mock_stem(word->start, word->length, stem) && strncmp(stem, voices[voice], 5) == 0)
                return voices[voice];
    }
    return NULL;
}

static const char *find_target_language(const struct reading *reading) {
    for (size_t i = reading->from; i + 1 < reading->to; i++)
        if (mock_word_is(&reading->words.items[i], "into") || mock_word_is(&reading->words.items[i], "to"))
            return arena_copy(
                reading->arena, reading->words.items[i + 1].start, reading->words.items[i + 1].length);
    return NULL;
}

static void direct_product(struct reading *reading, enum mock_product product, int strength) {
    struct directive more = {.voice = find_voice(reading)};
    if (product == PRODUCT_TRANSLATION)
        more.language = find_target_language(reading);
    if (product == PRODUCT_PROSE)
        reading->explained = true;
    if (product != PRODUCT_CHAT)
        mock_direct(reading, product, strength, &more);
}

size_t mock_find_word(const struct reading *reading, size_t from, const char *const *list) {
    for (; from < reading->to; from++)
        for (size_t i = 0; list[i]; i++)
            if (mock_word_is(&reading->words.items[from], list[i]))
                return from;
    return reading->to;
}

static enum mock_product phrase_from(const struct reading *reading, size_t from) {
    size_t unknown, place;
    return mock_phrase_product(&reading->words, from, reading->to, &unknown, &place);
}

/* "rewrite … as a poem", "turn … into code": what comes after "into" or "as". */
static enum mock_product transformed(const struct reading *reading, size_t verb) {
    static const char *const into[] = {"into", "as", NULL}, *const in[] = {"in", NULL};
    size_t link = mock_find_word(reading, verb + 1, into);
    if (link == reading->to)
        link = mock_find_word(reading, verb + 1, in);
    return link < reading->to ? phrase_from(reading, link + 1) : PRODUCT_CHAT;
}

/* Where the object of a verb ends: at the next preposition. */
static size_t object_end(const struct reading *reading, size_t verb) {
    size_t end = verb + 1;
    while (end < reading->to && (!(reading->words.items[end].classes & WORD_LINK) ||
                                    mock_word_is(&reading->words.items[end], "of")))
        end++;
    return end;
}

static bool object_is_pronoun(const struct reading *reading, size_t verb) {
    static const char *const pronouns[] = {
        "it", "them", "this", "that", "what", "whatever", "following", NULL};
    size_t at = mock_find_word(reading, verb + 1, pronouns);
    /* Where code is made, "it" is the code. */
    return at < reading->to && at <= verb + 2 && !reading->best[PRODUCT_CODE].strength;
}

/* "rewrite the user's request": the request itself, said better; other objects are a matter of their own. */
static void read_refine(struct reading *reading, size_t verb) {
    enum mock_product into = transformed(reading, verb);
    size_t unknown, place, end = object_end(reading, verb);
    enum mock_product object = mock_phrase_product(&reading->words, verb + 1, end, &unknown, &place);
    bool request = object == PRODUCT_REFINED || (object == PRODUCT_PROSE && (reading->clause & WORD_USER));
    if (object == PRODUCT_CHAT && object_is_pronoun(reading, verb))
        request = true;
    if (object == PRODUCT_CHAT && end == reading->to && !unknown)
        request |= (reading->clause & WORD_REQUEST) != 0;
    if (into == PRODUCT_CODE || into == PRODUCT_VERSE)
        direct_product(reading, into, INSTRUCTION);
    else if (request)
        mock_direct(reading, PRODUCT_REFINED, INSTRUCTION, NULL);
    else if (object == PRODUCT_CODE)
        direct_product(reading, PRODUCT_CODE, INSTRUCTION);
}

/* "explain", "describe": prose, unless it is to be in verse. */
static void read_explain(struct reading *reading) {
    bool verse = reading->clause & WORD_VERSE;
    enum mock_product product = verse ? PRODUCT_VERSE : PRODUCT_PROSE;
    direct_product(reading, product, weigh(reading, product));
}

/* Where the phrase that names the product begins: behind "with" for "answer …", behind "into" for "turn …".
 */
static size_t product_start(const struct reading *reading, size_t verb) {
    static const char *const turning[] = {
        "turn", "turns", "convert", "converts", "transform", "transforms", NULL};
    static const char *const into[] = {"into", "to", NULL}, *const how[] = {
                                                                "with", "in", "as", "by", "like", NULL};
    size_t link = reading->to;
    if (mock_find_word(reading, verb, turning) == verb)
        link = mock_find_word(reading, verb, into);
    else if (reading->words.items[verb].classes & WORD_SAY)
        link = mock_find_word(reading, verb, how);
    if (link < reading->to && phrase_from(reading, link + 1) != PRODUCT_CHAT)
        return link + 1;
    return verb + 1;
}

/* "reply with the rewritten request", "turn the request into a clear task". */
static bool wants_request_back(const struct reading *reading, size_t verb) {
    static const char *const turning[] = {
        "turn", "turns", "make", "makes", "transform", "transforms", "convert", NULL};
    if (reading->clause & (WORD_REFINED | WORD_REFINE))
        return true;
    return (reading->clause & WORD_CLEAR) && mock_find_word(reading, verb, turning) == verb;
}

static void read_make(struct reading *reading, size_t verb) {
    const struct mock_word *word = &reading->words.items[verb];
    size_t unknown, place, start = product_start(reading, verb);
    enum mock_product product = mock_phrase_product(&reading->words, start, reading->to, &unknown, &place);
    if (start < reading->to && start == verb + 1 && (reading->words.items[start].classes & WORD_TOPIC))
        product = PRODUCT_PROSE;
    if (product == PRODUCT_CHAT && (word->classes & WORD_CODE))
        product = PRODUCT_CODE;
    if (product == PRODUCT_CHAT && !unknown)
        product = phrase_from(reading, reading->from);
    bool again = product == PRODUCT_REFINED || (product == PRODUCT_CHAT && object_is_pronoun(reading, verb));
    if (again && wants_request_back(reading, verb))
        product = PRODUCT_REFINED;
    else if (product == PRODUCT_REFINED)
        product = PRODUCT_HELP;
    bool addressed = reading->clause & (WORD_REQUEST | WORD_USER | WORD_ANSWER);
    if (product == PRODUCT_CHAT && unknown && (word->classes & WORD_MAKE))
        direct_product(reading, addressed ? PRODUCT_HELP : PRODUCT_PROSE, addressed ? HELPFUL : SOMETHING);
    else if (product == PRODUCT_CHAT && addressed)
        direct_product(reading, PRODUCT_HELP, HELPFUL);
    else
        direct_product(reading, product, weigh(reading, product));
}

/* No verb: a role ("you are a pirate"), a bare demand ("code only"). */
static void read_noun(struct reading *reading) {
    enum mock_product product = phrase_from(reading, reading->from);
    if (product == PRODUCT_REFINED)
        product = PRODUCT_HELP;
    bool demand = reading->strict && reading->to - reading->from <= 5;
    direct_product(reading, product, product == PRODUCT_HELP ? HELPFUL : demand ? ABSOLUTE : ROLE);
}

static size_t first_verb(const struct reading *reading) {
    for (size_t i = reading->from; i < reading->to; i++) {
        const struct mock_word *word = &reading->words.items[i];
        if (!word->negated && (word->classes & VERBS))
            return i;
    }
    return reading->to;
}

static bool refuses_all(const struct reading *reading, size_t verb) {
    for (size_t i = verb + 1; i < reading->to; i++)
        if (!(reading->words.items[i].classes &
                (WORD_TOTAL | WORD_REQUEST | WORD_USER | WORD_SAY | WORD_HELP | WORD_FILLER | WORD_LINK)))
            return false;
    return !mock_is_conditional(reading);
}

static void read_product(struct reading *reading) {
    size_t verb = first_verb(reading);
    if (verb == reading->to) {
        read_noun(reading);
        return;
    }
    unsigned classes = reading->words.items[verb].classes;
    if (classes & WORD_REFINE)
        read_refine(reading, verb);
    else if ((classes & WORD_REFUSE) && refuses_all(reading, verb))
        direct_product(reading, PRODUCT_REFUSAL, weigh(reading, PRODUCT_REFUSAL));
    else if ((classes & WORD_ECHO) && (reading->clause & (WORD_USER | WORD_REQUEST | WORD_TOTAL)))
        direct_product(reading, PRODUCT_ECHO, weigh(reading, PRODUCT_ECHO));
    else if (classes & WORD_EXPLAIN)
        read_explain(reading);
    else if (classes & (WORD_TRANSLATE | WORD_SUMMARISE) && transformed(reading, verb) != PRODUCT_CODE)
        direct_product(
            reading, classes & WORD_TRANSLATE ? PRODUCT_TRANSLATION : PRODUCT_SUMMARY, INSTRUCTION);
    else
        read_make(reading, verb);
}

/* What a clause forbids weighs like a directive of its own. */
static void note_forbidden(struct reading *reading, const struct mock_forbidden *forbidden) {
    if (forbidden->code)
        reading->no_code = reading->order;
    if (forbidden->verse)
        reading->no_verse = reading->order;
    if (forbidden->fence)
        reading->no_fence = reading->order;
    if (forbidden->everything_else)
        reading->clause |= WORD_ONLY;
    reading->bare |= forbidden->prose;
    if (forbidden->answer && !mock_is_conditional(reading)) {
        mock_direct(reading, PRODUCT_SILENCE, forbidden->firmly ? ABSOLUTE : WEAK, NULL);
        reading->silence_soft = true;
    }
}

/* "Ignore the above": what was asked before is gone. */
static bool read_ignore(struct reading *reading) {
    if (!(reading->clause & WORD_IGNORE))
        return false;
    static const char *const all[] = {"everything", "that", "all", "this", NULL};
    bool user = reading->clause & (WORD_USER | WORD_REQUEST) && !clause_has(reading, "above");
    if ((reading->clause & WORD_BEFORE) || mock_find_word(reading, reading->from, all) < reading->to) {
        if (!user || clause_has(reading, "previous") || clause_has(reading, "instructions")) {
            memset(reading->best, 0, sizeof reading->best);
            reading->no_code = reading->no_verse = reading->no_fence = 0;
            reading->bare = reading->explained = false;
        }
    }
    return true;
}

static bool is_strict(const struct reading *reading) {
    static const char *const words[] = {
        "only", "just", "solely", "merely", "exclusively", "purely", "strictly", "nothing", "simply", NULL};
    return mock_find_word(reading, reading->from, words) < reading->to;
}

static void read_clause(struct reading *reading) {
    reading->order++;
    struct mock_forbidden forbidden = mock_read_negation(&reading->words, reading->from, reading->to);
    reading->clause = classes_in(&reading->words, reading->from, reading->to);
    reading->strict = is_strict(reading) || forbidden.everything_else;
    if (read_ignore(reading))
        return;
    note_forbidden(reading, &forbidden);
    if (mock_read_silence(reading) || mock_read_fixed(reading))
        return;
    read_product(reading);
}

static bool has_no_matter(const struct mock_words *words, size_t from, size_t to) {
    for (; from < to; from++)
        if (mock_word_is(&words->items[from], "matter") || mock_word_is(&words->items[from], "regardless") ||
            mock_word_is(&words->items[from], "whatever"))
            return true;
    return false;
}

static void read_sentence(struct reading *reading, size_t from, size_t to) {
    reading->sentence = classes_in(&reading->words, from, to);
    reading->firm = has_no_matter(&reading->words, from, to);
    if (reading->firm)
        reading->sentence |= WORD_TOTAL;
    while (from < to) {
        reading->from = from;
        reading->to = from = clause_end(&reading->words, from, to);
        read_clause(reading);
    }
}

/* The verdict. */

static void drop_forbidden(struct reading *reading) {
    struct directive *code = &reading->best[PRODUCT_CODE], *verse = &reading->best[PRODUCT_VERSE];
    if (reading->no_code && (code->strength < ABSOLUTE || code->order <= reading->no_code))
        *code = (struct directive){0};
    if (reading->no_verse && (verse->strength < ABSOLUTE || verse->order <= reading->no_verse))
        *verse = (struct directive){0};
    if (reading->no_code)
        mock_direct(reading, PRODUCT_PROSE, HELPFUL, NULL);
}

/* Whoever is to refine a request is also told how to write it, and not to answer it. */
static void drop_beside_refining(struct reading *reading) {
    static const enum mock_product beside[] = {PRODUCT_PROSE, PRODUCT_HELP, PRODUCT_JSON, PRODUCT_SUMMARY};
    if (!reading->best[PRODUCT_REFINED].strength)
        return;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        reading->best[beside[i]].strength = 0;
    if (reading->silence_soft)
        reading->best[PRODUCT_SILENCE].strength = 0;
}

static enum mock_product strongest(const struct reading *reading) {
    enum mock_product best = PRODUCT_CHAT;
    for (int product = 0; product < PRODUCTS; product++) {
        const struct directive *one = &reading->best[product], *other = &reading->best[best];
        if (one->strength > other->strength ||
            (one->strength == other->strength && one->order > other->order))
            best = (enum mock_product)product;
    }
    return best;
}

struct mock_intent mock_read_prompt(struct arena *arena, const char *system) {
    struct reading reading = {.arena = arena};
    reading.words = mock_read_words(arena, system, strnlen(system, PROMPT_BYTES_MAX), PROMPT_WORDS_MAX);
    for (size_t from = 0; from < reading.words.count;) {
        size_t to = sentence_end(&reading.words, from);
        read_sentence(&reading, from, to);
        from = to;
    }
    enum mock_product role = mock_read_optimizer_role(&reading.words);
    if (role != PRODUCT_CHAT)
        return (struct mock_intent){.product = role};
    if (mock_asks_for_judgement(&reading.words))
        return (struct mock_intent){.product = PRODUCT_JUDGEMENT};
    drop_forbidden(&reading);
    drop_beside_refining(&reading);
    enum mock_product product = strongest(&reading);
    const char *speech = mock_named_speech(&reading.words);
    const struct directive *directive = &reading.best[product];
    bool firm_language = mock_insists_on_language(&reading.words);
    if (product == PRODUCT_SUMMARY && speech)
        product = PRODUCT_PROSE;
    /* "Write everything in Go" */
    if (product == PRODUCT_PROSE && directive->strength <= SOMETHING && firm_language && !reading.no_code)
        product = PRODUCT_CODE;
    return (struct mock_intent){
        .product = product,
        .literal = directive->literal,
        .voice = directive->voice,
        .language = product == PRODUCT_TRANSLATION ? directive->language
                    : product == PRODUCT_PROSE     ? speech
                                                   : mock_code_language(&reading.words),
        .firm_language = firm_language,
        .strength = directive->strength,
        .forbids_code = reading.no_code != 0,
        .bare = reading.bare || (directive->strength >= ABSOLUTE && product == PRODUCT_CODE),
        .unfenced = reading.no_fence,
        .explained = reading.explained,
    };
}
