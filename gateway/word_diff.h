/* What changed between two texts, word by word. */
#ifndef GATEWAY_WORD_DIFF_H
#define GATEWAY_WORD_DIFF_H

#include <stddef.h>

#include "schemas/word_run.h"

struct arena;

/* Runs of words (what white space parts) that both texts have, that only before has (deleted) or only after
 * (inserted), in their order, deleted before inserted; *count is how many. Runs of one kind never follow each
 * other. Together the equal and deleted ones are before, the equal and inserted ones after, to the byte.
 *
 * The least difference is found while that is cheap: texts that are long and differ in much are compared by
 * lines, and where that takes long as well, all but their common beginning and end counts as changed. The
 * texts are borrowed; what is returned is in arena. */
const struct word_run *word_diff(struct arena *arena, const char *before, const char *after, size_t *count);

#endif
