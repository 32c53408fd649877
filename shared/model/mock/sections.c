/* How labelled sections are found in a text, in whichever way they are marked. */
#include "shared/model/mock/sections.h"

#include <ctype.h>
#include <string.h>

enum { LABEL_WORDS_MAX = 12, LABEL_BYTES_MAX = 120, NONCE_BYTES_MIN = 6 };

struct label {
    struct mock_word words[LABEL_WORDS_MAX];
    size_t count;
    const struct mock_word *nonce; /* a random mark that the section's end repeats; NULL: none */
};

static bool has(const struct label *label, const char *list) {
    for (size_t i = 0; i < label->count; i++)
        if (mock_word_in(&label->words[i], list))
            return true;
    return false;
}

static bool has_digit(const struct mock_word *word) {
    for (unsigned i = 0; i < word->length; i++)
        if (isdigit((unsigned char)word->start[i]))
            return true;
    return false;
}

/* Numbers, "v3" and random marks may stand in any label. */
static bool is_label_word(const struct mock_word *word) {
    return has_digit(word) ||
           mock_word_in(word,
               "prompt prompts instructions input inputs request requests question questions output outputs "
               "answer answers response responses result results score scores detail details evaluation "
               "evaluations check checks rule rules llm reasoning judge judgement analysis findings failure "
               "failures failed passed failing pattern patterns cause causes root suggestion suggestions "
               "improvement improvements recommendation recommendations task type user system") ||
           mock_word_in(word,
               "active current last good best previous version base worker refined new old begin end start "
               "of "
               "the that by number text a from for data its this and with what is in service working broken "
               "original earlier latest was it gave case cases example examples sample samples model name "
               "under which works worked present given to on be repaired all list real your");
}

/* Splits at everything but letters and digits; what stands in brackets, "(score 0.36)", says nothing. */
static bool split_label(struct label *label, const char *text, size_t length) {
    const char *end = text + length;
    int depth = 0;
    for (const char *at = text; at < end;) {
        depth += (*at == '(') - (*at == ')');
        if (!isalnum((unsigned char)*at) || depth > 0) {
            at++;
            continue;
        }
        const char *start = at;
        while (at < end && isalnum((unsigned char)*at))
            at++;
        if (label->count == LABEL_WORDS_MAX)
            return false;
        struct mock_word *word = &label->words[label->count++];
        *word = (struct mock_word){.start = start, .length = (unsigned)(at - start)};
        if (!is_label_word(word))
            return false;
        if (word->length >= NONCE_BYTES_MIN && has_digit(word))
            label->nonce = word;
    }
    return label->count > 0;
}

static enum mock_label classify(const struct label *label) {
    static const struct {
        const char *words;
        enum mock_label label;
    } kinds[] = {
        {"pattern patterns", LABEL_PATTERNS},
        {"cause causes", LABEL_CAUSES},
        {"suggestion suggestions improvement improvements recommendation recommendations", LABEL_SUGGESTIONS},
        {"analysis findings", LABEL_ANALYSIS},
        {"refined", LABEL_OTHER},
        {"reasoning judge judgement", LABEL_REASONING},
        {"detail details check checks evaluation evaluations rule rules score scores llm", LABEL_DETAIL},
        {"output outputs answer answers response responses result results", LABEL_OUTPUT},
        {"input inputs request requests question questions", LABEL_INPUT},
        {"failures", LABEL_FAILURE},
        {"prompt prompts instructions", LABEL_PROMPT},
        {"failure failed passed case example sample", LABEL_FAILURE},
        {"type", LABEL_TASK},
    };
    if (mock_word_is(&label->words[0], "end"))
        return LABEL_END;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (has(label, kinds[i].words)) {
            bool good = has(label, "good best worked works last previous") && !has(label, "active current");
            return kinds[i].label == LABEL_PROMPT && good ? LABEL_GOOD_PROMPT : kinds[i].label;
        }
    if (has(label, "task"))
        return LABEL_ORDER;
    return has(label, "data text model version") ? LABEL_OTHER : LABEL_NONE;
}

enum mock_label mock_read_label(const char *text, size_t length) {
    struct label label = {.count = 0};
    return split_label(&label, text, length) ? classify(&label) : LABEL_NONE;
}

/* A line that may begin a section. */
struct line {
    enum mock_label label;
    struct label words;
    bool marked;         /* by more than a colon */
    const char *content; /* where the section's text begins */
    const char *tag;     /* "<output>": its name; NULL: none */
    size_t tag_length;
};

static bool skip_marks(const char **at, const char *end) {
    const char *start = *at;
    while (*at < end && strchr("#*<[=~", **at) && **at)
        ++*at;
    /* One dash begins a list item. */
    while (end - *at >= 2 && (*at)[0] == '-' && ((*at)[1] == '-' || (*at > start && (*at)[-1] == '-')))
        ++*at;
    while (*at < end && (**at == '-' || **at == ' ') && *at > start)
        ++*at;
    return *at > start;
}

