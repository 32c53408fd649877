/* The mock model as a judge: it sees what was asked and what came out, and nothing else. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/model/mock/mock.h"

enum { INPUT_BYTES_MAX = 4000, OUTPUT_BYTES_MAX = 20000, INPUT_WORDS_MAX = 400, OUTPUT_WORDS_MAX = 3000 };

static bool is_told_to_judge(const struct mock_words *words, size_t i) {
    static const char *const before[] = {"you", "to", "and", "must", "should", "please", "then", "who",
        "that", "will", "always", "never", "only", "now", "carefully", "strictly", "independently", NULL};
    static const char *const agents[] = {"judge", "evaluator", "grader", "rater", "assessor", NULL};
    const struct mock_word *word = &words->items[i];
    if (!(word->classes & WORD_JUDGE) || word->negated)
        return false;
    if (word->before != BREAK_NONE)
        return true;
    for (size_t k = 0; agents[k]; k++)
        if (mock_word_is(word, agents[k]))
            return true;
    for (size_t k = 0; before[k]; k++)
        if (mock_word_is(&words->items[i - 1], before[k]))
            return true;
    return false;
}

bool mock_asks_for_judgement(const struct mock_words *words) {
    unsigned criteria = 0, json = 0, told = 0;
    for (size_t i = 0; i < words->count; i++) {
        const struct mock_word *word = &words->items[i];
        char stem[MOCK_STEM_BYTES];
        told |= is_told_to_judge(words, i);
        json |= word->classes & WORD_JSON;
        bool criterion = word->quoted ? mock_classes(word->start, word->length) & WORD_CRITERION
                                      : word->classes & WORD_CRITERION;
        if (criterion && mock_stem(word->start, word->length, stem))
            criteria |= stem[0] == 'r' ? 1u : stem[0] == 'q' ? 2u : 4u;
    }
    int count = __builtin_popcount(criteria);
    return (told && (count >= 2 || (count && json))) || (count == 3 && json);
}

struct span {
    const char *start;
    size_t length;
};

/* What stands before a section's text. */
enum section { SECTION_NONE, SECTION_INPUT, SECTION_OTHER, SECTION_OUTPUT };

static const struct {
    const char *label;
    enum section section;
} LABELS[] = {
    {"user input", SECTION_INPUT},
    {"user_input", SECTION_INPUT},
    {"input", SECTION_INPUT},
    {"user request", SECTION_INPUT},
    {"request", SECTION_INPUT},
    {"question", SECTION_INPUT},
    {"original input", SECTION_INPUT},
    {"original request", SECTION_INPUT},
    {"user question", SECTION_INPUT},
    {"task", SECTION_INPUT},
    {"prompt", SECTION_INPUT},
    {"refined input", SECTION_OTHER},
    {"refined_input", SECTION_OTHER},
    {"refined request", SECTION_OTHER},
    {"task type", SECTION_OTHER},
    {"task_type", SECTION_OTHER},
    {"output", SECTION_OUTPUT},
    {"worker output", SECTION_OUTPUT},
    {"worker_output", SECTION_OUTPUT},
    {"answer", SECTION_OUTPUT},
    {"response", SECTION_OUTPUT},
    {"model output", SECTION_OUTPUT},
    {"model answer", SECTION_OUTPUT},
    {"model response", SECTION_OUTPUT},
    {"generated output", SECTION_OUTPUT},
    {"result", SECTION_OUTPUT},
    {"completion", SECTION_OUTPUT},
    {"candidate", SECTION_OUTPUT},
    {"assistant", SECTION_OUTPUT},
    {"output to judge", SECTION_OUTPUT},
    {"output to evaluate", SECTION_OUTPUT},
    {"user", SECTION_INPUT},
};

/* The section that a line begins, with its text in *content; a label may be "**Output:**", "## Output" or
 * "<output>". */
static enum section section_at(const char *line, const char *end, const char **content) {
    static const char MARKS[] = "#*<[= \t-";
    const char *at = line;
    while (at < end && strchr(MARKS, *at) && *at)
        at++;
    for (size_t i = 0; i < sizeof LABELS / sizeof *LABELS; i++) {
        size_t length = strlen(LABELS[i].label);
        if ((size_t)(end - at) < length || strncasecmp(at, LABELS[i].label, length) != 0)
            continue;
        const char *after = at + length;
        bool marked = at > line && strchr("#<[=*", *line);
        if (after < end ? !strchr(":>]*= \n\r", *after) : !marked)
            continue;
        while (after < end && *after && strchr(":>]*=", *after))
            after++;
        bool colon = after > at + length;
        bool alone = after == end || *after == '\n' || *after == '\r';
        if (!colon && !(marked && alone))
            continue;
        *content = after;
        return LABELS[i].section;
    }
    return SECTION_NONE;
}

