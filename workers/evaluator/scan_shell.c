/* Do the quotes, brackets and here-documents of a shell script close? */
#include <string.h>

#include "shared/arena.h"
#include "workers/evaluator/scan_syntax.h"

enum { HERE_DOCUMENTS_MAX = 4, HERE_WORD_BYTES_MAX = 64 };

/* What may be open beside '(' '[' '{'. */
enum {
    OPEN_QUOTE = '"',
    OPEN_BACKTICK = '`',
    OPEN_PARAMETER = '$',        /* ${… */
    OPEN_QUOTED_PARAMETER = 'q', /* ${… in "…": an apostrophe in it opens nothing */
    OPEN_ARITHMETIC = 'a',       /* either parenthesis of ((…)) */
    OPEN_CASE = 'c',             /* case … esac: the ')' of a pattern closes nothing */
};

struct shell {
    const char *at, *begin, *end;
    struct open_stack open;
    struct text here[HERE_DOCUMENTS_MAX]; /* the end words of here-documents that begin on the next line */
    int here_count;
    bool command_due; /* the next word is a command, not an argument */
};

static struct text rest_of(const struct shell *shell) {
    return (struct text){shell->at, shell->end};
}

static bool at_word_start(const struct shell *shell) {
    return shell->at == shell->begin || strchr(" \t\n;&|()", shell->at[-1]) != NULL;
}

static void skip(struct shell *shell, size_t bytes) {
    size_t left = (size_t)(shell->end - shell->at);
    shell->at += bytes < left ? bytes : left;
}

/* '…', and $'…' with escapes; at stands behind the first quote. */
static bool take_single_quoted(struct shell *shell, bool escapes) {
    for (; shell->at < shell->end; shell->at++) {
        if (*shell->at == '\\' && escapes)
            shell->at++;
        else if (*shell->at == '\'') {
            shell->at++;
            return true;
        }
    }
    shell->at = shell->end;
    return false;
}

/* $(, $((, ${, and the variables whose names are signs: $# $? $$ … */
static bool take_dollar(struct shell *shell, bool quoted) {
    struct text rest = rest_of(shell);
    if (text_starts(rest, "$((")) {
        open_push(&shell->open, OPEN_ARITHMETIC);
        open_push(&shell->open, OPEN_ARITHMETIC);
        skip(shell, 3);
    } else if (text_starts(rest, "$(")) {
        open_push(&shell->open, '(');
        shell->command_due = true;
        skip(shell, 2);
    } else if (text_starts(rest, "${")) {
        open_push(&shell->open, quoted ? OPEN_QUOTED_PARAMETER : OPEN_PARAMETER);
        skip(shell, 2);
    } else if (text_starts(rest, "$'") && !quoted) {
        skip(shell, 2);
        return take_single_quoted(shell, true);
    } else {
        bool sign = text_length(rest) > 1 && strchr("#?!*@-$0123456789", rest.at[1]) != NULL;
        skip(shell, sign ? 2 : 1);
    }
    return true;
}

/* One step inside of "…" or ${…}. */
static bool step_in_text(struct shell *shell) {
    char inside = open_top(&shell->open);
    bool quoted = inside != OPEN_PARAMETER;
    switch (*shell->at) {
    case '\\':
        skip(shell, 2);
        return true;
    case '$':
        return take_dollar(shell, quoted);
    case '`':
        open_push(&shell->open, OPEN_BACKTICK);
        shell->command_due = true;
        break;
    case '"':
        if (!open_pop(&shell->open, OPEN_QUOTE))
            open_push(&shell->open, OPEN_QUOTE);
        break;
    case '\'':
        skip(shell, 1);
        return quoted || take_single_quoted(shell, false);
    case '}':
        if (inside != OPEN_QUOTE)
            open_pop(&shell->open, inside);
        break;
    }
    skip(shell, 1);
    return true;
}

/* <<WORD and <<-'WORD'; what follows on the line is still code. */
static void take_here_mark(struct shell *shell) {
    if (text_starts(rest_of(shell), "<<<")) {
        skip(shell, 3);
        return;
    }
    skip(shell, 2);
    const char *at = shell->at;
    while (at < shell->end && strchr(" \t-\\'\"", *at) != NULL)
        at++;
    struct text word = {at, at};
    while (word.end < shell->end && byte_in_word(*word.end) && text_length(word) < HERE_WORD_BYTES_MAX)
        word.end++;
    if (text_length(word) == 0 || byte_is_digit(*word.at) || open_top(&shell->open) == OPEN_ARITHMETIC ||
        shell->here_count == HERE_DOCUMENTS_MAX)
        return;
    shell->here[shell->here_count++] = word;
    shell->at = word.end;
    if (shell->at < shell->end && (*shell->at == '\'' || *shell->at == '"'))
        shell->at++;
}

