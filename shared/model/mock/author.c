/* The mock model as an author of prompts: what works in the prompts it is given stays, what an analysis calls
 * a cause goes, and what it suggests becomes an instruction. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/mock/evidence.h"

enum { COPIED_WORDS = 5, TEXT_WORDS_MAX = 3000, LINES_MAX = 24, LINE_BYTES_MAX = 400, QUOTE_WORDS_MIN = 3 };

/* A text's words, without what stands between them. */
struct plain_words {
    struct mock_word *items;
    size_t count;
};

struct draft {
    struct arena *arena;
    const struct mock_evidence *evidence;
    struct plain_words inputs[MOCK_FAILURES_MAX];
    struct mock_wish wish;
    struct buffer text;
    bool strict; /* only what asks for what is wanted is kept of the base prompts */
};

/* Copies: five words in a row, in any case, whatever stands between them. */

static struct plain_words split(struct arena *arena, const char *text) {
    size_t most = strnlen(text, 2 * TEXT_WORDS_MAX) / 2 + 1;
    struct plain_words words = {.items = arena_alloc(arena, most * sizeof *words.items)};
    while (*text && words.count < most) {
        const char *start = text;
        while (isalnum((unsigned char)*text) || (*text & 0x80))
            text++;
        if (text > start)
            words.items[words.count++] =
                (struct mock_word){.start = start, .length = (unsigned)(text - start)};
        else
            text++;
    }
    return words;
}

static bool same_words(const struct mock_word *left, const struct mock_word *right, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (left[i].length != right[i].length ||
            strncasecmp(left[i].start, right[i].start, left[i].length) != 0)
            return false;
    return true;
}

/* Whether run words in a row of one are in the other. */
static bool shares_words(const struct plain_words *one, const struct plain_words *other, size_t run) {
    for (size_t i = 0; i + run <= one->count; i++)
        for (size_t k = 0; k + run <= other->count; k++)
            if (same_words(&one->items[i], &other->items[k], run))
                return true;
    return false;
}

static bool copies_input(const struct draft *draft, const char *line) {
    struct plain_words words = split(draft->arena, line);
    for (size_t i = 0; i < draft->evidence->failure_count; i++)
        if (shares_words(&words, &draft->inputs[i], COPIED_WORDS))
            return true;
    return false;
}

/* Keeping. */

/* Whether a cause quotes the order, or the order the cause's quotation. */
static bool is_named_cause(const struct draft *draft, const char *order) {
    struct plain_words said = split(draft->arena, order);
    for (size_t i = 0; i < draft->evidence->causes.count; i++) {
        const char *open = strchr(draft->evidence->causes.items[i], '"');
        const char *close = open ? strrchr(open + 1, '"') : NULL;
        if (!close)
            continue;
        struct plain_words quoted =
            split(draft->arena, arena_copy(draft->arena, open + 1, (size_t)(close - open) - 1));
        size_t shorter = quoted.count < said.count ? quoted.count : said.count;
        if (shorter && (shorter >= QUOTE_WORDS_MIN || quoted.count == said.count) &&
            shares_words(&said, &quoted, shorter))
            return true;
    }
    return false;
}

static bool stands_in(const struct draft *draft, const char *line) {
    struct plain_words said = split(draft->arena, line),
                       there = split(draft->arena, draft->text.data ? draft->text.data : "");
    return said.count && shares_words(&said, &there, said.count);
}

static bool is_kept(const struct draft *draft, const struct mock_order *order) {
    if (order->harm != HARM_NONE || is_named_cause(draft, order->text))
        return false;
    return !draft->strict || order->product == draft->wish.product;
}

static void append_kept(struct draft *draft, const char *prompt, size_t from, size_t to) {
    /* No empty lines where something was cut. */
    while (from < to && (!draft->text.length || draft->text.data[draft->text.length - 1] == '\n') &&
           isspace((unsigned char)prompt[from]) && prompt[from] == '\n')
        from++;
    buffer_append(&draft->text, prompt + from, to - from);
}

static void end_line(struct buffer *text) {
    while (text->length && isspace((unsigned char)text->data[text->length - 1]))
        text->data[--text->length] = '\0';
    if (text->length)
        buffer_byte(text, '\n');
}

/* The first prompt stays as it is written, without its harmful orders. */
static void keep_text(struct draft *draft, const char *prompt, const struct mock_orders *orders) {
    size_t at = 0;
    for (size_t i = 0; i < orders->count; i++) {
        if (is_kept(draft, &orders->items[i]))
            continue;
        append_kept(draft, prompt, at, orders->items[i].from);
        at = orders->items[i].to;
    }
    if (orders->count)
        append_kept(draft, prompt, at, strlen(prompt));
    end_line(&draft->text);
}

/* Of any further prompt, what is not yet said. */
static void keep_orders(struct draft *draft, const struct mock_orders *orders) {
    for (size_t i = 0; i < orders->count; i++)
        if (is_kept(draft, &orders->items[i]) && !stands_in(draft, orders->items[i].text))
            buffer_format(&draft->text, "- %s\n", orders->items[i].text);
}

/* Adding. */

