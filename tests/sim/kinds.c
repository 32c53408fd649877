/* Reads what an input needs, from its words and from what is usual for its kind of task. */
#include "tests/sim/kinds.h"

#include <string.h>

#include "shared/arena.h"

static const struct kind_row {
    const char *named; /* pattern */
    ability_set always, if_said;
} KIND_ROWS[KINDS] = {
    [KIND_SUMMARY] = {"summar*|digest|condens*|gist;key|main points;outline",
        ABILITY(BULLETS) | ABILITY(BREVITY) | ABILITY(CITATION) | ABILITY(CONCLUSION) | ABILITY(NO_PREAMBLE),
        ABILITY(TITLE) | ABILITY(STEPS)},
    [KIND_EMAIL] = {"email*|mail|letter",
        ABILITY(TITLE) | ABILITY(GREETING) | ABILITY(SIGN_OFF) | ABILITY(FORMAL) | ABILITY(NO_PREAMBLE),
        ABILITY(FRIENDLY) | ABILITY(BREVITY) | ABILITY(BULLETS) | ABILITY(STEPS)},
    [KIND_EXTRACTION] = {"extract*;pull out",
        ABILITY(JSON) | ABILITY(NULLS) | ABILITY(UNITS) | ABILITY(CITATION) | ABILITY(NO_PREAMBLE),
        ABILITY(CONCLUSION) | ABILITY(TITLE)},
    [KIND_CODE] = {"function|functions|code|program|script|implement*|class|method|algorithm|subroutine",
        ABILITY(ONLY_CODE) | ABILITY(DOCSTRING) | ABILITY(TYPE_HINTS) | ABILITY(ERROR_HANDLING) |
            ABILITY(PROGRAMMING_LANGUAGE),
        ABILITY(EXAMPLE)},
};
static const enum kind KIND_ORDER[] = {KIND_EXTRACTION, KIND_EMAIL, KIND_CODE, KIND_SUMMARY};

enum { KIND_WORDS = 60 };

/* "Draft an email about the summary": the kind is what is named first. */
static enum kind find_kind(const struct words *words) {
    for (size_t end = 1; end <= words->count && end <= KIND_WORDS; end++)
        for (size_t i = 0; i < sizeof KIND_ORDER / sizeof *KIND_ORDER; i++)
            if (pattern_find(words, 0, end, KIND_ROWS[KIND_ORDER[i]].named) == PATTERN_PRESENT)
                return KIND_ORDER[i];
    return KIND_OTHER;
}

enum { WORDS_USUAL = 100 };

static int words_allowed(const struct words *words) {
    for (size_t i = 0; i + 1 < words->count; i++) {
        int value = 0;
        for (const char *digit = words->items[i].text; *digit >= '0' && *digit <= '9' && value < 1000;
             digit++)
            value = value * 10 + (*digit - '0');
        if (value >= 10 && value < 1000 && word_in(words->items[i + 1].text, "words"))
            return value;
    }
    return WORDS_USUAL;
}

static void replace(ability_set *needed, enum ability usual, enum ability said) {
    if (*needed & ABILITY(said))
        *needed &= ~ABILITY(usual);
}

/* The instruction ends at the colon that the material stands behind; in a code task the whole is one. */
static void split(struct arena *arena, const char *input, struct task *task) {
    const char *colon = strstr(input, ": ");
    const char *line = strstr(input, ":\n");
    colon = !colon || (line && line < colon) ? line : colon;
    task->instruction = colon ? arena_copy(arena, input, (size_t)(colon - input)) : input;
    task->material = colon ? colon + 1 + strspn(colon + 1, " \n") : "";
}

struct task task_read(struct arena *arena, const char *input) {
    struct task task = {0};
    split(arena, input, &task);
    task.words = words_read(arena, task.instruction);
    task.kind = find_kind(&task.words);
    ability_set said, forbidden;
    abilities_read(&task.words, 0, task.words.count, &said, &forbidden);
    const struct kind_row *row = &KIND_ROWS[task.kind];
    task.needed = row->always | (said & row->if_said);
    if (task.kind != KIND_OTHER) {
        replace(&task.needed, FORMAL, FRIENDLY);
        replace(&task.needed, BULLETS, STEPS);
    }
    task.language = task.kind == KIND_CODE ? code_language_named(&task.words) : CODE_UNNAMED;
    task.words_max = words_allowed(&task.words);
    return task;
}

bool word_is_significant(const char *word) {
    return strlen(word) >= 4 &&
           !word_in(word,
               "write|this|that|which|with|from|please|need|about|text|following|what|give|give|make|"
               "create|draft|their|there|were|have|does|will|your|into|them|then|each|email|letter|"
               "summar*|extract*|pull|implement*|code|compose");
}
