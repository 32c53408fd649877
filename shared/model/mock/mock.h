/* The parts of the mock model: how it reads words, what it takes from a system prompt, what it knows. */
#ifndef SHARED_MODEL_MOCK_MOCK_H
#define SHARED_MODEL_MOCK_MOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;
struct buffer;

/* What a word can be in an instruction; a word may be several. The words stand in lexicon.c. */
enum mock_class {
    WORD_MAKE = 1u << 0,    /* write, create, ... */
    WORD_SAY = 1u << 1,     /* say, answer, print, ... */
    WORD_ANSWER = 1u << 2,  /* answer, reply, respond: what follows is how, not what */
    WORD_EXPLAIN = 1u << 3, /* explain, describe, ... */
    WORD_TRANSLATE = 1u << 4,
    WORD_SUMMARISE = 1u << 5,
    WORD_CODE = 1u << 6,  /* code, function, programmer, Python, ... */
    WORD_VERSE = 1u << 7, /* poem, haiku, ...; voices such as pirate */
    WORD_PROSE = 1u << 8, /* explanation, essay, English, ... */
    WORD_JSON = 1u << 9,
    WORD_HELP = 1u << 10,      /* helpful, assistant, solve, ... */
    WORD_REQUEST = 1u << 11,   /* request, input, question, ... */
    WORD_REFINE = 1u << 12,    /* rewrite, clarify, ... */
    WORD_REFINED = 1u << 13,   /* rewritten, improved, ... */
    WORD_JUDGE = 1u << 14,     /* judge, rate, evaluator, ... */
    WORD_CRITERION = 1u << 15, /* relevance, quality, safety */
    WORD_NOT = 1u << 16,       /* not, never, avoid: what follows is forbidden */
    WORD_NO = 1u << 17,        /* no, without: only the next noun is forbidden */
    WORD_ONLY = 1u << 18,      /* only, just, always, ... */
    WORD_TOTAL = 1u << 19,     /* everything, whatever, any, ... */
    WORD_IF = 1u << 20,
    WORD_LINK = 1u << 21,    /* prepositions and conjunctions, which end a noun phrase */
    WORD_TOPIC = 1u << 22,   /* about, for: what follows is no product */
    WORD_FILLER = 1u << 23,  /* articles, pronouns, polite words: no content */
    WORD_LITERAL = 1u << 24, /* word, phrase, string: a fixed text follows */
    WORD_FENCE = 1u << 25,   /* fence, markdown, ... */
    WORD_USER = 1u << 26,
    WORD_REFUSE = 1u << 27,
    WORD_ECHO = 1u << 28,
    WORD_IGNORE = 1u << 29,
    WORD_BEFORE = 1u << 30, /* above, previous: what an "ignore" drops */
    WORD_CLEAR = 1u << 31,  /* clear, precise, ... */
};

enum mock_break { BREAK_NONE, BREAK_COMMA, BREAK_SENTENCE };

struct mock_word {
    const char *start; /* in the text that was read */
    unsigned length;
    unsigned classes;       /* of enum mock_class; 0 for what stands in quotes */
    enum mock_break before; /* what stands between it and the word before */
    bool quoted;            /* start and length are what is inside */
    bool negated;           /* set by the reader of prompts */
};

struct mock_words {
    struct mock_word *items;
    size_t count;
};

/* The words of text, at most words_max. */
struct mock_words mock_read_words(struct arena *arena, const char *text, size_t length, size_t words_max);

/* True when the word is lower[0, length), regardless of case. */
bool mock_word_equals(const struct mock_word *word, const char *lower, size_t length);

/* The same for a C string. Prompts are compared with thousands of words: the first letter decides nearly
 * always. */
static inline bool mock_word_is(const struct mock_word *word, const char *lower) {
    return (word->start[0] | 0x20) == lower[0] && mock_word_equals(word, lower, strlen(lower));
}

/* True when the word is one of list, "and or nor". */
bool mock_word_in(const struct mock_word *word, const char *list);

enum { MOCK_STEM_BYTES = 32 };

/* The word in lower case without its ending, so that "Sorting" and "sorts" are one; returns its length. */
size_t mock_stem(const char *word, size_t length, char stem[MOCK_STEM_BYTES]);

/* Classes of a word by the lexicon; 0: unknown. */
unsigned mock_classes(const char *word, size_t length);

/* A small map from short strings to numbers, for the lexicon and the keywords. */
enum { MOCK_MAP_SLOTS = 4096 };
struct mock_map {
    struct {
        char key[MOCK_STEM_BYTES];
        unsigned value;
    } slots[MOCK_MAP_SLOTS];
    size_t count;
};

/* The value's place; an absent key is added with value 0. length < MOCK_STEM_BYTES. */
unsigned *mock_map_add(struct mock_map *map, const char *key, size_t length);
/* 0 when absent. */
unsigned mock_map_find(const struct mock_map *map, const char *key, size_t length);

