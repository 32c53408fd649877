/* The mock model as a programmer: Python for known tasks, a sound skeleton for others and in other languages.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/mock/mock.h"

enum { NAME_WORDS_MAX = 4, NAME_BYTES = 64, TOPIC_BYTES_MAX = 80 };

/* In a template @s is the function's name with underscores, @c in camel case, @t the subject. */
static const struct skeleton {
    const char *language, *template;
} SKELETONS[] = {
    {"python", "def @s(value: object) -> object:\n"
               "    \"\"\"Do one thing: @t.\n\n"
               "    Raises ValueError when there is no value to work on.\n"
               "    \"\"\"\n"
               "    if value is None:\n"
               "        raise ValueError(\"value must not be None\")\n"
               "    result = value\n"
               "    return result\n"},
    {"javascript", "// Does one thing: @t.\n"
                   "function @c(value) {\n"
                   "  if (value === undefined || value === null) {\n"
                   "    throw new TypeError(\"value is required\");\n"
                   "  }\n"
                   "  const result = value;\n"
                   "  return result;\n"
                   "}\n\n"
                   "module.exports = { @c };\n"},
    {"typescript", "// Does one thing: @t.\n"
                   "export function @c<T>(value: T | null): T {\n"
                   "  if (value === null) {\n"
                   "    throw new TypeError(\"value is required\");\n"
                   "  }\n"
                   "  return value;\n"
                   "}\n"},
    {"c", "#include <stddef.h>\n\n"
          "/* Does one thing: @t. Returns the number of values used, or -1 when there are none. */\n"
          "int @s(const int *values, size_t count) {\n"
          "    int used = 0;\n"
          "    if (values == NULL || count == 0)\n"
          "        return -1;\n"
          "    for (size_t i = 0; i < count; i++)\n"
          "        used++;\n"
          "    return used;\n"
          "}\n"},
    {"cpp", "#include <stdexcept>\n#include <vector>\n\n"
            "// Does one thing: @t.\n"
            "std::vector<int> @s(const std::vector<int> &values) {\n"
            "    if (values.empty())\n"
            "        throw std::invalid_argument(\"values must not be empty\");\n"
            "    return values;\n"
            "}\n"},
    {"sql", "-- Answers one question: @t.\n"
            "SELECT id, name, created_at\n"
            "FROM @s\n"
            "WHERE name IS NOT NULL\n"
            "ORDER BY created_at DESC\n"
            "LIMIT 100;\n"},
    {"bash", "#!/usr/bin/env bash\n"
             "# Does one thing: @t.\n"
             "set -euo pipefail\n\n"
             "@s() {\n"
             "    if [ \"$#\" -lt 1 ]; then\n"
             "        echo \"usage: $0 value\" >&2\n"
             "        return 2\n"
             "    fi\n"
             "    printf '%s\\n' \"$1\"\n"
             "}\n\n"
             "@s \"$@\"\n"},
    {"go", "package main\n\n"
           "import \"errors\"\n\n"
           "// @c does one thing: @t.\n"
           "func @c(values []int) ([]int, error) {\n"
           "\tif len(values) == 0 {\n"
           "\t\treturn nil, errors.New(\"values must not be empty\")\n"
           "\t}\n"
           "\treturn values, nil\n"
           "}\n"},
    {"java", "/** Does one thing: @t. */\n"
             "public final class Solution {\n"
             "    public static Object @c(Object value) {\n"
             "        if (value == null) {\n"
             "            throw new IllegalArgumentException(\"value is required\");\n"
             "        }\n"
             "        return value;\n"
             "    }\n"
             "}\n"},
    {"rust", "/// Does one thing: @t.\n"
             "pub fn @s(values: &[i64]) -> Result<Vec<i64>, String> {\n"
             "    if values.is_empty() {\n"
             "        return Err(String::from(\"values must not be empty\"));\n"
             "    }\n"
             "    Ok(values.to_vec())\n"
             "}\n"},
    {"ruby", "# Does one thing: @t.\n"
             "def @s(value)\n"
             "  raise ArgumentError, \"value is required\" if value.nil?\n\n"
             "  value\n"
             "end\n"},
    {"php", "<?php\n"
            "// Does one thing: @t.\n"
            "function @c($value) {\n"
            "    if ($value === null) {\n"
            "        throw new InvalidArgumentException(\"value is required\");\n"
            "    }\n"
            "    return $value;\n"
            "}\n"},
};

