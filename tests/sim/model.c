/* Chooses the role, and remembers what prompts it has read: they come again and again. */
#include "tests/sim/model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "tests/sim/analyst.h"
#include "tests/sim/chance.h"
#include "tests/sim/judge.h"
#include "tests/sim/orders.h"
#include "tests/sim/outputs.h"
#include "tests/sim/parts.h"

enum { PROMPTS_KEPT = 1024 };

/* A prompt that was read; where two fall on one slot, the later one takes it. */
struct known_prompt {
    struct arena *arena; /* owns text and what orders points at; NULL: free */
    const char *text;
    enum role role;
    struct orders orders; /* of ROLE_AUTHOR */
    int64_t calls;
};

struct sim_model {
    struct sim_options options;
    struct known_prompt known[PROMPTS_KEPT];
};

struct sim_model *sim_model_open(const struct sim_options *options) {
    struct sim_model *model = calloc(1, sizeof *model);
    if (!model)
        abort();
    model->options = *options;
    return model;
}

void sim_model_close(struct sim_model **model) {
    for (int i = 0; *model && i < PROMPTS_KEPT; i++)
        arena_destroy(&(*model)->known[i].arena);
    free(*model);
    *model = NULL;
}

static struct known_prompt *know(struct sim_model *model, struct arena *arena, const char *system) {
    struct known_prompt *known = &model->known[chance_of(0, system, "") % PROMPTS_KEPT];
    if (known->arena && strcmp(known->text, system) == 0)
        return known;
    arena_destroy(&known->arena);
    *known = (struct known_prompt){.arena = arena_create(0), .role = role_of(arena, system)};
    known->text = arena_string(known->arena, system);
    if (known->role == ROLE_AUTHOR) {
        struct orders orders = orders_of(arena, system);
        orders.literal = arena_string(known->arena, orders.literal);
        known->orders = orders;
    }
    return known;
}

static const char *write_output(
    const struct sim_model *model, struct arena *arena, const struct known_prompt *prompt, const char *user) {
    struct buffer output = buffer_in(arena);
    bool drifted = (prompt->orders.harms & HARM(HARM_DRIFT)) && prompt->calls > model->options.harm_after;
    output_write(&output, &prompt->orders, user, drifted);
    return buffer_text(&output);
}

/* Nothing is added, nothing lost: white space becomes single. */
static const char *refine(struct arena *arena, const char *user) {
    char *refined = arena_string(arena, user), *to = refined;
    for (const char *from = user; *from; from++) {
        bool space = *from == ' ' || *from == '\t';
        if (!space || (to > refined && !isspace((unsigned char)to[-1])))
            *to++ = space ? ' ' : *from;
    }
    while (to > refined && isspace((unsigned char)to[-1]))
        to--;
    *to = '\0';
    return refined;
}

static const char *judge(const struct sim_model *model, struct arena *arena, const char *user) {
    const char *input, *output;
    if (!parts_of_judgement(arena, user, &input, &output))
        return "I see no input and no output to judge.";
    return judge_answer(arena, input, output, model->options.noise, model->options.seed);
}

enum role sim_model_role(struct sim_model *model, struct arena *arena, const char *system) {
    return know(model, arena, system)->role;
}

const char *sim_model_answer(
    struct sim_model *model, struct arena *arena, const char *system, const char *user, enum role *role) {
    const struct sim_options *options = &model->options;
    struct known_prompt *prompt = know(model, arena, system);
    *role = prompt->role;
    prompt->calls++;
    switch (prompt->role) {
    case ROLE_REFINER:
        return refine(arena, user);
    case ROLE_JUDGE:
        return judge(model, arena, user);
    case ROLE_ANALYST:
        return analyst_answer(arena, user, options->off_topic_analyst);
    case ROLE_PROMPT_AUTHOR:
        return prompt_author_answer(arena, system, user, options->author, options->seed);
    default:
        return write_output(model, arena, prompt, user);
    }
}
