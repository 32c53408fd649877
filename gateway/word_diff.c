/* What changed between two texts, word by word: Myers' greedy algorithm (An O(ND) Difference Algorithm,
 * 1986). White space does not take part in it, else it would pair spaces rather than words. */
#include "gateway/word_diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shared/arena.h"

enum {
    TOKENS_MAX = 100000,  /* of each text */
    EDITS_MAX = 2000,     /* the path of each number of edits is kept: 4 bytes * EDITS_MAX^2 / 2 */
    STEPS_MAX = 10000000, /* comparisons, some 50 ms of them */
};

static const char SPACES[] = " \t\n\r\v\f";

/* A word and the white space behind it; the word is empty where a text begins with white space. */
struct token {
    const char *text;         /* in the text itself */
    size_t word, white_space; /* bytes */
    uint32_t number;          /* the same for equal words */
    bool changed;             /* the other text does not have the word here */
};

struct tokens {
    struct token *items;
    size_t count;
};

struct work {
    struct arena *arena;
    struct tokens before, after;
    long steps; /* left before the answer becomes coarser */
};

/* The token at the start of text; *text is moved behind it. */
typedef struct token (*next_token)(const char **text);

static struct token next_word(const char **text) {
    struct token token = {.text = *text, .word = strcspn(*text, SPACES)};
    token.white_space = strspn(*text + token.word, SPACES);
    *text += token.word + token.white_space;
    return token;
}

static struct token next_line(const char **text) {
    struct token token = {.text = *text, .word = strcspn(*text, "\n")};
    token.white_space = token.text[token.word] ? 1 : 0;
    *text += token.word + token.white_space;
    return token;
}

/* False when there are more than TOKENS_MAX. */
static bool split(struct arena *arena, const char *text, next_token next, struct tokens *tokens) {
    size_t count = 0;
    for (const char *at = text; *at; count++)
        next(&at);
    if (count > TOKENS_MAX)
        return false;
    *tokens = (struct tokens){arena_alloc(arena, count * sizeof *tokens->items), count};
    for (size_t i = 0; i < count; i++)
        tokens->items[i] = next(&text);
    return true;
}

static uint64_t hash_of(const struct token *token) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < token->word; i++)
        hash = (hash ^ (unsigned char)token->text[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* Gives token the number of the first token like it. Whoever chooses the words can make hashes collide, so
 * that looking costs steps too. */
static bool number_token(
    struct work *work, struct token **table, size_t mask, struct token *token, uint32_t number) {
    for (size_t at = hash_of(token) & mask;; at = (at + 1) & mask) {
        struct token *seen = table[at];
        if (!seen) {
            table[at] = token;
            token->number = number;
            return true;
        }
        if (--work->steps < 0)
            return false;
        if (seen->word == token->word && memcmp(seen->text, token->text, token->word) == 0) {
            token->number = seen->number;
            return true;
        }
    }
}

static bool number_tokens(struct work *work) {
    size_t size = 16, total = work->before.count + work->after.count;
    while (size < 2 * total)
        size *= 2;
    struct token **table = arena_alloc(work->arena, size * sizeof *table);
    uint32_t number = 0;
    for (size_t i = 0; i < work->before.count; i++)
        if (!number_token(work, table, size - 1, &work->before.items[i], number++))
            return false;
    for (size_t i = 0; i < work->after.count; i++)
        if (!number_token(work, table, size - 1, &work->after.items[i], number++))
            return false;
    return true;
}

/* What both begin and end with never costs edits. */
static void trim(struct tokens *before, struct tokens *after) {
    while (before->count && after->count && before->items->number == after->items->number) {
        before->items++, before->count--;
        after->items++, after->count--;
    }
    while (before->count && after->count &&
           before->items[before->count - 1].number == after->items[after->count - 1].number)
        before->count--, after->count--;
}

/* The furthest points that d edits reach, one for each diagonal k = x - y in -d, -d + 2 ... d, where x tokens
 * of before and y of after are behind: rows[d][(k + d) / 2] is x. */
struct paths {
    int32_t *rows[EDITS_MAX + 1];
};

static int32_t furthest(const struct paths *paths, int d, int k) {
    return paths->rows[d][(k + d) / 2];
}

/* Where d edits begin on diagonal k, having come by an insertion (from k + 1) or a deletion (from k - 1). */
static bool came_by_insertion(const struct paths *paths, int d, int k) {
    return k == -d || (k != d && furthest(paths, d - 1, k - 1) < furthest(paths, d - 1, k + 1));
}

static int32_t start_of(const struct paths *paths, int d, int k) {
    if (d == 0)
        return 0;
    return came_by_insertion(paths, d, k) ? furthest(paths, d - 1, k + 1) : furthest(paths, d - 1, k - 1) + 1;
}

/* One more edit on every diagonal; *end is the diagonal that has come to the end of both texts. */
static bool extend(struct work *work, const struct tokens *before, const struct tokens *after,
    struct paths *paths, int d, int *end) {
    int32_t length = (int32_t)before->count, width = (int32_t)after->count;
    paths->rows[d] = arena_alloc(work->arena, ((size_t)d + 1) * sizeof **paths->rows);
    for (int k = -d; k <= d; k += 2) {
        int32_t x = start_of(paths, d, k), y = x - k;
        int32_t from = x;
        while (x < length && y < width && before->items[x].number == after->items[y].number)
            x++, y++;
        work->steps -= x - from + 1;
        paths->rows[d][(k + d) / 2] = x;
        if (x == length && y == width) {
            *end = k;
            return true;
        }
    }
    return false;
}

/* Back along the path: each edit marks the token that it deletes or inserts. */
static void mark(
    const struct tokens *before, const struct tokens *after, const struct paths *paths, int d, int k) {
    for (; d > 0; d--) {
        int32_t x = start_of(paths, d, k);
        if (came_by_insertion(paths, d, k)) {
            after->items[x - k - 1].changed = true;
            k++;
        } else {
            before->items[x - 1].changed = true;
            k--;
        }
    }
}

/* False when that would take too long; then nothing is marked. */
static bool compare(struct work *work, const struct tokens *before, const struct tokens *after) {
    struct paths *paths = arena_alloc(work->arena, sizeof *paths);
    for (int d = 0, end; d <= EDITS_MAX && work->steps > 0; d++)
        if (extend(work, before, after, paths, d, &end)) {
            mark(before, after, paths, d, end);
            return true;
        }
    return false;
}

/* False when only a coarser split is cheap enough. */
static bool differ(struct work *work, const char *before, const char *after, next_token next) {
    work->steps = STEPS_MAX;
    if (!split(work->arena, before, next, &work->before) || !split(work->arena, after, next, &work->after) ||
        !number_tokens(work))
        return false;
    struct tokens old = work->before, new = work->after;
    trim(&old, &new);
    return compare(work, &old, &new);
}

/* A text as its beginning, its changed middle and its end, of those that are not empty. */
static struct tokens in_three(struct arena *arena, const char *text, size_t head, size_t tail) {
    size_t length = strlen(text);
    const struct token parts[] = {{.text = text, .word = head},
        {.text = text + head, .word = length - head - tail, .changed = true},
        {.text = text + length - tail, .word = tail}};
    struct tokens tokens = {arena_alloc(arena, sizeof parts), 0};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].word)
            tokens.items[tokens.count++] = parts[i];
    return tokens;
}

