/* What the inputs under a prompt ask for, so that it can be said what the prompt should. */
#include <string.h>

#include "shared/arena.h"
#include "shared/model/mock/evidence.h"

enum { INPUT_BYTES_SEEN = 2000, INPUT_WORDS_SEEN = 120, NAME_WORDS_MAX = 12 };

static enum mock_product wish_of_input(const struct mock_words *words) {
    unsigned classes = 0;
    for (size_t i = 0; i < words->count && (!i || words->items[i].before != BREAK_SENTENCE); i++)
        classes |= words->items[i].classes;
    if (mock_wants_code(words))
        return PRODUCT_CODE;
    if (classes & WORD_TRANSLATE)
        return PRODUCT_TRANSLATION;
    if (classes & WORD_SUMMARISE)
        return PRODUCT_SUMMARY;
    return (classes & WORD_VERSE) && (classes & WORD_MAKE) ? PRODUCT_VERSE : PRODUCT_HELP;
}

static void note_language(struct mock_wish *wish, const char *language) {
    if (!language || wish->languages)
        return;
    wish->languages = wish->language && strcmp(wish->language, language) != 0;
    wish->language = wish->languages ? NULL : language;
}

/* PRODUCT_CHAT: there are no inputs. */
static enum mock_product count_inputs(
    struct arena *arena, const struct mock_evidence *evidence, struct mock_wish *wish) {
    int votes[PRODUCTS] = {0};
    enum mock_product best = PRODUCT_CHAT;
    for (size_t i = 0; i < evidence->failure_count; i++) {
        const char *input = evidence->failures[i].parts[PART_INPUT];
        if (!input)
            continue;
        struct mock_words words =
            mock_read_words(arena, input, strnlen(input, INPUT_BYTES_SEEN), INPUT_WORDS_SEEN);
        votes[wish_of_input(&words)]++;
        note_language(wish, mock_asked_language(&words));
        wish->speech |= mock_named_speech(&words) != NULL;
    }
    for (int product = 0; product < PRODUCTS; product++)
        if (votes[product] > votes[best])
            best = (enum mock_product)product;
    return best;
}

/* "code_generation", "email-writing": what its words name. */
static enum mock_product read_task_type(struct arena *arena, const char *task_type, const char **noun) {
    char *name = arena_string(arena, task_type);
    for (char *c = name; *c; c++)
        *c = strchr("_-./", *c) ? ' ' : *c;
    struct mock_words words = mock_read_words(arena, name, strnlen(name, INPUT_BYTES_SEEN), NAME_WORDS_MAX);
    for (size_t i = 0; i < words.count; i++) {
        const struct mock_word *word = &words.items[i];
        static const struct {
            unsigned class;
            enum mock_product product;
        } table[] = {{WORD_CODE, PRODUCT_CODE}, {WORD_SUMMARISE, PRODUCT_SUMMARY},
            {WORD_TRANSLATE, PRODUCT_TRANSLATION}, {WORD_VERSE, PRODUCT_VERSE}, {WORD_PROSE, PRODUCT_PROSE}};
        for (size_t k = 0; k < sizeof table / sizeof *table; k++)
            if (word->classes & table[k].class) {
                *noun = table[k].class == WORD_PROSE ? arena_copy(arena, word->start, word->length) : NULL;
                return table[k].product;
            }
    }
    return PRODUCT_HELP;
}

static unsigned classes_of_findings(struct arena *arena, const struct mock_findings *findings) {
    unsigned classes = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const char *text = findings->items[i];
        struct mock_words words =
            mock_read_words(arena, text, strnlen(text, INPUT_BYTES_SEEN), INPUT_WORDS_SEEN);
        for (size_t k = 0; k < words.count; k++)
            classes |= words.items[k].classes;
    }
    return classes;
}

static enum mock_product read_analysis(struct arena *arena, const struct mock_evidence *evidence) {
    unsigned classes = classes_of_findings(arena, &evidence->suggestions);
    if (!classes)
        classes = classes_of_findings(arena, &evidence->patterns);
    return classes & WORD_CODE        ? PRODUCT_CODE
           : classes & WORD_SUMMARISE ? PRODUCT_SUMMARY
           : classes & WORD_TRANSLATE ? PRODUCT_TRANSLATION
                                      : PRODUCT_HELP;
}

/* Where nothing else tells: what a prompt asks for that worked, or without any inputs, any prompt. */
static enum mock_product read_prompts(
    struct arena *arena, const struct mock_evidence *evidence, bool only_good) {
    for (size_t i = evidence->prompt_count; i-- > 0;) {
        if (only_good && !evidence->good[i])
            continue;
        enum mock_product product = mock_read_prompt(arena, evidence->prompts[i]).product;
        if (product == PRODUCT_CODE || product == PRODUCT_SUMMARY || product == PRODUCT_TRANSLATION)
            return product;
    }
    return PRODUCT_HELP;
}

struct mock_wish mock_read_wish(struct arena *arena, const struct mock_evidence *evidence) {
    struct mock_wish wish = {.product = PRODUCT_HELP};
    enum mock_product named = PRODUCT_HELP, asked = count_inputs(arena, evidence, &wish);
    if (evidence->task_type)
        named = read_task_type(arena, evidence->task_type, &wish.noun);
    /* A text that is to be summarised may speak of code. */
    if (named != PRODUCT_HELP && (named != PRODUCT_CODE || asked == PRODUCT_CHAT || asked == PRODUCT_HELP))
        wish.product = named;
    else if (asked != PRODUCT_CHAT)
        wish.product = asked;
    else
        wish.product = read_analysis(arena, evidence);
    if (wish.product == PRODUCT_HELP)
        wish.product = read_prompts(arena, evidence, asked != PRODUCT_CHAT || evidence->task_type);
    return wish;
}