static struct line read_line(const char *start, const char *end) {
    struct line line = {.label = LABEL_NONE};
    const char *at = start + strspn(start, " \t");
    bool tag = at < end && *at == '<' && at + 1 < end && (isalpha((unsigned char)at[1]) || at[1] == '_');
    if (at >= end)
        return line;
    line.marked = skip_marks(&at, end);
    const char *stop = at;
    while (stop < end && (tag ? *stop != '>' : *stop != ':'))
        stop++;
    /* A member of a JSON object is no label. */
    for (const char *c = at; c < stop && !tag; c++)
        if (strchr("{[\",", *c))
            return line;
    /* "Failure 2" needs no mark. */
    bool plain = stop == end && !line.marked;
    if (stop - at > LABEL_BYTES_MAX || (stop == end && tag))
        return line;
    if (!split_label(&line.words, at, (size_t)(stop - at)))
        return line;
    line.label = classify(&line.words);
    if (plain && (line.label != LABEL_FAILURE || !has_digit(&line.words.words[line.words.count - 1])))
        line.label = LABEL_NONE;
    line.content = stop < end ? stop + 1 : end;
    while (!tag && line.content < end && *line.content && strchr("*= ]", *line.content))
        line.content++;
    if (tag) {
        line.tag = at;
        while (at + line.tag_length < stop && !isspace((unsigned char)at[line.tag_length]))
            line.tag_length++;
    }
    return line;
}

static const char *line_end(const char *at) {
    return at + strcspn(at, "\n");
}

/* "</name", behind at. */
static const char *find_close(const char *at, const char *name, size_t length) {
    while ((at = strstr(at, "</")) != NULL) {
        if (strncmp(at + 2, name, length) == 0 && !isalnum((unsigned char)at[2 + length]))
            return at;
        at += 2;
    }
    return NULL;
}

/* The next line that has the random mark. */
static const char *find_nonce(const char *at, const struct mock_word *nonce) {
    for (const char *end; *at; at = end + (*end == '\n')) {
        end = line_end(at);
        if (memmem(at, (size_t)(end - at), nonce->start, nonce->length))
            return at;
    }
    return NULL;
}

static const char *find_end_line(const char *at) {
    for (const char *end; *at; at = end + (*end == '\n')) {
        end = line_end(at);
        if (read_line(at, end).label == LABEL_END)
            return at;
    }
    return NULL;
}

/* A plain "Output:" within a prompt may be the prompt's own. */
static bool ends_plainly(enum mock_label open, const struct line *line) {
    if (line->label == LABEL_NONE)
        return false;
    if (line->marked)
        return true;
    if (open == LABEL_PROMPT || open == LABEL_GOOD_PROMPT)
        return line->label != LABEL_OUTPUT && line->label != LABEL_DETAIL && line->label != LABEL_OTHER &&
               line->label != LABEL_REASONING;
    return open != LABEL_OUTPUT || (line->label != LABEL_OUTPUT && line->label != LABEL_OTHER);
}

static const char *find_next_label(const char *at, enum mock_label open) {
    for (const char *end; *at; at = end + (*end == '\n')) {
        end = line_end(at);
        struct line line = read_line(at, end);
        if (ends_plainly(open, &line))
            return at;
    }
    return at;
}

/* Where the section's text ends. */
static const char *find_end(const struct line *line, const char *content) {
    const char *end = NULL;
    const char *below = line_end(content);
    below += *below == '\n';
    if (line->tag)
        end = find_close(content, line->tag, line->tag_length);
    else if (line->words.nonce)
        end = find_nonce(below, line->words.nonce);
    else if (has(&line->words, "begin start"))
        end = find_end_line(below);
    return end ? end : find_next_label(below, line->label);
}

static const char *skip_closing_tag(const char *at) {
    if (at[0] != '<' || at[1] != '/')
        return at;
    at += strcspn(at, ">\n");
    return at + (*at == '>');
}

void mock_read_sections(const char *text, mock_section section, void *context) {
    for (const char *at = text; *at;) {
        const char *end = line_end(at), *next = end + (*end == '\n');
        struct line line = read_line(at, end);
        if (line.label == LABEL_FAILURE) {
            section(context, line.label, at, (size_t)(end - at));
            next = line.tag ? line.content : next;
        } else if (line.label > LABEL_END) {
            const char *stop = find_end(&line, line.content);
            section(context, line.label, line.content, (size_t)(stop - line.content));
            next = skip_closing_tag(stop);
        }
        at = next > at ? next : end + (*end == '\n');
    }
}