/* The words that both begin and end with are equal, and all between them is changed. */
static void differ_in_the_middle(struct work *work, const char *before, const char *after) {
    size_t length = strlen(before), width = strlen(after), shorter = length < width ? length : width;
    size_t head = 0, tail = 0;
    while (head < shorter && before[head] == after[head])
        head++;
    while (tail < shorter - head && before[length - tail - 1] == after[width - tail - 1])
        tail++;
    while (head && !strchr(SPACES, before[head - 1]))
        head--;
    while (tail && !strchr(SPACES, before[length - tail]))
        tail--;
    work->before = in_three(work->arena, before, head, tail);
    work->after = in_three(work->arena, after, head, tail);
}

/* Where the first token from *at on stands that is not changed, the text's end where there is none; *at is
 * moved there. */
static const char *end_of_change(const struct tokens *tokens, size_t *at, const char *end) {
    while (*at < tokens->count && tokens->items[*at].changed)
        ++*at;
    return *at < tokens->count ? tokens->items[*at].text : end;
}

/* Where what is equal from tokens *x and *y on ends, in before: at the next change, or between a word and the
 * white space behind it, when that differs. They are moved behind the last equal word. */
static const char *end_of_equal(const struct work *work, size_t *x, size_t *y) {
    const char *end = work->before.items[*x].text;
    while (*x < work->before.count && *y < work->after.count) {
        const struct token *old = &work->before.items[*x], *new = &work->after.items[*y];
        if (old->changed || new->changed)
            break;
        ++*x, ++*y;
        end = old->text + old->word;
        if (old->white_space != new->white_space || memcmp(end, new->text + new->word, old->white_space) != 0)
            break;
        end += old->white_space;
    }
    return end;
}

struct runs {
    struct word_run *items;
    size_t count;
};

static void add_run(
    struct arena *arena, struct runs *runs, enum word_run_op op, const char *start, const char *end) {
    if (start != end)
        runs->items[runs->count++] =
            (struct word_run){.op = op, .text = arena_copy(arena, start, (size_t)(end - start))};
}

const struct word_run *word_diff(struct arena *arena, const char *before, const char *after, size_t *count) {
    struct work work = {.arena = arena};
    if (!differ(&work, before, after, next_word) && !differ(&work, before, after, next_line))
        differ_in_the_middle(&work, before, after);
    /* A token begins at most one run, and where it parts from its white space two more. */
    size_t runs_max = 3 * (work.before.count + work.after.count);
    struct runs runs = {arena_alloc(arena, runs_max * sizeof *runs.items), 0};
    const char *before_end = before + strlen(before), *after_end = after + strlen(after);
    for (size_t x = 0, y = 0; before != before_end || after != after_end;) {
        const char *old = end_of_change(&work.before, &x, before_end);
        const char *new = end_of_change(&work.after, &y, after_end);
        add_run(arena, &runs, WORD_RUN_OP_DELETED, before, old);
        add_run(arena, &runs, WORD_RUN_OP_INSERTED, after, new);
        before = old;
        after = new;
        if (x == work.before.count)
            break;
        old = end_of_equal(&work, &x, &y);
        add_run(arena, &runs, WORD_RUN_OP_EQUAL, before, old);
        after += old - before;
        before = old;
    }
    *count = runs.count;
    return runs.items;
}
