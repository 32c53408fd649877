/* The providers of models that there are, for whoever reads names of models; how they are asked is another
 * matter. */
#include <string.h>

#include "shared/model/provider.h"

static const struct model_provider providers[] = {
    {.name = "mock"},
    {"openai", "gpt-4o-mini", "https://api.openai.com/v1"},
    {"gemini", "gemini-2.0-flash", "https://generativelanguage.googleapis.com/v1beta"},
    {"anthropic", "claude-haiku-4-5", "https://api.anthropic.com/v1"},
};

const struct model_provider *model_provider_find(const char *name) {
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (strcmp(providers[i].name, name) == 0)
            return &providers[i];
    return NULL;
}