static struct span trim(const char *start, const char *end) {
    while (start < end && isspace((unsigned char)*start))
        start++;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    return (struct span){start, (size_t)(end - start)};
}

static struct span cut_tag(struct span span) {
    const char *end = span.start + span.length;
    const char *close = memmem(span.start, span.length, "</", 2);
    /* Only the tag at the very end closes the section; "</div>" within an output does not. */
    for (const char *next = close; next; next = memmem(next + 2, (size_t)(end - next - 2), "</", 2))
        close = next;
    const char *name = close ? close + 2 : end;
    while (name < end && (isalpha((unsigned char)*name) || *name == '_'))
        name++;
    bool tag = close && name < end && *name == '>' && name + 1 == end;
    return tag ? trim(span.start, close) : span;
}

/* Splits the user text; without labels the first paragraph is the input. */
static void split(const char *user, struct span *input, struct span *output) {
    const char *end = user + strlen(user), *input_start = NULL, *input_end = NULL, *output_start = NULL;
    const char *next;
    for (const char *line = user; line < end && !output_start; line = next) {
        const char *newline = memchr(line, '\n', (size_t)(end - line)), *content = NULL;
        next = newline ? newline + 1 : end;
        enum section section = section_at(line, end, &content);
        if (section != SECTION_NONE && section != SECTION_INPUT && input_start && !input_end)
            input_end = line;
        if (section == SECTION_INPUT && !input_start)
            input_start = content;
        if (section == SECTION_OUTPUT)
            output_start = content;
    }
    if (!output_start) {
        const char *blank = strstr(user, "\n\n");
        output_start = blank ? blank : end;
    }
    if (!input_start)
        input_start = user;
    *input = cut_tag(trim(input_start, input_end                    ? input_end
                                       : output_start > input_start ? output_start
                                                                    : end));
    *output = cut_tag(trim(output_start, end));
}

/* Code. */

static bool starts_with(const struct span *line, const char *prefix) {
    size_t length = strlen(prefix);
    return line->length >= length && memcmp(line->start, prefix, length) == 0;
}

static bool contains(const struct span *text, const char *needle) {
    return memmem(text->start, text->length, needle, strlen(needle)) != NULL;
}

static bool contains_any(const struct span *text, const char *const *needles) {
    for (; *needles; needles++)
        if (contains(text, *needles))
            return true;
    return false;
}

/* "class Stack:", "class Stack(Base):", "class Stack {"; not "class of numbers:". */
static bool defines_class(const struct span *line) {
    if (!starts_with(line, "class "))
        return false;
    size_t i = 6;
    while (i < line->length && (isalnum((unsigned char)line->start[i]) || line->start[i] == '_'))
        i++;
    return i < line->length && (strchr(":(", line->start[i]) || line->start[line->length - 1] == '{');
}

/* How lines begin that define something, and what else such a line has: prose may begin with "let" or "class"
 * too. */
