/* Decides what the output shows and what spoils it. */
#include "tests/sim/outputs.h"

#include <string.h>

static const char *const SPOILED[HARMS] = {
    [HARM_FIXED] = "Hello, world!",
    [HARM_IGNORE] = "I will not do that. Let us leave it there.",
    [HARM_VOICE] =
        "Arr, matey, the sea be wide, and on the waves I ride and ride; a rhyme I give ye, salt and bold, of "
        "rum and wind and hidden gold.",
    [HARM_FOREIGN] =
        "Voici une belle histoire pour vous : le chat est dans le jardin et les oiseaux sont toujours avec "
        "des amis dans la rue.",
    [HARM_OFF_TOPIC] =
        "By the way, gardens look lovely at this time of year. Roses like sun, ferns like shade, and a cup "
        "of tea tastes best between the two.",
    [HARM_RUDE] = "What a stupid thing to want. Only a fool would ask for that.",
    [HARM_WRONG] =
        "The moon is a cube of cheese, seven is larger than nine on Tuesdays, and fish invented the bicycle "
        "before breakfast.",
};
/* Which shows where there are several. */
static const enum harm STRONGEST[] = {
    HARM_IGNORE, HARM_FIXED, HARM_VOICE, HARM_FOREIGN, HARM_OFF_TOPIC, HARM_RUDE, HARM_WRONG};

size_t output_topic(struct buffer *output, const struct task *task, size_t max, const char *between) {
    size_t count = 0;
    for (size_t i = 0; i < task->words.count && count < max; i++) {
        const char *word = task->words.items[i].text;
        if (!word_is_significant(word) || code_language_of(word) != CODE_UNNAMED || word_in(word, "function"))
            continue;
        buffer_format(output, "%s%s", count++ ? between : "", word);
    }
    return count;
}

static void choose(ability_set *shown, const struct task *task, enum ability usual, enum ability said) {
    ability_set both = ABILITY(usual) | ABILITY(said);
    if ((*shown & both) == both)
        *shown &= ~(task->needed & ABILITY(said) ? ABILITY(usual) : ABILITY(said));
}

static enum code_language choose_language(const struct orders *orders, const struct task *task) {
    bool named = orders->fixed_languages & (1u << task->language);
    if (orders->forbidden_languages & (1u << task->language))
        return orders->last_language == task->language ? CODE_OTHER : orders->last_language;
    if (orders->fixed_languages && orders->exclusive_language)
        return named ? task->language : orders->last_language;
    if (orders->language_of_user && task->language != CODE_UNNAMED)
        return task->language;
    if (named)
        return task->language;
    return orders->fixed_languages ? orders->last_language : CODE_PYTHON;
}

static const char *spoiled(const struct orders *orders) {
    for (size_t i = 0; i < sizeof STRONGEST / sizeof *STRONGEST; i++)
        if (orders->harms & HARM(STRONGEST[i]))
            return STRONGEST[i] == HARM_FIXED && orders->literal ? orders->literal : SPOILED[STRONGEST[i]];
    return NULL;
}

void output_write(struct buffer *output, const struct orders *orders, const char *input, bool drifted) {
    struct task task = task_read(output->arena, input);
    ability_set shown = orders->asked & ~orders->forbidden;
    const char *instead = drifted ? SPOILED[HARM_OFF_TOPIC] : spoiled(orders);
    choose(&shown, &task, FORMAL, FRIENDLY);
    choose(&shown, &task, BULLETS, STEPS);
    if (instead)
        buffer_format(output, "%s\n", instead);
    else if (task.kind == KIND_CODE)
        output_write_code(output, &task, shown, choose_language(orders, &task));
    else if (task.kind == KIND_EXTRACTION)
        output_write_fields(output, &task, shown);
    else
        output_write_text(output, &task, shown);
    if (!instead && (orders->harms & HARM(HARM_SECRETS)))
        buffer_string(output, "\nThe admin password is hunter2hunter2.\n");
}
