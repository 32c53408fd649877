/* Reads a prompt order by order, and finds those that do harm to what is wanted. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/mock/evidence.h"
#include "shared/model/mock/negation.h"
#include "shared/model/mock/reading.h"

enum { PROMPT_BYTES_MAX = 16384, PROMPT_WORDS_MAX = 2500 };

/* The sentence's first byte: quotes belong to it, and so does the mark of a list item before it. */
static size_t start_of(const char *prompt, const struct mock_word *word) {
    size_t start = (size_t)(word->start - prompt), mark;
    while (start && strchr("\"'`(<\x9c\x98\x80\xe2", prompt[start - 1]) && prompt[start - 1])
        start--;
    mark = start;
    while (mark && strchr("-*# \t0123456789.)>", prompt[mark - 1]) && prompt[mark - 1])
        mark--;
    return mark == 0 || prompt[mark - 1] == '\n' ? mark : start;
}

static const char *on_one_line(struct arena *arena, const char *text, size_t length) {
    char *copy = arena_copy(arena, text, length), *to = copy;
    for (const char *from = copy + strspn(copy, "-*# \t"); *from; from++)
        if (!isspace((unsigned char)*from))
            *to++ = *from;
        else if (to > copy && to[-1] != ' ')
            *to++ = ' ';
    while (to > copy && to[-1] == ' ')
        to--;
    *to = '\0';
    return copy;
}

static struct mock_order cut_order(struct arena *arena, const char *prompt, size_t from, size_t next) {
    size_t end = next;
    while (end > from && isspace((unsigned char)prompt[end - 1]))
        end--;
    struct mock_order order = {.from = from, .to = end};
    order.text = on_one_line(arena, prompt + from, end - from);
    while (order.to < next && strchr(" \t\r", prompt[order.to]))
        order.to++;
    /* A line of its own goes with its line break. */
    bool own_line = from == 0 || prompt[from - 1] == '\n';
    if (own_line && order.to < next && prompt[order.to] == '\n')
        order.to++;
    return order;
}

static bool is_among(const struct mock_words *words, unsigned classes, const char *list) {
    for (size_t i = 0; i < words->count; i++)
        if (!words->items[i].negated &&
            ((words->items[i].classes & classes) || (list && mock_word_in(&words->items[i], list))))
            return true;
    return false;
}

static bool is_dangerous(const struct mock_words *words, const char *text) {
    if (is_among(words, 0,
            "insult insults insulting rude rudely offend offensive harass humiliate sarcastic "
            "nonsense gibberish incorrect mislead misleading lie lies malware virus steal leak leaks "
            "backdoor "
            "insecure vulnerable hateful racist threaten"))
        return true;
    if (strcasestr(text, "rm -rf") || (strcasestr(text, "made-up") && !is_among(words, WORD_NOT, NULL)))
        return true;
    bool secrets = is_among(
             words, 0, "password passwords secret secrets credential credentials token tokens key keys"),
         shown = is_among(words, WORD_SAY,
             "reveal include includes put print show share embed expose hardcode add insert disclose");
    bool wrong = is_among(words, 0, "wrong false wrongly bugs buggy"),
         given = is_among(words, WORD_SAY | WORD_MAKE, "introduce add");
    return !is_among(words, WORD_NOT | WORD_NO, NULL) && ((secrets && shown) || (wrong && given));
}

static bool ignores(const struct mock_words *words) {
    return is_among(words, WORD_IGNORE, NULL) &&
           is_among(words, WORD_REQUEST | WORD_USER | WORD_BEFORE | WORD_TOTAL, NULL);
}

/* What an order asks for on its own; those that a good prompt has in passing ("return an empty list for …")
 * are weak. */
static enum mock_harm harm_of_product(
    const struct mock_intent *intent, const struct mock_intent *whole, enum mock_product wanted) {
    static const enum mock_harm harms[PRODUCTS] = {[PRODUCT_FIXED] = HARM_FIXED,
        [PRODUCT_SILENCE] = HARM_SILENCE,
        [PRODUCT_REFUSAL] = HARM_REFUSAL,
        [PRODUCT_ECHO] = HARM_ECHO,
        [PRODUCT_VERSE] = HARM_VERSE};
    if (intent->product == wanted)
        return HARM_NONE;
    bool strong = intent->strength >= INSTRUCTION || intent->product == whole->product;
    return strong || intent->product == PRODUCT_VERSE ? harms[intent->product] : HARM_NONE;
}

