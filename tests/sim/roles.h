/* Which part a conversation asks the model to take. */
#ifndef TESTS_SIM_ROLES_H
#define TESTS_SIM_ROLES_H

struct arena;

enum role { ROLE_AUTHOR, ROLE_REFINER, ROLE_JUDGE, ROLE_ANALYST, ROLE_PROMPT_AUTHOR, ROLES };

extern const char *const ROLE_NAMES[ROLES];

/* system: the system prompt, "" where there is none. */
enum role role_of(struct arena *arena, const char *system);

#endif
