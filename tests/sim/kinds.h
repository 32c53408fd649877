/* The kind of task that an input sets, and what that kind and the input's words need. */
#ifndef TESTS_SIM_KINDS_H
#define TESTS_SIM_KINDS_H

#include "tests/sim/orders.h"

enum kind { KIND_OTHER, KIND_CODE, KIND_SUMMARY, KIND_EMAIL, KIND_EXTRACTION, KINDS };

struct task {
    enum kind kind;
    ability_set needed;
    enum code_language language; /* of KIND_CODE, where it is named */
    int words_max;               /* where BREVITY is needed */
    struct words words;          /* of the instruction, without the text that it is about */
    const char *instruction;
    const char *material; /* the text behind the colon; "" : none */
};

struct task task_read(struct arena *arena, const char *input);

/* A word that says something about the subject. */
bool word_is_significant(const char *word);

#endif
