/* What a request is about: the known task it names, whether it wants code, its subject. */
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/mock/mock.h"

const struct mock_snippet *const MOCK_PYTHON[] = {MOCK_PYTHON_NUMBERS, MOCK_PYTHON_TEXT, MOCK_PYTHON_LISTS,
    MOCK_PYTHON_STRUCTURES, MOCK_PYTHON_PRACTICE, NULL};

enum { KEYWORDS_MAX = 512, PHRASES_MAX = 400, PHRASE_WORDS_MAX = 4, REQUEST_WORDS_SEEN = 80 };

struct phrase {
    const struct mock_snippet *snippet;
    unsigned short keywords[PHRASE_WORDS_MAX];
    int count;
    int rank; /* more words say more */
};

/* The tables' phrases with their words numbered, so that finding one is a look at a few bits. */
static struct {
    struct mock_map keywords;
    struct phrase phrases[PHRASES_MAX];
    size_t count;
} known;

static void add_keyword(struct phrase *phrase, const char *word, size_t length) {
    char stem[MOCK_STEM_BYTES];
    size_t stem_length = mock_stem(word, length, stem);
    unsigned *number = mock_map_add(&known.keywords, stem, stem_length);
    if (!*number)
        *number = (unsigned)known.keywords.count;
    phrase->keywords[phrase->count++] = (unsigned short)*number;
}

static void add_phrases(const struct mock_snippet *snippet) {
    for (const char *at = snippet->phrases; *at;) {
        struct phrase *phrase = &known.phrases[known.count++];
        phrase->snippet = snippet;
        const char *end = at + strcspn(at, ";");
        while (at < end) {
            size_t length = strcspn(at, " ;");
            add_keyword(phrase, at, length);
            at += length + (at[length] == ' ');
        }
        at += *at == ';';
        /* A hello world server is a server. */
        phrase->rank = strcmp(snippet->name, "hello_world") == 0 ? 0 : phrase->count;
    }
}

static void add_tables(void) {
    for (const struct mock_snippet *const *table = MOCK_PYTHON; *table; table++)
        for (const struct mock_snippet *snippet = *table; snippet->name; snippet++)
            add_phrases(snippet);
}

/* Where each keyword first stands in the request, counted from 1; 0: nowhere. */
static void find_keywords(const struct mock_words *words, unsigned short places[KEYWORDS_MAX]) {
    for (size_t i = 0; i < words->count && i < REQUEST_WORDS_SEEN; i++) {
        char stem[MOCK_STEM_BYTES];
        size_t length = mock_stem(words->items[i].start, words->items[i].length, stem);
        unsigned keyword = mock_map_find(&known.keywords, stem, length);
        if (keyword < KEYWORDS_MAX && !places[keyword])
            places[keyword] = (unsigned short)(i + 1);
    }
}

/* The place of the phrase's last word to come, or 0 when one is missing. */
static unsigned place_of(const struct phrase *phrase, const unsigned short places[KEYWORDS_MAX]) {
    unsigned last = 0;
    for (int i = 0; i < phrase->count; i++) {
        if (!places[phrase->keywords[i]])
            return 0;
        if (places[phrase->keywords[i]] > last)
            last = places[phrase->keywords[i]];
    }
    return last;
}

const struct mock_snippet *mock_find_snippet(const struct mock_words *words) {
    if (!known.count)
        add_tables();
    unsigned short places[KEYWORDS_MAX] = {0};
    find_keywords(words, places);
    const struct phrase *best = NULL;
    unsigned best_place = 0;
    for (size_t i = 0; i < known.count; i++) {
        const struct phrase *phrase = &known.phrases[i];
        unsigned place = place_of(phrase, places);
        /* Among equals what comes first is what is asked for. */
        if (place &&
            (!best || phrase->rank > best->rank || (phrase->rank == best->rank && place < best_place))) {
            best = phrase;
            best_place = place;
        }
    }
    return best ? best->snippet : NULL;
}

static bool is_question_about(const struct mock_words *words) {
    static const char *const questions[] = {
        "what", "what's", "why", "who", "when", "where", "which", "is", "are", "does"};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (words->count && mock_word_is(&words->items[0], questions[i]))
            return true;
    bool how = words->count > 1 && mock_word_is(&words->items[0], "how");
    return how && (mock_word_is(&words->items[1], "does") || mock_word_is(&words->items[1], "do")) &&
           !(words->count > 3 && words->items[3].classes & WORD_MAKE);
}

/* The end of the first sentence, within what is looked at. */
static size_t first_sentence(const struct mock_words *words) {
    size_t end = words->count ? 1 : 0;
    while (end < words->count && end < REQUEST_WORDS_SEEN && words->items[end].before != BREAK_SENTENCE)
        end++;
    return end;
}

static size_t first_of(const struct mock_words *words, size_t end, unsigned classes) {
    size_t i = 0;
    while (i < end && !(words->items[i].classes & classes))
        i++;
    return i;
}

bool mock_wants_code(const struct mock_words *words) {
    size_t end = first_sentence(words), unknown, place;
    size_t make = first_of(words, end, WORD_MAKE);
    size_t tell = first_of(words, end, WORD_EXPLAIN | WORD_TRANSLATE | WORD_SUMMARISE);
    if (make < end && make < tell && !mock_word_is(&words->items[make], "do")) {
        enum mock_product product = mock_phrase_product(words, make + 1, end, &unknown, &place);
        if (product == PRODUCT_CODE || (words->items[make].classes & WORD_CODE && tell == end))
            return true;
        if (product == PRODUCT_VERSE || product == PRODUCT_PROSE)
            return false;
    } else if (tell < end || is_question_about(words)) {
        return false;
    }
    if (mock_find_snippet(words))
        return true;
    for (size_t i = 0; i < words->count && i < REQUEST_WORDS_SEEN; i++)
        if (words->items[i].classes & WORD_CODE)
            return true;
    return false;
}

/* Words of asking, before the subject: "please write me a". */
static size_t topic_start(const struct mock_words *words, size_t end) {
    unsigned asking =
        WORD_MAKE | WORD_SAY | WORD_EXPLAIN | WORD_TRANSLATE | WORD_SUMMARISE | WORD_FILLER | WORD_TOPIC;
    size_t i = 0;
    while (i + 1 < end && ((words->items[i].classes & asking) || mock_word_is(&words->items[i], "why")) &&
           !words->items[i].quoted)
        i++;
    return i;
}

void mock_write_topic(struct buffer *answer, const struct mock_words *words, size_t bytes_max) {
    size_t end = first_sentence(words), i = topic_start(words, end), written = 0;
    for (; i < end && written + words->items[i].length + 1 < bytes_max; i++) {
        const struct mock_word *word = &words->items[i];
        buffer_format(answer, written ? " %.*s" : "%.*s", (int)word->length, word->start);
        written += word->length + 1;
    }
    if (!written)
        buffer_string(answer, "this");
}