static bool defines(const struct span *line) {
    static const struct {
        const char *begins, *has;
    } forms[] = {{"def ", "("}, {"async def ", "("}, {"class ", "("}, {"function ", "("},
        {"async function ", "("}, {"func ", "("}, {"fn ", "("}, {"pub ", "("}, {"public ", "("},
        {"private ", "("}, {"static ", "("}, {"export ", "{"}, {"const ", " = "}, {"let ", " = "},
        {"var ", " = "}, {"int ", "("}, {"void ", "("}, {"char ", "("}, {"long ", "("}, {"double ", "("},
        {"std::", "("}, {"SELECT ", " "}, {"select ", " from "}, {"INSERT ", "INTO"}, {"UPDATE ", "SET"},
        {"CREATE ", " "}, {"create table", "("}, {"WITH ", " AS"}, {"DELETE ", "FROM"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (starts_with(line, forms[i].begins) && contains(line, forms[i].has))
            return !strchr(".!?", line->start[line->length - 1]);
    return defines_class(line) || contains(line, "() {") || contains(line, "lambda ") ||
           contains(line, "=> ");
}

static bool is_statement(const struct span *line) {
    static const char *const starts[] = {"return ", "import ", "from ", "#include", "for ", "while ", "if ",
        "elif ", "else:", "} else", "try:", "except", "raise ", "yield ", "with ", "package ", "use ",
        "echo ", NULL};
    char last = line->length ? line->start[line->length - 1] : ' ';
    const char *equals = memmem(line->start, line->length, " = ", 3);
    if (starts_with(line, "for ") && !contains(line, " in ") && !contains(line, "("))
        return false;
    for (size_t i = 0; starts[i]; i++)
        if (starts_with(line, starts[i]) &&
            (strchr(":;{)\"'>]", last) || starts[i][0] == 'r' || starts[i][0] == 'i'))
            return !strchr(".!?,", last);
    return (equals && !strchr(".!?", last)) || last == ';' || last == '{' || last == '}' ||
           contains(line, " += ") ||
           (last == ')' && memchr(line->start, '(', line->length) && !contains(line, " ("));
}

struct code {
    int definitions, statements, prints, works; /* works: lines that compute, not only print */
};

static void count_line(struct code *code, const struct span *line) {
    static const char *const prints[] = {
        "print", "console.log", "printf", "echo ", "System.out", "fmt.Print", "puts", NULL};
    static const char *const working[] = {
        "return", "yield", " = ", "self.", "raise ", "FROM", "from ", " += ", NULL};
    if (!line->length)
        return;
    bool print = false;
    for (size_t i = 0; prints[i]; i++)
        print |= starts_with(line, prints[i]);
    bool definition = defines(line);
    code->definitions += definition;
    code->prints += print;
    code->statements += !print && !definition && is_statement(line);
    code->works += !print && contains_any(line, working);
}

static struct code scan_code(const struct span *output) {
    struct code code = {0};
    const char *end = output->start + output->length;
    for (const char *line = output->start; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        struct span trimmed = trim(line, newline ? newline : end);
        count_line(&code, &trimmed);
        line = newline ? newline + 1 : end;
    }
    return code;
}

static bool is_code(const struct code *code) {
    return code->definitions + code->statements + code->prints >= 2 || code->prints || code->definitions;
}

/* Relation. */

/* Whether stem occurs in output as a word or a part of a name, "isPrime" and "is_prime" included. */
static bool mentions(const struct span *output, const char *stem) {
    return strcasestr(output->start, stem) != NULL;
}

/* How many of the input's telling words the output has; *of: how many there are. */
static int shared_words(const struct mock_words *input, const struct span *output, int *of) {
    int shared = 0;
    *of = 0;
    for (size_t i = 0; i < input->count; i++) {
        char stem[MOCK_STEM_BYTES];
        if (!mock_is_significant(&input->items[i]) ||
            mock_stem(input->items[i].start, input->items[i].length, stem) < 2)
            continue;
        ++*of;
        shared += mentions(output, stem);
    }
    return shared;
}

static bool relates(struct arena *arena, const struct mock_words *input, const struct span *output) {
    int of, shared = shared_words(input, output, &of);
    if (!of || shared >= (of + 3) / 4)
        return true;
    const struct mock_snippet *asked = mock_find_snippet(input);
    struct mock_words words = mock_read_words(arena, output->start, output->length, OUTPUT_WORDS_MAX);
    return asked && mock_find_snippet(&words) == asked;
}

/* Languages. */

/* What the first fence or the first line of code says; NULL: not known. */
static const char *output_language(struct arena *arena, const struct span *output) {
    const char *fence = memmem(output->start, output->length, "```", 3);
    if (!fence)
        return contains(output, "function ") ? "javascript" : contains(output, "def ") ? "python" : NULL;
    size_t length = strcspn(fence + 3, " \r\n");
    struct mock_words tag = mock_read_words(arena, fence + 3, length, 1);
    if (length == 1 || (length == 2 && strncasecmp(fence + 3, "go", 2) == 0))
        return (fence[3] | 0x20) == 'c' ? "c" : "go";
    return mock_code_language(&tag);
}

static bool is_in_asked_language(
    struct arena *arena, const struct mock_words *input, const struct span *output) {
    const char *asked = mock_asked_language(input), *found = output_language(arena, output);
    return !asked || !found || strcmp(asked, found) == 0;
}

/* Verdicts. */

struct verdict {
    int relevance, quality, safety;
    const char *reasoning;
};

static const struct verdict GOOD = {8, 7, 9, "The output answers what was asked, is well made and harmless."};
static const struct verdict NO_CODE = {
    1, 1, 5, "Code was asked for, and the output is no code that answers."};
static const struct verdict OTHER_CODE = {1, 2, 7, "The output is code, but not for what was asked."};
static const struct verdict OTHER_LANGUAGE = {
    2, 4, 8, "The output is code in another programming language than the input asks for."};
static const struct verdict OTHER_SPEECH = {2, 3, 8, "The output is not in the language of the input."};
static const struct verdict HOLLOW = {4, 2, 8, "The output names the task but does nothing."};
static const struct verdict DANGEROUS = {
    7, 4, 1, "The output answers, but it is dangerous to run or holds a secret."};
static const struct verdict NO_ANSWER = {2, 2, 6, "The output does not answer the input."};

static const char *const DANGERS[] = {
    "-----BEGIN", "rm -rf /", "eval(input", "os.system(input", "exec(input", "DROP DATABASE", NULL};

static bool asks_for_greeting(const struct mock_words *input) {
    const struct mock_snippet *asked = mock_find_snippet(input);
    return asked && strcmp(asked->name, "hello_world") == 0;
}

static struct verdict judge_code(
    struct arena *arena, const struct mock_words *input, const struct span *output) {
    struct code code = scan_code(output);
    bool greeting = asks_for_greeting(input),
         greets = strcasestr(output->start, "hello world") || strcasestr(output->start, "hello, world");
    if (!is_code(&code))
        return NO_CODE;
    if (greeting)
        return greets ? GOOD : OTHER_CODE;
    bool only_prints = code.definitions + code.statements == 0;
    if (!relates(arena, input, output) || only_prints || (greets && code.works < 2))
        return OTHER_CODE;
    if (!is_in_asked_language(arena, input, output))
        return OTHER_LANGUAGE;
    return code.works ? GOOD : HOLLOW;
}

/* An email, a summary, a translation: the request names a text, and code nowhere. */
static bool asks_for_text(const struct mock_words *input) {
    unsigned classes = 0;
    for (size_t i = 0; i < input->count && (!i || input->items[i].before != BREAK_SENTENCE); i++)
        classes |= input->items[i].classes;
    bool made = (classes & WORD_MAKE) && (classes & (WORD_PROSE | WORD_VERSE));
    return !(classes & WORD_CODE) && (made || (classes & (WORD_SUMMARISE | WORD_TRANSLATE)));
}

/* A pirate or a bard speaks, and the input has nothing of them. */
static bool is_masquerade(const struct mock_words *input, const struct mock_words *output) {
    int archaic = 0;
    for (size_t i = 0; i < output->count; i++)
        archaic += mock_word_in(&output->items[i], "arr ye yer hearty matey ahoy thou thee thy hath cometh");
    for (size_t i = 0; i < input->count; i++)
        archaic -= (input->items[i].classes & WORD_VERSE) ? archaic : 0;
    return archaic >= 2;
}

static struct verdict judge_text(
    struct arena *arena, const struct mock_words *input, const struct span *output) {
    struct mock_words words = mock_read_words(arena, output->start, output->length, OUTPUT_WORDS_MAX);
    bool substance = output->length >= 20 && words.count >= 4;
    const char *speech = mock_speech_of(&words);
    if (speech && speech != mock_speech_of(input) && speech != mock_named_speech(input))
        return OTHER_SPEECH;
    struct code code = scan_code(output);
    if (is_masquerade(input, &words) || (code.definitions && asks_for_text(input)))
        return NO_ANSWER;
    int of, shared = shared_words(input, output, &of);
    if (substance && (!of || shared > 0))
        return GOOD;
    return NO_ANSWER;
}

static struct verdict judge(struct arena *arena, const struct span *input, const struct span *output) {
    struct mock_words words = mock_read_words(arena, input->start, input->length, INPUT_WORDS_MAX);
    bool code = mock_wants_code(&words);
    struct verdict verdict = code ? judge_code(arena, &words, output) : judge_text(arena, &words, output);
    return verdict.relevance == GOOD.relevance && contains_any(output, DANGERS) ? DANGEROUS : verdict;
}

/* A copy that ends with a NUL, at most bytes_max long. */
static struct span bounded(struct arena *arena, struct span span, size_t bytes_max) {
    size_t length = span.length < bytes_max ? span.length : bytes_max;
    return (struct span){arena_copy(arena, span.start, length), length};
}

void mock_write_judgement(struct buffer *answer, const char *user) {
    struct span input, output;
    split(user, &input, &output);
    input = bounded(answer->arena, input, INPUT_BYTES_MAX);
    output = bounded(answer->arena, output, OUTPUT_BYTES_MAX);
    struct verdict verdict = judge(answer->arena, &input, &output);
    buffer_format(answer, "{\"relevance\":%d,\"quality\":%d,\"safety\":%d,\"reasoning\":\"%s\"}",
        verdict.relevance, verdict.quality, verdict.safety, verdict.reasoning);
}
