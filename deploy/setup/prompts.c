/* Gives task types that moru knows from the start their first prompt, unless people have ever given them one.
 */
#include <string.h>

#include "deploy/setup/setup.h"
#include "shared/log.h"

struct seed {
    const char *task_type, *content;
};

static const struct seed SEEDS[] = {
    {"code_generation",
        "You are an experienced Python developer. Write the code that the user asks for.\n"
        "\n"
        "- Answer with exactly one fenced block that begins with ```python and ends with ```.\n"
        "- The code is complete and correct: it runs as it stands on Python 3.10 or newer, with all imports, "
        "without\n"
        "  placeholders and without parts left to the reader.\n"
        "- Use the standard library unless the user asks for another one.\n"
        "- Give every function type hints and a docstring that says what it takes, what it returns and what "
        "it raises.\n"
        "- Check the input: raise ValueError or TypeError with a clear message for values that make no "
        "sense, and handle\n"
        "  the edge cases (empty, zero, negative, very large).\n"
        "- Choose a sound algorithm, with clear names and short functions, and comment only what is not "
        "obvious.\n"
        "- Never put passwords, keys, tokens or personal data into the code; read them from the "
        "environment.\n"
        "- End with a short example of use under if __name__ == \"__main__\".\n"
        "- If the request leaves something open, choose the most usual meaning and say so in the "
        "docstring.\n"},
};

static bool seed(PGconn *database, const struct seed *prompt) {
    PGresult *result = database_query(database,
        "INSERT INTO public.prompts (task_type, content, version, is_active, change_reason, created_by)"
        " SELECT $1::varchar, $2, 1, TRUE, 'seed', 'system'"
        " WHERE NOT EXISTS (SELECT FROM public.prompts WHERE task_type = $1::varchar)",
        2, (const char *const[]){prompt->task_type, prompt->content});
    if (result != NULL && strcmp(PQcmdTuples(result), "1") == 0)
        log_info(
            "prompt_seeded", log_string("task_type", prompt->task_type), log_integer("prompt_version", 1));
    PQclear(result);
    return result != NULL;
}

bool prompts_seed(PGconn *database) {
    if (!database_begin(database))
        return false;
    bool done = true;
    for (size_t i = 0; done && i < sizeof SEEDS / sizeof *SEEDS; i++)
        done = seed(database, &SEEDS[i]);
    return database_end(database, done);
}
