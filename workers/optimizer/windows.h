/* The evaluations of the last OPTIMIZER_LOOKBACK_MINUTES, a window for each prompt, kept in memory from
 * verdicts. */
#ifndef WORKERS_OPTIMIZER_WINDOWS_H
#define WORKERS_OPTIMIZER_WINDOWS_H

#include "schemas/verdict.h"
#include "workers/optimizer/optimizer.h"

/* How it stands with one prompt; what it points at is borrowed until the next call of any function here. */
struct window_state {
    const char *task_type;
    int64_t prompt_id, prompt_version;
    int64_t failures;      /* distinct requests in the window */
    struct scores scores;  /* of failures and passes */
    bool crossed;          /* failures and their share reach the thresholds */
    int64_t crossed_at_ms; /* evaluated_at of the failure that crossed; 0 while not crossed */
};

struct windows *windows_open(void);
void windows_close(struct windows **windows);

/* Takes in a verdict that was read from this partition; now_ms is Unix time. A failure whose request is among
 * the last 256 failures of its prompt, and what is older than the window, changes nothing; what is later than
 * now_ms counts as of now. Fills *state for its prompt. Bounded: the contents of the last 50 failures of a
 * prompt are kept, and 10,000 prompts; outputs and refined inputs are cut at 8,192 bytes, and details of more
 * than 65,536 bytes become "{}". */
void windows_add(struct windows *windows, int partition, const struct verdict *verdict, int64_t now_ms,
    struct window_state *state);

/* Forgets all that came from this partition: it is read again, or by somebody else. */
void windows_drop_partition(struct windows *windows, int partition);

/* Forgets a prompt: it needs new failures to cross again. */
void windows_drop_prompt(struct windows *windows, int64_t prompt_id);

/* Drops what is past the window by now. */
void windows_expire(struct windows *windows, int64_t now_ms);

/* Calls show for each prompt with evaluations in the window. */
void windows_each(struct windows *windows, int64_t now_ms,
    void (*show)(void *context, const struct window_state *state), void *context);

/* The failures of a prompt whose contents are kept, oldest first, as of the last windows_add of that prompt
 * or windows_expire; borrowed until the next call here. */
int windows_failures(struct windows *windows, int64_t prompt_id, struct failure *failures, int max);

#endif
