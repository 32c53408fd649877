/* The author of outputs: text that shows what the system prompt asks for, and spoils what it harms. */
#ifndef TESTS_SIM_OUTPUTS_H
#define TESTS_SIM_OUTPUTS_H

#include "shared/buffer.h"
#include "tests/sim/kinds.h"

/* The output for an input under a prompt's orders; drifted: a prompt that orders to stray has been followed
 * for long. */
void output_write(struct buffer *output, const struct orders *orders, const char *input, bool drifted);

/* Its parts: code and text that show exactly `shown`. */
void output_write_code(
    struct buffer *output, const struct task *task, ability_set shown, enum code_language language);
void output_write_fields(struct buffer *output, const struct task *task, ability_set shown);
void output_write_text(struct buffer *output, const struct task *task, ability_set shown);

/* Appends at most `max` words of the instruction that say something, with `between` between them. */
size_t output_topic(struct buffer *output, const struct task *task, size_t max, const char *between);

#endif
