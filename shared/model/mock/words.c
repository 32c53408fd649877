/* How the mock model reads: words with what stands between them, quoted texts as one word, stems. */
#include "shared/model/mock/mock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"

enum { QUOTE_BYTES_MAX = 300 };

static unsigned hash(const char *key, size_t length) {
    unsigned value = 2166136261u;
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)key[i]) * 16777619u;
    return value;
}

static size_t slot_of(const struct mock_map *map, const char *key, size_t length) {
    size_t slot = hash(key, length) % MOCK_MAP_SLOTS;
    while (map->slots[slot].key[0] &&
           (strncmp(map->slots[slot].key, key, length) != 0 || map->slots[slot].key[length] != '\0'))
        slot = (slot + 1) % MOCK_MAP_SLOTS;
    return slot;
}

unsigned *mock_map_add(struct mock_map *map, const char *key, size_t length) {
    size_t slot = slot_of(map, key, length);
    if (!map->slots[slot].key[0]) {
        /* Tables of this program fill the map, never input. */
        if (++map->count > MOCK_MAP_SLOTS / 2 || length >= MOCK_STEM_BYTES)
            abort();
        memcpy(map->slots[slot].key, key, length);
    }
    return &map->slots[slot].value;
}

unsigned mock_map_find(const struct mock_map *map, const char *key, size_t length) {
    return length && length < MOCK_STEM_BYTES ? map->slots[slot_of(map, key, length)].value : 0;
}

bool mock_word_equals(const struct mock_word *word, const char *lower, size_t length) {
    return !word->quoted && length == word->length && strncasecmp(word->start, lower, length) == 0;
}

bool mock_word_in(const struct mock_word *word, const char *list) {
    char first = (char)(word->start[0] | 0x20);
    for (const char *at = list, *end; *at; at = end + (*end == ' ')) {
        end = strchrnul(at, ' ');
        if (*at == first && mock_word_equals(word, at, (size_t)(end - at)))
            return true;
    }
    return false;
}

/* Drops ending when at least three letters remain. */
static bool drop(char *stem, size_t *length, const char *ending) {
    size_t ending_length = strlen(ending);
    if (*length < ending_length + 3 || memcmp(stem + *length - ending_length, ending, ending_length) != 0)
        return false;
    *length -= ending_length;
    return true;
}

size_t mock_stem(const char *word, size_t length, char stem[MOCK_STEM_BYTES]) {
    if (length >= MOCK_STEM_BYTES)
        length = MOCK_STEM_BYTES - 1;
    for (size_t i = 0; i < length; i++)
        stem[i] = (char)tolower((unsigned char)word[i]);
    if (length > 2 && stem[length - 2] != 's')
        drop(stem, &length, "s");
    if ((drop(stem, &length, "ing") || drop(stem, &length, "ed")) && stem[length - 1] == stem[length - 2])
        length--;
    drop(stem, &length, "e");
    stem[length] = '\0';
    return length;
}

struct reader {
    const char *text, *at, *end;
    enum mock_break before;
};

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Typographic quotes and dashes are three bytes, E2 80 xx; 0: none here. */
static unsigned char typographic(const struct reader *reader) {
    const char *at = reader->at;
    return reader->end - at >= 3 && at[0] == '\xE2' && at[1] == '\x80' ? (unsigned char)at[2] : 0;
}

/* What closes the quote that opens here, or NULL. */
static const char *closing_quote(const struct reader *reader) {
    char before = reader->at > reader->text ? reader->at[-1] : ' ';
    if (typographic(reader) == 0x9C)
        return "\xE2\x80\x9D";
    if (typographic(reader) == 0x98)
        return "\xE2\x80\x99";
    if (*reader->at == '"')
        return "\"";
    if (*reader->at == '\'' && !is_letter(before))
        return "'";
    bool fence = reader->end - reader->at >= 3 && memcmp(reader->at, "```", 3) == 0;
    return *reader->at == '`' && !fence && before != '`' ? "`" : NULL;
}

