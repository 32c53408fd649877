/* The active prompt of a task type, read from Postgres after the job came: people change prompts with plain
 * SQL and expect the very next request to use it, so nothing is cached. */
#ifndef WORKERS_GENERATOR_PROMPTS_H
#define WORKERS_GENERATOR_PROMPTS_H

#include <stdint.h>

struct pg;
struct prompts;

enum prompt_found {
    PROMPT_FOUND,
    PROMPT_NONE,   /* the task type has no active prompt */
    PROMPT_AWAY,   /* Postgres is away */
    PROMPT_FAILED, /* Postgres refused the query */
};

/* Borrowed for the call that shows it. */
struct prompt {
    int64_t id, version;
    const char *content;
    const char *hash; /* SHA-256 of content, hexadecimal */
};

typedef void (*prompt_done)(void *context, enum prompt_found found, const struct prompt *prompt);

struct prompts *prompts_open(struct pg *pg);

/* Reads the active prompt: the row with is_active and the highest version, then the highest id. The SELECT is
 * sent after this call; one SELECT serves all that ask while another is under way. task_type is borrowed
 * until done, which is called once, from the loop. */
void prompts_read(struct prompts *prompts, const char *task_type, prompt_done done, void *context);

/* After the connection is closed. Nulls *prompts. */
void prompts_close(struct prompts **prompts);

#endif