/* Skips the lines of the here-documents that were opened on the line before. */
static bool take_here_documents(struct shell *shell) {
    struct text rest = rest_of(shell), line;
    for (int i = 0; i < shell->here_count; i++) {
        bool ended = false;
        while (!ended && text_next_line(&rest, &line)) {
            line = text_trim(line);
            ended = text_length(line) == text_length(shell->here[i]) &&
                    memcmp(line.at, shell->here[i].at, text_length(line)) == 0;
        }
        if (!ended)
            return false;
    }
    shell->here_count = 0;
    /* Before the line's end, which the next step reads. */
    shell->at = rest.at;
    return true;
}

static void take_word(struct shell *shell) {
    static const char BEFORE_COMMANDS[] = "then do else elif if while until time";
    struct text word = {shell->at, shell->at};
    while (word.end < shell->end && (byte_in_word(*word.end) || *word.end == '-' || *word.end == '='))
        word.end++;
    if (shell->command_due && text_is(word, "case"))
        open_push(&shell->open, OPEN_CASE);
    else if (shell->command_due && text_is(word, "esac"))
        open_pop(&shell->open, OPEN_CASE);
    shell->command_due = text_one_of(word, BEFORE_COMMANDS);
    shell->at = word.end;
}

static bool take_closing(struct shell *shell, char byte) {
    shell->at++;
    switch (byte) {
    case ')':
        if (open_top(&shell->open) == OPEN_CASE) {
            shell->command_due = true;
            return true;
        }
        return open_pop(&shell->open, '(') || open_pop(&shell->open, OPEN_ARITHMETIC);
    case ']':
        return open_pop(&shell->open, '[');
    default:
        return open_pop(&shell->open, '{');
    }
}

static bool take_opening(struct shell *shell, char byte) {
    bool arithmetic =
        byte == '(' && (text_starts(rest_of(shell), "((") || open_top(&shell->open) == OPEN_ARITHMETIC);
    bool twice = arithmetic && open_top(&shell->open) != OPEN_ARITHMETIC;
    if (arithmetic)
        open_push(&shell->open, OPEN_ARITHMETIC);
    if (twice)
        open_push(&shell->open, OPEN_ARITHMETIC);
    if (!arithmetic)
        open_push(&shell->open, byte);
    shell->command_due = byte != '[';
    skip(shell, twice ? 2 : 1);
    return true;
}

static void take_backtick(struct shell *shell) {
    if (!open_pop(&shell->open, OPEN_BACKTICK))
        open_push(&shell->open, OPEN_BACKTICK);
    shell->command_due = true;
    shell->at++;
}

static bool take_newline(struct shell *shell) {
    shell->at++;
    shell->command_due = true;
    return shell->here_count == 0 || take_here_documents(shell);
}

/* One step outside of "…" and ${…}. */
static bool step_in_code(struct shell *shell) {
    char byte = *shell->at;
    if (byte_in_word(byte)) {
        take_word(shell);
        return true;
    }
    switch (byte) {
    case '\n':
        return take_newline(shell);
    case '#':
        if (at_word_start(shell) && open_top(&shell->open) != OPEN_ARITHMETIC) {
            const char *end = memchr(shell->at, '\n', text_length(rest_of(shell)));
            shell->at = end == NULL ? shell->end : end;
            return true;
        }
        break;
    case '\\':
        skip(shell, 2);
        return true;
    case '\'':
        skip(shell, 1);
        return take_single_quoted(shell, false);
    case '"':
        open_push(&shell->open, OPEN_QUOTE);
        break;
    case '`':
        take_backtick(shell);
        return true;
    case '$':
        return take_dollar(shell, false);
    case '<':
        if (text_starts(rest_of(shell), "<<")) {
            take_here_mark(shell);
            return true;
        }
        break;
    case '(':
    case '[':
    case '{':
        return take_opening(shell, byte);
    case ')':
    case ']':
    case '}':
        return take_closing(shell, byte);
    }
    shell->command_due = strchr(";&|!", byte) != NULL || (shell->command_due && byte_is_blank(byte));
    skip(shell, 1);
    return true;
}

bool shell_is_balanced(struct text code) {
    struct arena *arena = arena_create(0);
    struct shell shell = {
        .at = code.at, .begin = code.at, .end = code.end, .open = {.arena = arena}, .command_due = true};
    bool balanced = true;
    while (balanced && shell.at < shell.end) {
        char inside = open_top(&shell.open);
        bool in_text = inside == OPEN_QUOTE || inside == OPEN_PARAMETER || inside == OPEN_QUOTED_PARAMETER;
        balanced = in_text ? step_in_text(&shell) : step_in_code(&shell);
    }
    balanced = balanced && shell.open.depth == 0 && shell.here_count == 0;
    arena_destroy(&arena);
    return balanced;
}