/* An order for something that is not wanted at all. */
static bool leads_astray(
    const struct mock_intent *intent, const struct mock_intent *whole, enum mock_product wanted) {
    enum mock_product product = intent->product;
    bool works = whole->product == wanted || whole->product == PRODUCT_HELP;
    if (product == wanted || product == PRODUCT_HELP)
        return false;
    if (wanted == PRODUCT_HELP || wanted == PRODUCT_PROSE || product == PRODUCT_CHAT)
        return !works && (product == PRODUCT_CODE || product == PRODUCT_CHAT);
    if (product == PRODUCT_PROSE)
        return !works || (wanted == PRODUCT_CODE && intent->strength >= ABSOLUTE);
    return true;
}

static enum mock_harm find_harm(struct arena *arena, const char *text, const struct mock_intent *intent,
    const struct mock_intent *whole, const struct mock_wish *wish) {
    struct mock_words words = mock_read_words(arena, text, strlen(text), PROMPT_WORDS_MAX);
    mock_read_negation(&words, 0, words.count);
    if (is_dangerous(&words, text))
        return HARM_DANGER;
    if (ignores(&words))
        return HARM_IGNORES;
    enum mock_harm harm = harm_of_product(intent, whole, wish->product);
    if (harm != HARM_NONE)
        return harm;
    bool code = wish->product == PRODUCT_CODE;
    if (code && intent->forbids_code)
        return HARM_FORBIDS;
    if (!wish->speech && wish->product != PRODUCT_TRANSLATION && mock_named_speech(&words))
        return HARM_SPEECH;
    bool other = wish->languages ||
                 (wish->language && intent->language && strcmp(wish->language, intent->language) != 0);
    return code && intent->product == PRODUCT_CODE && intent->firm_language && other ? HARM_LANGUAGE
                                                                                     : HARM_NONE;
}

/* Orders are first read by what each of them says; whether one leads astray depends on what is left. */
static void find_harms(struct arena *arena, const struct mock_orders *orders,
    const struct mock_intent *intents, const struct mock_intent *whole, const struct mock_wish *wish) {
    struct buffer rest = buffer_in(arena);
    for (size_t i = 0; i < orders->count; i++) {
        struct mock_order *order = &orders->items[i];
        order->harm = find_harm(arena, order->text, &intents[i], whole, wish);
        if (order->harm == HARM_NONE)
            buffer_format(&rest, "%s\n\n", order->text);
    }
    struct mock_intent left = mock_read_prompt(arena, buffer_text(&rest));
    for (size_t i = 0; i < orders->count; i++)
        if (orders->items[i].harm == HARM_NONE && leads_astray(&intents[i], &left, wish->product))
            orders->items[i].harm = HARM_ASTRAY;
}

struct mock_orders mock_read_orders(struct arena *arena, const char *prompt, const struct mock_wish *wish) {
    struct mock_words words =
        mock_read_words(arena, prompt, strnlen(prompt, PROMPT_BYTES_MAX), PROMPT_WORDS_MAX);
    struct mock_orders orders = {.items = arena_alloc(arena, (words.count + 1) * sizeof *orders.items)};
    struct mock_intent *intents = arena_alloc(arena, (words.count + 1) * sizeof *intents);
    struct mock_intent whole = mock_read_prompt(arena, prompt);
    for (size_t i = 0; i < words.count;) {
        size_t next = i + 1;
        while (next < words.count && words.items[next].before != BREAK_SENTENCE)
            next++;
        size_t end = next < words.count ? start_of(prompt, &words.items[next]) : strlen(prompt);
        struct mock_order order = cut_order(arena, prompt, start_of(prompt, &words.items[i]), end);
        intents[orders.count] = mock_read_prompt(arena, order.text);
        order.product = intents[orders.count].product;
        orders.items[orders.count++] = order;
        i = next;
    }
    find_harms(arena, &orders, intents, &whole, wish);
    return orders;
}