/* Reads a text in quotes; false when no quote opens here or it is not closed nearby. */
static bool read_quoted(struct reader *reader, struct mock_word *word) {
    const char *closing = closing_quote(reader);
    if (!closing)
        return false;
    size_t mark = strlen(closing), left = (size_t)(reader->end - reader->at);
    const char *inside = reader->at + mark;
    if (left < 2 * mark)
        return false;
    for (const char *at = inside; at + mark <= reader->end && at - inside < QUOTE_BYTES_MAX && *at != '\n';
         at++) {
        bool within_word = *closing == '\'' && at + 1 < reader->end && is_letter(at[1]);
        if (memcmp(at, closing, mark) == 0 && !within_word) {
            *word = (struct mock_word){
                .start = inside, .length = (unsigned)(at - inside), .before = reader->before, .quoted = true};
            reader->at = at + mark;
            return at > inside;
        }
    }
    return false;
}

static bool continues_word(const struct reader *reader) {
    const char *at = reader->at;
    if (typographic(reader) == 0x99)
        return reader->end - at > 3 && isalpha((unsigned char)at[3]);
    if (typographic(reader))
        return false;
    if (is_letter(*at))
        return true;
    if (*at == '\'')
        return reader->end - at > 1 && isalpha((unsigned char)at[1]);
    /* C++ and C#. */
    return (*at == '+' || *at == '#') && (at[-1] == 'c' || at[-1] == 'C' || at[-1] == '+');
}

static bool read_word(struct reader *reader, struct mock_word *word) {
    if (!is_letter(*reader->at) || typographic(reader))
        return false;
    const char *start = reader->at;
    while (reader->at < reader->end && continues_word(reader))
        reader->at++;
    unsigned length = (unsigned)(reader->at - start);
    *word = (struct mock_word){
        .start = start, .length = length, .classes = mock_classes(start, length), .before = reader->before};
    return true;
}

/* A line break ends a sentence before an empty line, a list item or a capital; else the text is only wrapped.
 */
static bool line_ends_sentence(const char *at, const char *end) {
    bool capital = false;
    for (at++; at < end && (*at == ' ' || *at == '\t'); at++)
        ;
    if (at < end)
        capital = isupper((unsigned char)*at) != 0;
    return at == end || capital || strchr("\n\r-*#0123456789<`", *at) != NULL;
}

static enum mock_break break_at(const struct reader *reader) {
    const char *at = reader->at, *next = at + 1;
    char following = next < reader->end ? *next : ' ';
    if (*at == '\n')
        return line_ends_sentence(at, reader->end) ? BREAK_SENTENCE : BREAK_NONE;
    if (strchr(".!?;", *at))
        return is_letter(following) ? BREAK_NONE : BREAK_SENTENCE;
    if (strchr(",()", *at) || (*at == '-' && following == ' ') || typographic(reader) == 0x94)
        return BREAK_COMMA;
    return BREAK_NONE;
}

struct mock_words mock_read_words(struct arena *arena, const char *text, size_t length, size_t words_max) {
    /* A word and what divides it from the next take two bytes at least. */
    size_t most = length / 2 + 1 < words_max ? length / 2 + 1 : words_max;
    size_t capacity = length / 6 + 8;
    struct mock_words words = {.items = arena_grow(arena, NULL, 0, capacity * sizeof *words.items)};
    struct reader reader = {.text = text, .at = text, .end = text + length, .before = BREAK_SENTENCE};
    while (reader.at < reader.end && words.count < most) {
        if (words.count == capacity) {
            words.items = arena_grow(
                arena, words.items, capacity * sizeof *words.items, 2 * capacity * sizeof *words.items);
            capacity *= 2;
        }
        struct mock_word *word = &words.items[words.count];
        *word = (struct mock_word){0};
        if (read_quoted(&reader, word) || read_word(&reader, word)) {
            words.count++;
            reader.before = BREAK_NONE;
        } else if (reader.at < reader.end) {
            enum mock_break found = break_at(&reader);
            if (found > reader.before)
                reader.before = found;
            reader.at += typographic(&reader) ? 3 : 1;
        }
    }
    return words;
}