static const struct skeleton *find_skeleton(const char *language) {
    for (size_t i = 0; i < sizeof SKELETONS / sizeof *SKELETONS; i++)
        if (strcmp(SKELETONS[i].language, language) == 0)
            return &SKELETONS[i];
    return &SKELETONS[0];
}

/* Adds the letters and digits of a word in lower case; true when there were any. */
static bool add_to_name(char name[NAME_BYTES], const struct mock_word *word) {
    size_t length = strlen(name), before = length;
    if (length && length + 1 < NAME_BYTES)
        name[length++] = '_';
    for (unsigned i = 0; i < word->length && length + 1 < NAME_BYTES; i++)
        if (isalnum((unsigned char)word->start[i]))
            name[length++] = (char)tolower((unsigned char)word->start[i]);
    bool added = length > before + (before != 0);
    name[added ? length : before] = '\0';
    return added;
}

/* A name from the first words that say something: "parses ISO dates" gives parses_iso_dates. Two words at
 * least, so that no keyword of a language comes out. */
static void name_task(const struct mock_words *words, char name[NAME_BYTES]) {
    int added = 0;
    for (size_t i = 0; i < words->count && added < NAME_WORDS_MAX; i++)
        if ((i == 0 || words->items[i].before != BREAK_SENTENCE || added == 0) &&
            mock_is_significant(&words->items[i]))
            added += add_to_name(name, &words->items[i]);
        else if (i && words->items[i].before == BREAK_SENTENCE && added)
            break;
    if (!added) {
        snprintf(name, NAME_BYTES, "solve_task");
    } else if (added == 1 || isdigit((unsigned char)name[0])) {
        char bare[NAME_BYTES];
        snprintf(bare, sizeof bare, "%s", name);
        snprintf(name, NAME_BYTES, "handle_%.*s", NAME_BYTES - 8, bare);
    }
}

static void write_camel(struct buffer *answer, const char *name) {
    for (bool upper = false; *name; name++) {
        if (*name != '_')
            buffer_byte(answer, (char)(upper ? toupper((unsigned char)*name) : *name));
        upper = *name == '_';
    }
}

/* The subject as it may stand in a comment or docstring of any language. */
static void write_plain_topic(struct buffer *answer, const struct mock_words *words) {
    size_t start = answer->length;
    mock_write_topic(answer, words, TOPIC_BYTES_MAX);
    for (size_t i = start; i < answer->length; i++)
        if (strchr("\"'`\\*/?<>%$#\n\r\t", answer->data[i]))
            answer->data[i] = ' ';
}

static void write_skeleton(struct buffer *answer, const char *template, const struct mock_words *words) {
    char name[NAME_BYTES] = "";
    name_task(words, name);
    for (; *template; template ++) {
        if (template[0] != '@' || !strchr("sct", template[1])) {
            buffer_byte(answer, *template);
            continue;
        }
        template ++;
        if (*template == 's')
            buffer_string(answer, name);
        else if (*template == 'c')
            write_camel(answer, name);
        else
            write_plain_topic(answer, words);
    }
}

static const char *choose_language(const struct mock_intent *intent, const struct mock_words *words) {
    const char *asked = mock_asked_language(words), *language = intent->language;
    /* "You are a Python developer" yields to "in Go", "write Python" does not. */
    if (!language || (asked && !intent->firm_language))
        language = asked ? asked : mock_code_language(words);
    return language ? find_skeleton(language)->language : "python";
}

void mock_write_code(
    struct buffer *answer, const struct mock_intent *intent, const struct mock_words *words) {
    const char *language = choose_language(intent, words);
    const struct mock_snippet *snippet = strcmp(language, "python") == 0 ? mock_find_snippet(words) : NULL;
    if (!intent->unfenced)
        buffer_format(answer, "```%s\n", language);
    if (snippet)
        buffer_string(answer, snippet->source);
    else
        write_skeleton(answer, find_skeleton(language)->template, words);
    if (!intent->unfenced)
        buffer_string(answer, "```\n");
    if (intent->explained && !intent->bare && !intent->unfenced) {
        buffer_string(answer, "\nThe code covers ");
        mock_write_topic(answer, words, TOPIC_BYTES_MAX);
        buffer_string(answer, " and refuses arguments that make no sense.\n");
    }
}
