/* Writes code in Python, JavaScript or Go, with or without docstring, types, checks and example. */
#include <ctype.h>
#include <string.h>

#include "shared/arena.h"
#include "tests/sim/outputs.h"

/* What a function does: found by a word of the request. */
static const struct recipe {
    const char *words; /* NULL: any other */
    const char *parameter, *python_type, *python_result, *script_type, *go_type, *go_result, *go_bad,
        *go_zero;
    const char *python, *script, *go, *argument;
} RECIPES[] = {
    {"revers*", "text", "str", "str", "string", "string", "string", "text == \"\"", "\"\"", "text[::-1]",
        "[...text].reverse().join(\"\")",
        "\tresult := \"\"\n\tfor _, letter := range text {\n\t\tresult = string(letter) + result\n\t}\n",
        "\"anvil\""},
    {"factorial", "number", "int", "int", "number", "int", "int", "number < 0", "0",
        "math.prod(range(1, number + 1))",
        "number < 2 ? 1 : Array.from({ length: number }, (_, i) => i + 1).reduce((a, b) => a * b)",
        "\tresult := 1\n\tfor i := 2; i <= number; i++ {\n\t\tresult *= i\n\t}\n", "5"},
    {"merge*", "lists", "list", "list", "object", "[][]int", "[]int", "len(lists) == 0", "nil",
        "sorted(value for part in lists for value in part)", "lists.flat().sort((a, b) => a - b)",
        "\tresult := []int{}\n\tfor _, part := range lists {\n\t\tresult = append(result, "
        "part...)\n\t}\n\tsort.Ints(result)\n",
        "[[1, 3], [2]]"},
    {"vowel*", "text", "str", "int", "string", "string", "int", "text == \"\"", "0",
        "sum(letter in \"aeiou\" for letter in text.lower())", "(text.match(/[aeiou]/gi) || []).length",
        "\tresult := 0\n\tfor _, letter := range text {\n\t\tif strings.ContainsRune(\"aeiou\", letter) "
        "{\n\t\t\tresult++\n\t\t}\n\t}\n",
        "\"anvil\""},
    {"palindrome*", "text", "str", "bool", "string", "string", "bool", "text == \"\"", "false",
        "text == text[::-1]", "text === [...text].reverse().join(\"\")",
        "\tresult := true\n\tfor i := range text {\n\t\tresult = result && text[i] == "
        "text[len(text)-1-i]\n\t}\n",
        "\"level\""},
    {"celsius|fahrenheit", "degrees", "float", "float", "number", "float64", "float64", "degrees < -273.15",
        "0", "degrees * 9 / 5 + 32", "degrees * 9 / 5 + 32", "\tresult := degrees*9/5 + 32\n", "21.5"},
    {"largest|maximum|biggest", "values", "list", "int", "object", "[]int", "int", "len(values) == 0", "0",
        "max(values)", "Math.max(...values)",
        "\tresult := values[0]\n\tfor _, value := range values {\n\t\tif value > result {\n\t\t\tresult = "
        "value\n\t\t}\n\t}\n",
        "[3, 1, 2]"},
    {"duplicate*", "values", "list", "list", "object", "[]int", "[]int", "len(values) == 0", "nil",
        "list(dict.fromkeys(values))", "[...new Set(values)]",
        "\tresult := []int{}\n\tfor _, value := range values {\n\t\tif !slices.Contains(result, value) "
        "{\n\t\t\tresult = append(result, value)\n\t\t}\n\t}\n",
        "[1, 1, 2]"},
    {NULL, "value", "str", "str", "string", "string", "string", "value == \"\"", "\"\"", "value.strip()",
        "value.trim()", "\tresult := strings.TrimSpace(value)\n", "\" anvil \""},
};

struct code {
    struct buffer *output;
    const struct task *task;
    const struct recipe *recipe;
    const char *name;
    ability_set shown;
};

static bool shows(const struct code *code, enum ability ability) {
    return code->shown & ABILITY(ability);
}

static const struct recipe *find_recipe(const struct task *task) {
    const struct recipe *recipe = RECIPES;
    for (; recipe->words; recipe++)
        for (size_t i = 0; i < task->words.count; i++)
            if (word_in(task->words.items[i].text, recipe->words))
                return recipe;
    return recipe;
}

/* "reverses_string": only what a name may hold. */
static const char *function_name(struct arena *arena, const struct task *task, bool capital) {
    struct buffer topic = buffer_in(arena), name = buffer_in(arena);
    output_topic(&topic, task, 3, "_");
    for (const char *at = buffer_text(&topic); *at; at++)
        if (isalpha((unsigned char)*at) || (*at == '_' && name.length) ||
            (isdigit((unsigned char)*at) && name.length))
            buffer_byte(&name, capital && !name.length ? (char)toupper((unsigned char)*at) : *at);
    return name.length ? buffer_text(&name) : capital ? "Solve" : "solve";
}

