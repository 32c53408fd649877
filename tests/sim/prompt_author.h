/* The author of prompts: rewrites the prompts that it is sent by the analysis that it is sent. */
#ifndef TESTS_SIM_PROMPT_AUTHOR_H
#define TESTS_SIM_PROMPT_AUTHOR_H

#include <stdint.h>

struct arena;

enum prompt_author {
    AUTHOR_GOOD,
    AUTHOR_WORSE,        /* its prompts are made to be worse */
    AUTHOR_DELAYED_HARM, /* good ones, with an order whose harm shows late */
};

/* The text of the prompt that it proposes. instructions is what it is told to do, message what it works on.
 */
const char *prompt_author_answer(struct arena *arena, const char *instructions, const char *message,
    enum prompt_author author, uint64_t seed);

#endif
