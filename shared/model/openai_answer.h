/* Reads what a chat-completions server answered. */
#ifndef SHARED_MODEL_OPENAI_ANSWER_H
#define SHARED_MODEL_OPENAI_ANSWER_H

struct arena;
struct http_call_answer;
struct model_answer;

/* Fills *answer from what came over HTTP; its texts live in arena. */
void openai_read(struct arena *arena, const struct http_call_answer *http, struct model_answer *answer);

#endif
