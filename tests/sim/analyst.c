/* Reads the judge's reasonings, looks into the prompt for their causes, and suggests what to order. */
#include "tests/sim/analyst.h"

#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "tests/sim/chance.h"
#include "tests/sim/orders.h"
#include "tests/sim/parts.h"

struct findings {
    struct arena *arena;
    ability_set missing;
    int counts[ABILITIES]; /* of the failures that miss it */
    int failures;
    harm_set seen;
    struct orders prompt; /* what the failing prompt orders */
    uint64_t chance;
};

struct list {
    struct buffer text; /* JSON */
    int count;
};

static void add(struct list *list, const char *sentence) {
    buffer_string(&list->text, list->count++ ? ", " : "[");
    json_write_string(&list->text, sentence);
}

static const char *end(struct list *list) {
    buffer_string(&list->text, list->count ? "]" : "[]");
    return buffer_text(&list->text);
}

/* A reasoning speaks of an ability because it is missing, whichever way it says so. */
static void read_reasoning(struct findings *findings, const char *line) {
    struct words words = words_read(findings->arena, line);
    ability_set asked, forbidden;
    abilities_read(&words, 0, words.count, &asked, &forbidden);
    for (int i = 0; i < ABILITIES; i++)
        findings->counts[i] += (asked | forbidden) >> i & 1;
    findings->missing |= asked | forbidden;
    findings->seen |= harms_named(&words);
    findings->failures++;
}

static void read_reasonings(struct findings *findings, const char *text) {
    const char *lines = parts_reasonings(findings->arena, text);
    for (const char *line = lines; *line; line += *line == '\n') {
        size_t length = strcspn(line, "\n");
        read_reasoning(findings, arena_copy(findings->arena, line, length));
        line += length;
    }
}

static const char *patterns(struct findings *findings) {
    struct list list = {buffer_in(findings->arena), 0};
    for (int i = 0; i < HARMS; i++)
        if (findings->seen & HARM(i))
            add(&list, HARM_ROWS[i].seen);
    for (int i = 0; i < ABILITIES; i++) {
        const char *missing = ABILITY_ROWS[i].missing[0];
        if (findings->missing & ABILITY(i))
            add(&list, arena_format(findings->arena, "%.*s (%d of %d).", (int)strlen(missing) - 1, missing,
                           findings->counts[i], findings->failures));
    }
    return end(&list);
}

static const char *causes(struct findings *findings) {
    struct list list = {buffer_in(findings->arena), 0};
    for (int i = 0; i < HARMS; i++)
        if (findings->prompt.harms & HARM(i))
            add(&list,
                arena_format(findings->arena, "The prompt does harm by an order %s.", HARM_ROWS[i].label));
    for (int i = 0; i < ABILITIES; i++) {
        const char *name = ABILITY_ROWS[i].name;
        if (!(findings->missing & ABILITY(i)))
            continue;
        if (findings->prompt.forbidden & ABILITY(i))
            add(&list, arena_format(findings->arena, "The prompt contradicts the need for %s.", name));
        else if (!(findings->prompt.asked & ABILITY(i)))
            add(&list, arena_format(findings->arena, "The prompt does not ask for %s.", name));
    }
    return end(&list);
}

static const char *suggestions(struct findings *findings) {
    struct list list = {buffer_in(findings->arena), 0};
    harm_set harms = findings->seen | findings->prompt.harms;
    for (int i = 0; i < HARMS; i++)
        if (harms & HARM(i))
            add(&list, arena_format(findings->arena, "Remove every order %s.", HARM_ROWS[i].label));
    for (int i = 0; i < ABILITIES; i++)
        if (findings->missing & ABILITY(i))
            add(&list, ABILITY_ROWS[i].order[(findings->chance >> i) % WORDINGS]);
    return end(&list);
}

static const char OFF_TOPIC[] = "{\"failure_patterns\": [\"The answers say too little of gardens.\"], "
                                "\"root_causes\": [\"The prompt is silent on "
                                "roses.\"], \"improvement_suggestions\": [\"Mention the weather in every "
                                "answer.\", \"Talk about gardening "
                                "first.\"]}";

const char *analyst_answer(struct arena *arena, const char *message, bool off_topic) {
    if (off_topic)
        return OFF_TOPIC;
    struct findings findings = {.arena = arena, .chance = chance_of(0, message, "")};
    struct parts parts = parts_read(arena, message);
    const char *prompt = parts_find(&parts, PART_PROMPT);
    findings.prompt = orders_of(arena, prompt ? prompt : "");
    read_reasonings(&findings, message);
    const char *first = patterns(&findings), *second = causes(&findings), *third = suggestions(&findings);
    return arena_format(arena,
        "{\"failure_patterns\": %s, \"root_causes\": %s, \"improvement_suggestions\": %s}", first, second,
        third);
}