enum mock_product {
    PRODUCT_CHAT, /* nothing in particular was asked for */
    PRODUCT_HELP, /* whatever the user wants */
    PRODUCT_CODE,
    PRODUCT_VERSE,
    PRODUCT_PROSE,
    PRODUCT_JSON,
    PRODUCT_TRANSLATION,
    PRODUCT_SUMMARY,
    PRODUCT_FIXED,
    PRODUCT_SILENCE,
    PRODUCT_REFUSAL,
    PRODUCT_ECHO,
    PRODUCT_REFINED,   /* the request, said better */
    PRODUCT_JUDGEMENT, /* scores as JSON */
    PRODUCT_ANALYSIS,  /* why a prompt fails, as JSON */
    PRODUCT_PROMPT,    /* a system prompt for another model */
    PRODUCTS,
};

/* What a system prompt asks for. */
struct mock_intent {
    enum mock_product product;
    const char *literal;  /* PRODUCT_FIXED */
    const char *voice;    /* "haiku", "pirate", ...; NULL: none */
    const char *language; /* of code, prose or a translation, lower case; NULL: not named */
    bool firm_language;   /* also when the user asks for another one */
    int strength;         /* of reading.h; 0: nothing was asked for */
    bool forbids_code;
    bool bare; /* nothing around the code */
    bool unfenced;
    bool explained; /* code, and a word about it */
};

struct mock_intent mock_read_prompt(struct arena *arena, const char *system);

/* The same, from memory when the prompt was one of the last that were read. What the intent points at is in
 * arena, or lives until sixteen other prompts were read: use it within the call that asked for it. */
struct mock_intent mock_recall_prompt(struct arena *arena, const char *system);

/* Whether a prompt has somebody judge, by two of the criteria at least, or by one as JSON. */
bool mock_asks_for_judgement(const struct mock_words *words);

/* Whether it has somebody find out why a prompt fails, or write a prompt; PRODUCT_CHAT: neither. */
enum mock_product mock_read_optimizer_role(const struct mock_words *words);

/* A language of code that text names, in lower case, or NULL; "c" and "go" only where they cannot be other
 * words. */
const char *mock_code_language(const struct mock_words *words);

/* The language as people write it: "C++" for "cpp". */
const char *mock_language_name(const char *language);

/* The one that a request plainly asks for: "in Go", "a Go function"; NULL: none. */
const char *mock_asked_language(const struct mock_words *words);

/* Whether a prompt orders its language of code for everything: "write JavaScript", "only Python". */
bool mock_insists_on_language(const struct mock_words *words);

/* A language people speak, other than English, that text names; NULL: none. */
const char *mock_named_speech(const struct mock_words *words);

/* The one that text is written in; NULL: English, or not known. */
const char *mock_speech_of(const struct mock_words *words);

/* The product that a noun phrase in items[from, to) names; PRODUCT_CHAT: none. *unknown counts content words
 * that are not in the lexicon. */
enum mock_product mock_phrase_product(
    const struct mock_words *words, size_t from, size_t to, size_t *unknown, size_t *place);

/* One known task: any phrase of phrases (separated by ';') whose words all occur names it. */
struct mock_snippet {
    const char *name; /* NULL ends a table */
    const char *phrases, *source;
};

extern const struct mock_snippet MOCK_PYTHON_NUMBERS[], MOCK_PYTHON_TEXT[], MOCK_PYTHON_LISTS[],
    MOCK_PYTHON_STRUCTURES[], MOCK_PYTHON_PRACTICE[];
extern const struct mock_snippet *const MOCK_PYTHON[]; /* all of them, NULL-terminated */

/* The known task that the words name best, or NULL. */
const struct mock_snippet *mock_find_snippet(const struct mock_words *words);

/* Whether a request wants code. */
bool mock_wants_code(const struct mock_words *words);

/* A word that says something about the subject: no article, verb of making or general noun. */
bool mock_is_significant(const struct mock_word *word);

/* template with the subject for each @. */
void mock_write_template(struct buffer *answer, const char *template, const struct mock_words *words);

/* Writes the answers. user is the whole user text. */
void mock_write_code(struct buffer *answer, const struct mock_intent *intent, const struct mock_words *words);
void mock_write_verse(struct buffer *answer, const char *voice, const struct mock_words *words);
/* speech: the language, NULL: English. */
void mock_write_prose(struct buffer *answer, const char *speech, const struct mock_words *words);
void mock_write_refined(struct buffer *answer, const char *user);
void mock_write_judgement(struct buffer *answer, const char *user);
void mock_write_analysis(struct buffer *answer, const char *user);
void mock_write_prompt(struct buffer *answer, const char *user);

/* The subject of a request in the user's words: one line, at most bytes_max bytes, no quotes or backquotes.
 */
void mock_write_topic(struct buffer *answer, const struct mock_words *words, size_t bytes_max);

/* The whole answer of the mock model. */
void mock_answer(struct buffer *answer, const char *system, const char *user);

#endif