/* Suggestions speak of the prompt; instructions to the model. */
static const char *as_instruction(struct arena *arena, const char *suggestion) {
    static const struct {
        const char *said, *meant;
    } forms[] = {
        {"the prompt should ask for ", "Write "},
        {"the prompt must ask for ", "Write "},
        {"ask for ", "Write "},
        {"ask the model to ", ""},
        {"tell the model to ", ""},
        {"instruct the model to ", ""},
        {"add an instruction to ", ""},
        {"the prompt should ", ""},
        {"the prompt must ", ""},
    };
    const char *meant = "";
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strncasecmp(suggestion, forms[i].said, strlen(forms[i].said)) == 0) {
            suggestion += strlen(forms[i].said);
            meant = forms[i].meant;
            break;
        }
    char *line = arena_format(arena, "%s%s", meant, suggestion);
    line[0] = (char)toupper((unsigned char)line[0]);
    size_t length = strlen(line);
    bool ended = length && strchr(".!?:", line[length - 1]);
    return ended ? line : arena_format(arena, "%s.", line);
}

static void add_line(struct draft *draft, const char *line) {
    if (!stands_in(draft, line) && !copies_input(draft, line))
        buffer_format(&draft->text, "- %s\n", line);
}

/* A suggestion that would do harm itself is none. */
static void add_suggestions(struct draft *draft) {
    const struct mock_findings *suggestions = &draft->evidence->suggestions;
    for (size_t i = 0; i < suggestions->count && i < LINES_MAX; i++) {
        const char *line = as_instruction(draft->arena, suggestions->items[i]);
        struct mock_orders orders = mock_read_orders(draft->arena, line, &draft->wish);
        bool harmful = strlen(line) > LINE_BYTES_MAX;
        for (size_t k = 0; k < orders.count; k++)
            harmful |= orders.items[k].harm != HARM_NONE && orders.items[k].harm != HARM_ASTRAY;
        if (!harmful)
            add_line(draft, line);
    }
}

static bool asks_for_what_is_wanted(const struct draft *draft) {
    const char *text = draft->text.data ? draft->text.data : "";
    enum mock_product product = mock_read_prompt(draft->arena, text).product, wanted = draft->wish.product;
    if (wanted == PRODUCT_HELP || wanted == PRODUCT_PROSE)
        return product == PRODUCT_HELP || product == PRODUCT_PROSE || product == PRODUCT_SUMMARY ||
               product == PRODUCT_TRANSLATION || product == PRODUCT_JSON;
    return product == wanted;
}

/* "Repair the active prompt", "rewrite the good version", "write it anew": which prompts the draft is made
 * from; without a word about it, or to merge them, all. */
static bool is_base(const struct draft *draft, size_t prompt) {
    const char *order = draft->evidence->order ? draft->evidence->order : "";
    static const char *const all[] = {"merge", "combine", "both"}, *const none[] = {"anew", "from scratch"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcasestr(order, all[i]))
            return true;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (strcasestr(order, none[i]))
            return false;
    bool good = strcasestr(order, "good") || strcasestr(order, "worked"),
         active = strcasestr(order, "active") || strcasestr(order, "failing");
    return good == active || draft->evidence->good[prompt] == good;
}

static void write_draft(struct draft *draft) {
    draft->text = buffer_in(draft->arena);
    for (size_t i = 0; i < draft->evidence->prompt_count; i++) {
        if (!is_base(draft, i))
            continue;
        const char *prompt = draft->evidence->prompts[i];
        struct mock_orders orders = mock_read_orders(draft->arena, prompt, &draft->wish);
        if (draft->text.length)
            keep_orders(draft, &orders);
        else
            keep_text(draft, prompt, &orders);
    }
    add_suggestions(draft);
}

/* In few words, because the analysis did not say it, or not so that it is understood. */
static void add_demand(struct draft *draft) {
    static const char *const demands[PRODUCTS] = {[PRODUCT_CODE] = "Always write code.",
        [PRODUCT_SUMMARY] = "Always summarise the text.",
        [PRODUCT_TRANSLATION] = "Always translate the text.",
        [PRODUCT_VERSE] = "Always write verse.",
        [PRODUCT_PROSE] = "Help the user.",
        [PRODUCT_HELP] = "Help the user."};
    buffer_format(&draft->text, "- %s\n", demands[draft->wish.product]);
}

void mock_write_prompt(struct buffer *answer, const char *user) {
    struct arena *arena = answer->arena;
    struct mock_evidence *evidence = arena_alloc(arena, sizeof *evidence);
    mock_read_evidence(arena, user, evidence);
    struct draft draft = {.arena = arena, .evidence = evidence, .wish = mock_read_wish(arena, evidence)};
    for (size_t i = 0; i < evidence->failure_count; i++)
        if (evidence->failures[i].parts[PART_INPUT])
            draft.inputs[i] = split(arena, evidence->failures[i].parts[PART_INPUT]);
    write_draft(&draft);
    if (!asks_for_what_is_wanted(&draft))
        add_demand(&draft);
    if (!asks_for_what_is_wanted(&draft)) {
        draft.strict = true;
        write_draft(&draft);
        if (!asks_for_what_is_wanted(&draft))
            add_demand(&draft);
    }
    end_line(&draft.text);
    buffer_append(answer, draft.text.data, draft.text.length ? draft.text.length - 1 : 0);
}
