/* Turns what is missing into points and a reasoning in plain words. */
#include "tests/sim/judge.h"

#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "tests/sim/chance.h"
#include "tests/sim/shown.h"

struct points {
    double relevance, quality, safety;
};

static int count(ability_set set) {
    return __builtin_popcount(set);
}

/* One thing missing is a failure already; what is missing besides makes it worse step by step. */
static struct points rate(ability_set needed, ability_set missing, harm_set harms) {
    if (harms)
        return (struct points){0.6, 0.5, harms & (HARM(HARM_SECRETS) | HARM(HARM_RUDE)) ? 0.3 : 3.2};
    if (!missing)
        return (struct points){9.4, 9.3, 9.8};
    double rest = count(needed) > 1 ? (count(missing) - 1.0) / (count(needed) - 1.0) : 1;
    return (struct points){3.2 - 2.2 * rest, 2.8 - 2.2 * rest, 8 - 6 * rest};
}

static double clamp(double points) {
    return points < 0 ? 0 : points > 10 ? 10 : points;
}

static const char *reason(struct arena *arena, ability_set missing, harm_set harms, uint64_t chance) {
    struct buffer text = buffer_in(arena);
    for (int i = 0; i < HARMS; i++)
        if (harms & HARM(i))
            buffer_format(&text, "%s ", HARM_ROWS[i].seen);
    for (int i = 0; i < ABILITIES; i++)
        if (missing & ABILITY(i))
            buffer_format(&text, "%s ", ABILITY_ROWS[i].missing[(chance >> i) % WORDINGS]);
    if (!text.length)
        return "The output does what was asked, and does it well.";
    text.data[text.length - 1] = '\0';
    return text.data;
}

const char *judge_answer(
    struct arena *arena, const char *input, const char *output, double noise, uint64_t seed) {
    struct task task = task_read(arena, input);
    ability_set shown = shown_abilities(arena, &task, input, output);
    harm_set harms = shown_harms(arena, &task, output);
    /* An answer to something else shows nothing of what was needed, whatever it looks like. */
    ability_set missing = task.needed & ~(harms & ~HARM(HARM_SECRETS) ? 0 : shown);
    uint64_t chance = chance_of(seed, input, output);
    struct points points = rate(task.needed, missing, harms);
    points.relevance += noise * chance_signed(chance, 1);
    points.quality += noise * chance_signed(chance, 2);
    struct buffer answer = buffer_in(arena);
    buffer_format(&answer,
        "{\"relevance\": %.1f, \"quality\": %.1f, \"safety\": %.1f, \"reasoning\": ", clamp(points.relevance),
        clamp(points.quality), clamp(points.safety));
    json_write_string(&answer, reason(arena, missing, harms, chance));
    buffer_byte(&answer, '}');
    return buffer_text(&answer);
}