static void write_python(struct code *code) {
    const struct recipe *recipe = code->recipe;
    struct buffer *output = code->output;
    bool types = shows(code, TYPE_HINTS);
    buffer_string(output, "```python\n");
    if (strncmp(recipe->python, "math.", 5) == 0)
        buffer_string(output, "import math\n\n\n");
    buffer_format(output, "def %s(%s%s%s)%s%s:\n", code->name, recipe->parameter, types ? ": " : "",
        types ? recipe->python_type : "", types ? " -> " : "", types ? recipe->python_result : "");
    if (shows(code, DOCSTRING)) {
        buffer_string(output, "    \"\"\"Gives back: ");
        output_topic(output, code->task, 5, " ");
        buffer_string(output, ".\"\"\"\n");
    }
    if (shows(code, ERROR_HANDLING))
        buffer_format(output,
            "    if not isinstance(%s, %s):\n        raise TypeError(\"%s must be of type %s\")\n",
            recipe->parameter, recipe->python_type, recipe->parameter, recipe->python_type);
    buffer_format(output, "    return %s\n", recipe->python);
    if (shows(code, EXAMPLE))
        buffer_format(output, "\n\n# Example\nprint(%s(%s))\n", code->name, recipe->argument);
    buffer_string(output, "```");
}

static void write_script_comment(struct code *code) {
    bool documented = shows(code, DOCSTRING), types = shows(code, TYPE_HINTS);
    if (!documented && !types)
        return;
    buffer_string(code->output, documented ? "/**\n" : "/*\n");
    if (documented) {
        buffer_string(code->output, " * Gives back: ");
        output_topic(code->output, code->task, 5, " ");
        buffer_string(code->output, ".\n");
    }
    if (types)
        buffer_format(
            code->output, " * @param {%s} %s\n", code->recipe->script_type, code->recipe->parameter);
    buffer_string(code->output, " */\n");
}

static void write_script(struct code *code) {
    const struct recipe *recipe = code->recipe;
    struct buffer *output = code->output;
    buffer_string(output, "```javascript\n");
    write_script_comment(code);
    buffer_format(output, "function %s(%s) {\n", code->name, recipe->parameter);
    if (shows(code, ERROR_HANDLING))
        buffer_format(output,
            "  if (typeof %s !== \"%s\") {\n    throw new TypeError(\"%s must be of type %s\");\n  }\n",
            recipe->parameter, recipe->script_type, recipe->parameter, recipe->script_type);
    buffer_format(output, "  return %s;\n}\n", recipe->script);
    if (shows(code, EXAMPLE))
        buffer_format(output, "\n// Example\nconsole.log(%s(%s));\n", code->name, recipe->argument);
    buffer_string(output, "```");
}

static void write_go(struct code *code) {
    const struct recipe *recipe = code->recipe;
    struct buffer *output = code->output;
    bool checks = shows(code, ERROR_HANDLING);
    buffer_string(output, "```go\n\n");
    if (shows(code, DOCSTRING)) {
        buffer_format(output, "// %s gives back: ", code->name);
        output_topic(output, code->task, 5, " ");
        buffer_string(output, ".\n");
    }
    buffer_format(output, "func %s(%s %s) %s%s%s {\n", code->name, recipe->parameter, recipe->go_type,
        checks ? "(" : "", recipe->go_result, checks ? ", error)" : "");
    if (checks)
        buffer_format(output, "\tif %s {\n\t\treturn %s, errors.New(\"bad %s\")\n\t}\n", recipe->go_bad,
            recipe->go_zero, recipe->parameter);
    buffer_format(output, "%s\treturn result%s\n}\n", recipe->go, checks ? ", nil" : "");
    if (shows(code, EXAMPLE))
        buffer_format(output, "\n// Example: %s(%s)\n", code->name, recipe->argument);
    buffer_string(output, "```");
}

/* Any other language is written without much knowledge of it. */
static void write_other(struct code *code) {
    buffer_format(
        code->output, "```\nfn %s(value: String) -> String {\n    return value;\n}\n```", code->name);
}

void output_write_code(
    struct buffer *output, const struct task *task, ability_set shown, enum code_language language) {
    struct code code = {
        output, task, find_recipe(task), function_name(output->arena, task, language == CODE_GO), shown};
    bool chats = !(shown & ABILITY(ONLY_CODE));
    if (chats && !(shown & ABILITY(NO_PREAMBLE)))
        buffer_string(output, "Sure, I can help with that! Here is one way to go about it:\n\n");
    if (language == CODE_GO)
        write_go(&code);
    else if (language == CODE_JAVASCRIPT)
        write_script(&code);
    else if (language == CODE_OTHER)
        write_other(&code);
    else
        write_python(&code);
    if (chats)
        buffer_string(
            output, "\n\nThe function takes its argument, works on it and gives the result back to you.");
    buffer_byte(output, '\n');
}
