/* Do the brackets, strings and comments of a piece of code close? One scanner for the languages whose
 * differences fit into a few flags. */
#include "workers/evaluator/scan_syntax.h"

#include <string.h>
#include <strings.h>

#include "shared/arena.h"

enum {
    HASH_COMMENT = 1 << 0,   /* # at the start of a word, to the line's end */
    SLASH_COMMENT = 1 << 1,  /* // to the line's end */
    BLOCK_COMMENT = 1 << 2,  /* slash star to star slash */
    NESTED_COMMENT = 1 << 3, /* … which count their own openings */
    DASH_COMMENT = 1 << 4,   /* -- to the line's end */
    SEMICOLON_COMMENT = 1 << 5,
    DOUBLE_STRING = 1 << 6,
    SINGLE_STRING = 1 << 7,
    SINGLE_CHAR = 1 << 8, /* 'x', and apostrophes of lifetimes and numbers */
    TRIPLE_STRING = 1 << 9,
    MULTILINE = 1 << 10, /* a string may go on over lines */
    BACKSLASH = 1 << 11, /* escapes in strings */
    TEMPLATE = 1 << 12,  /* `…${…}…` */
    REGEX = 1 << 13,
    HERE_DOCUMENT = 1 << 14, /* <<~WORD and <<<WORD */
    RAW_STRING = 1 << 15,    /* R"x(…)x", r#"…"#, @"…" */
    DOLLAR_STRING = 1 << 16, /* $tag$…$tag$ */
    QUOTED_NAME = 1 << 17,   /* `name` */
    APOSTROPHES = 1 << 18,   /* ' between letters opens nothing */
    LONG_BRACKETS = 1 << 19, /* [[…]] */
    RAW_BACKTICK = 1 << 20,  /* `…` of Go */
};

static const struct dialect {
    const char *tags; /* of fences, parted by spaces */
    unsigned flags;
} DIALECTS[LANGUAGES] = {
    [LANGUAGE_UNKNOWN] = {"", HASH_COMMENT | BLOCK_COMMENT | DOUBLE_STRING | SINGLE_CHAR | BACKSLASH |
                                  TRIPLE_STRING | TEMPLATE | APOSTROPHES},
    [LANGUAGE_TEXT] =
        {"text txt plain plaintext none output console terminal shell-session pycon diff patch log md "
         "markdown mermaid yaml yml tex latex ini makefile make mk http csv email asm",
            0},
    [LANGUAGE_PYTHON] = {"python py python3 py3 ipython sage toml r starlark pyi",
        HASH_COMMENT | DOUBLE_STRING | SINGLE_STRING | TRIPLE_STRING | BACKSLASH},
    [LANGUAGE_RUBY] = {"ruby rb elixir ex exs crystal perl pl", HASH_COMMENT | DOUBLE_STRING | SINGLE_STRING |
                                                                    MULTILINE | BACKSLASH | REGEX |
                                                                    HERE_DOCUMENT | TRIPLE_STRING},
    [LANGUAGE_SHELL] = {"bash sh shell zsh ksh dockerfile docker fish", 0},
    [LANGUAGE_SQL] = {"sql postgresql postgres pgsql plpgsql mysql sqlite tsql plsql mariadb",
        DASH_COMMENT | BLOCK_COMMENT | DOUBLE_STRING | SINGLE_STRING | MULTILINE | DOLLAR_STRING |
            QUOTED_NAME},
    [LANGUAGE_C] = {"c cpp c++ cc cxx h hpp java csharp cs c# go golang kotlin kt scala objc objective-c zig "
                    "proto protobuf glsl cuda d hcl terraform",
        SLASH_COMMENT | BLOCK_COMMENT | DOUBLE_STRING | SINGLE_CHAR | BACKSLASH | TRIPLE_STRING | RAW_STRING |
            RAW_BACKTICK},
    [LANGUAGE_RUST] = {"rust rs", SLASH_COMMENT | BLOCK_COMMENT | NESTED_COMMENT | DOUBLE_STRING |
                                      SINGLE_CHAR | MULTILINE | BACKSLASH | RAW_STRING},
    [LANGUAGE_JAVASCRIPT] =
        {"javascript js jsx typescript ts tsx json json5 jsonc node mjs dart groovy swift "
         "graphql vue svelte",
            SLASH_COMMENT | BLOCK_COMMENT | DOUBLE_STRING | SINGLE_STRING | BACKSLASH | TEMPLATE | REGEX |
                APOSTROPHES | TRIPLE_STRING},
    [LANGUAGE_PHP] = {"php php3 php7 php8 hack", SLASH_COMMENT | HASH_COMMENT | BLOCK_COMMENT |
                                                     DOUBLE_STRING | SINGLE_STRING | MULTILINE | BACKSLASH |
                                                     HERE_DOCUMENT},
    [LANGUAGE_CSS] = {"css scss sass less", BLOCK_COMMENT | DOUBLE_STRING | SINGLE_STRING | BACKSLASH},
    [LANGUAGE_HTML] = {"html xml svg htm xhtml jinja", 0},
    [LANGUAGE_LUA] = {"lua", DASH_COMMENT | DOUBLE_STRING | SINGLE_STRING | BACKSLASH | LONG_BRACKETS},
    [LANGUAGE_LISP] = {"lisp clojure clj scheme elisp racket common-lisp",
        SEMICOLON_COMMENT | DOUBLE_STRING | MULTILINE | BACKSLASH},
    [LANGUAGE_OTHER] =
        {"haskell hs ocaml ml fsharp fs julia jl matlab octave vb erlang prolog fortran pascal nim",
            DOUBLE_STRING | MULTILINE | BACKSLASH},
};

struct scanner {
    const char *at, *begin, *end;
    unsigned flags;
    struct open_stack open; /* '(' '[' '{'; '`' for a template, '$' for a ${ in it */
    const char *last;       /* the last byte of code that was no white space; NULL at first */
    const char *no_regex;   /* on the line that ends here a '/' opened no regular expression */
};

enum step {
    STEP_NONE,  /* not what was looked for: nothing taken */
    STEP_TAKEN, /* taken whole */
    STEP_OPEN,  /* it does not end */
};

enum language language_of_tag(struct text tag) {
    for (enum language language = LANGUAGE_UNKNOWN; language < LANGUAGES; language++)
        if (text_one_of_any_case(tag, DIALECTS[language].tags))
            return language;
    return LANGUAGE_UNKNOWN;
}

static struct text rest_of(const struct scanner *scanner) {
    return (struct text){scanner->at, scanner->end};
}

static char byte_before(const struct scanner *scanner, const char *at) {
    return at > scanner->begin ? at[-1] : '\n';
}

static enum step take_line(struct scanner *scanner) {
    const char *end = memchr(scanner->at, '\n', (size_t)(scanner->end - scanner->at));
    scanner->at = end == NULL ? scanner->end : end;
    return STEP_TAKEN;
}

/* Takes all up to and with mark; skip bytes of the beginning are not looked at. */
static enum step take_until(struct scanner *scanner, size_t skip, const char *mark, size_t length) {
    struct text rest = {scanner->at + skip, scanner->end};
    const char *found = rest.at > rest.end ? NULL : memmem(rest.at, text_length(rest), mark, length);
    if (found == NULL)
        return STEP_OPEN;
    scanner->at = found + length;
    return STEP_TAKEN;
}

static enum step take_block_comment(struct scanner *scanner) {
    size_t depth = 0;
    if ((scanner->flags & NESTED_COMMENT) == 0)
        return take_until(scanner, 2, "*/", 2);
    while (scanner->at + 1 < scanner->end) {
        bool opens = text_starts(rest_of(scanner), "/*"), closes = text_starts(rest_of(scanner), "*/");
        depth += opens;
        depth -= closes;
        scanner->at += opens || closes ? 2 : 1;
        if (depth == 0)
            return STEP_TAKEN;
    }
    return STEP_OPEN;
}

/* Where the language is not known, a // behind an operand is a division; in styles one may stand in a URL. */
static bool slashes_comment(const struct scanner *scanner) {
    if ((scanner->flags & SLASH_COMMENT) != 0)
        return true;
    const char *line = scanner->at;
    while (line > scanner->begin && byte_is_blank(line[-1]))
        line--;
    bool loose =
        scanner->flags == DIALECTS[LANGUAGE_UNKNOWN].flags || scanner->flags == DIALECTS[LANGUAGE_CSS].flags;
    return loose && strchr("\n;{},", byte_before(scanner, line)) != NULL;
}

static enum step take_comment(struct scanner *scanner) {
    struct text rest = rest_of(scanner);
    unsigned flags = scanner->flags;
    char before = byte_before(scanner, scanner->at);
    switch (*rest.at) {
    case '#':
        return (flags & HASH_COMMENT) != 0 && before != '$' && before != '&' ? take_line(scanner) : STEP_NONE;
    case ';':
        return (flags & SEMICOLON_COMMENT) != 0 ? take_line(scanner) : STEP_NONE;
    case '-':
        if ((flags & DASH_COMMENT) == 0 || !text_starts(rest, "--"))
            return STEP_NONE;
        if ((flags & LONG_BRACKETS) != 0 && text_starts(rest, "--[["))
            return take_until(scanner, 4, "]]", 2);
        return take_line(scanner);
    case '/':
        if (text_starts(rest, "/*") && (flags & BLOCK_COMMENT) != 0)
            return take_block_comment(scanner);
        if (text_starts(rest, "//") && slashes_comment(scanner))
            return take_line(scanner);
        return STEP_NONE;
    }
    return STEP_NONE;
}

/* R"x(…)x" of C++, r#"…"# of Rust, @"…" of C#: STEP_NONE when the quote at hand opens none of them. */
static enum step take_raw_string(struct scanner *scanner) {
    char close[24] = "";
    const char *before = scanner->at;
    size_t hashes = 0;
    while (byte_before(scanner, before) == '#' && hashes < 8) {
        before--;
        hashes++;
    }
    char prefix = byte_before(scanner, before);
    if (prefix == 'r') {
        memcpy(close, "\"########", 1 + hashes);
        return take_until(scanner, 1, close, 1 + hashes);
    }
    const char *paren =
        memchr(scanner->at, '(', scanner->end - scanner->at < 18 ? (size_t)(scanner->end - scanner->at) : 18);
    if (prefix == 'R' && hashes == 0 && paren != NULL) {
        size_t tag = (size_t)(paren - scanner->at) - 1;
        close[0] = ')';
        memcpy(close + 1, scanner->at + 1, tag);
        close[1 + tag] = '"';
        return take_until(scanner, 1, close, tag + 2);
    }
    /* A doubled quote in @"…" opens the rest as one more string, which comes to the same. */
    return hashes == 0 && prefix == '@' ? take_until(scanner, 1, "\"", 1) : STEP_NONE;
}

/* An ordinary string: to its quote, past escapes, over lines only where the language lets it. */
static enum step take_quoted(struct scanner *scanner, bool multiline) {
    char quote = *scanner->at;
    bool escapes = (scanner->flags & BACKSLASH) != 0;
    for (const char *at = scanner->at + 1; at < scanner->end; at++) {
        if (*at == quote) {
            scanner->at = at + 1;
            return STEP_TAKEN;
        }
        if (*at == '\\' && escapes) {
            at++;
            if (at + 1 < scanner->end && *at == '\r' && at[1] == '\n')
                at++;
        } else if (*at == '\n' && !multiline)
            return STEP_OPEN;
    }
    return STEP_OPEN;
}

static enum step take_triple(struct scanner *scanner) {
    char quote = *scanner->at;
    for (const char *at = scanner->at + 3; at < scanner->end; at++) {
        if (*at == '\\')
            at++;
        else if (scanner->end - at >= 3 && at[0] == quote && at[1] == quote && at[2] == quote) {
            scanner->at = at + 3;
            return STEP_TAKEN;
        }
    }
    return STEP_OPEN;
}

static bool apostrophe_in_word(const struct scanner *scanner) {
    static const char KEYWORDS[] = "return case in of typeof b r f u rb br x";
    struct text word = {scanner->at, scanner->at};
    while (scanner->at - word.at < 8 && byte_in_word(byte_before(scanner, word.at)))
        word.at--;
    return text_length(word) > 0 && scanner->at + 1 < scanner->end && byte_is_letter(scanner->at[1]) &&
           !text_one_of_any_case(word, KEYWORDS);
}

/* 'x' and '\n' are characters; 'a with no end is a lifetime; else, in languages alike, a string on one line.
 */
static enum step take_char(struct scanner *scanner) {
    const char *next = scanner->at + 1;
    size_t left = (size_t)(scanner->end - next);
    if (left == 0)
        return STEP_OPEN;
    const char *after = next + 1;
    while (after < scanner->end && ((unsigned char)*after & 0xc0) == 0x80)
        after++;
    if (*next != '\\' && *next != '\'' && after < scanner->end && *after == '\'') {
        scanner->at = after + 1;
        return STEP_TAKEN;
    }
    char before = byte_before(scanner, scanner->at);
    bool rust = (scanner->flags & NESTED_COMMENT) != 0;
    if ((rust || before == '<' || before == '&') && byte_in_word(*next)) {
        scanner->at++;
        return STEP_TAKEN;
    }
    return take_quoted(scanner, false);
}

/* The text of a template up to its end, or into the code of a ${. */
static enum step take_template_text(struct scanner *scanner) {
    for (; scanner->at < scanner->end; scanner->at++) {
        if (*scanner->at == '\\')
            scanner->at++;
        else if (*scanner->at == '`') {
            scanner->at++;
            open_pop(&scanner->open, '`');
            return STEP_TAKEN;
        } else if (text_starts(rest_of(scanner), "${")) {
            scanner->at += 2;
            open_push(&scanner->open, '$');
            return STEP_TAKEN;
        }
    }
    scanner->at = scanner->end;
    return STEP_OPEN;
}

/* $$…$$ and $tag$…$tag$ of Postgres. */
static enum step take_dollar_string(struct scanner *scanner) {
    const char *at = scanner->at + 1;
    while (at < scanner->end && at - scanner->at < 64 && byte_in_word(*at))
        at++;
    if (at >= scanner->end || *at != '$' || byte_is_digit(scanner->at[1]))
        return STEP_NONE;
    size_t length = (size_t)(at + 1 - scanner->at);
    return take_until(scanner, length, scanner->at, length);
}

static enum step take_string(struct scanner *scanner) {
    unsigned flags = scanner->flags;
    char quote = *scanner->at;
    struct text rest = rest_of(scanner);
    bool single = (flags & (SINGLE_STRING | SINGLE_CHAR)) != 0;
    if (quote == '`' && (flags & TEMPLATE) != 0) {
        open_push(&scanner->open, '`');
        scanner->at++;
        return take_template_text(scanner);
    }
    if (quote == '`' && (flags & RAW_BACKTICK) != 0)
        return take_until(scanner, 1, "`", 1);
    if (quote == '`')
        return (flags & QUOTED_NAME) != 0 ? take_quoted(scanner, false) : STEP_NONE;
    if (quote == '$')
        return (flags & DOLLAR_STRING) != 0 ? take_dollar_string(scanner) : STEP_NONE;
    if (quote == '[')
        return (flags & LONG_BRACKETS) != 0 && text_starts(rest, "[[") ? take_until(scanner, 2, "]]", 2)
                                                                       : STEP_NONE;
    if ((quote != '"' || (flags & DOUBLE_STRING) == 0) && (quote != '\'' || !single))
        return STEP_NONE;
    if ((flags & TRIPLE_STRING) != 0 && (text_starts(rest, "\"\"\"") || text_starts(rest, "'''")))
        return take_triple(scanner);
    if (quote == '\'' && (flags & APOSTROPHES) != 0 && apostrophe_in_word(scanner)) {
        scanner->at++;
        return STEP_TAKEN;
    }
    if (quote == '\'' && (flags & SINGLE_CHAR) != 0)
        return take_char(scanner);
    enum step raw = quote == '"' && (flags & RAW_STRING) != 0 ? take_raw_string(scanner) : STEP_NONE;
    return raw != STEP_NONE ? raw : take_quoted(scanner, (flags & MULTILINE) != 0);
}

/* A '/' where an operand is due opens a regular expression: behind an operator, a bracket or a keyword. */
static bool regex_is_due(const struct scanner *scanner) {
    static const char KEYWORDS[] =
        "return typeof case in of delete void throw new if elsif unless when and or not while";
    const char *last = scanner->last;
    if (last == NULL)
        return true;
    if (*last == '>')
        return byte_before(scanner, last) == '=';
    if (!byte_in_word(*last))
        return strchr("(,=:[!&|?{};+-*%~^", *last) != NULL;
    struct text word = {last, last + 1};
    while (text_length(word) < 8 && byte_in_word(byte_before(scanner, word.at)))
        word.at--;
    return text_one_of(word, KEYWORDS);
}

static enum step take_regex(struct scanner *scanner) {
    bool in_class = false;
    if (*scanner->at != '/' || (scanner->flags & REGEX) == 0 || scanner->at < scanner->no_regex ||
        !regex_is_due(scanner))
        return STEP_NONE;
    const char *at = scanner->at + 1;
    for (; at < scanner->end && *at != '\n'; at++) {
        if (*at == '\\' && at + 1 < scanner->end)
            at++;
        else if (*at == '[' || *at == ']')
            in_class = *at == '[';
        else if (*at == '/' && !in_class) {
            scanner->at = at + 1;
            return STEP_TAKEN;
        }
    }
    /* No end on this line: a division. The line is not searched again, so that the time stays linear. */
    scanner->no_regex = at;
    return STEP_NONE;
}

/* <<~WORD, <<-WORD and <<WORD of Ruby, <<<WORD of PHP: to the line that begins with WORD. What follows on the
 * first line is skipped too: it seldom holds more than a method call. */
static enum step take_here_document(struct scanner *scanner) {
    const char *at = scanner->at;
    while (at < scanner->end && at - scanner->at < 4 && *at == '<')
        at++;
    if ((scanner->flags & HERE_DOCUMENT) == 0 || at - scanner->at < 2 || at - scanner->at > 3)
        return STEP_NONE;
    while (at < scanner->end && strchr("~-'\"", *at) != NULL)
        at++;
    struct text word = {at, at};
    while (word.end < scanner->end && byte_in_word(*word.end))
        word.end++;
    if (text_length(word) == 0 || !byte_is_upper(*word.at))
        return STEP_NONE;
    struct text rest = {word.end, scanner->end}, line;
    const char *opened = memchr(word.end, '\n', (size_t)(scanner->end - word.end));
    rest.at = opened == NULL ? scanner->end : opened;
    while (text_next_line(&rest, &line)) {
        struct text begin = text_trim(line);
        begin.end =
            begin.at + (text_length(begin) < text_length(word) ? text_length(begin) : text_length(word));
        if (text_length(begin) == text_length(word) && memcmp(begin.at, word.at, text_length(word)) == 0) {
            scanner->at = begin.end;
            return STEP_TAKEN;
        }
    }
    return STEP_OPEN;
}

/* A number is taken whole, for the separators in it: 1'000'000. */
static enum step take_number(struct scanner *scanner) {
    if ((scanner->flags & SINGLE_CHAR) == 0 || !byte_is_digit(*scanner->at) ||
        byte_in_word(byte_before(scanner, scanner->at)))
        return STEP_NONE;
    while (scanner->at < scanner->end &&
           (byte_in_word(*scanner->at) ||
               (*scanner->at == '\'' && scanner->at + 1 < scanner->end && byte_is_digit(scanner->at[1]))))
        scanner->at++;
    return STEP_TAKEN;
}

static enum step take_bracket(struct scanner *scanner) {
    char byte = *scanner->at++;
    switch (byte) {
    case '(':
    case '[':
    case '{':
        open_push(&scanner->open, byte);
        return STEP_TAKEN;
    case ')':
        return open_pop(&scanner->open, '(') ? STEP_TAKEN : STEP_OPEN;
    case ']':
        return open_pop(&scanner->open, '[') ? STEP_TAKEN : STEP_OPEN;
    case '}':
        if (open_pop(&scanner->open, '$'))
            return take_template_text(scanner);
        return open_pop(&scanner->open, '{') ? STEP_TAKEN : STEP_OPEN;
    }
    return STEP_TAKEN;
}

/* Between ?> and <? of PHP, and before the first <?, stands text. */
static enum step take_html_of_php(struct scanner *scanner) {
    if (!text_starts(rest_of(scanner), "?>"))
        return STEP_NONE;
    if (take_until(scanner, 2, "<?", 2) == STEP_OPEN)
        scanner->at = scanner->end;
    return STEP_TAKEN;
}

static enum step take_step(struct scanner *scanner) {
    static enum step (*const STEPS[])(struct scanner *) = {
        take_comment, take_here_document, take_string, take_regex, take_number, take_bracket};
    if (scanner->flags == DIALECTS[LANGUAGE_PHP].flags && take_html_of_php(scanner) == STEP_TAKEN)
        return STEP_TAKEN;
    const char *from = scanner->at;
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        enum step step = STEPS[i](scanner);
        if (step == STEP_NONE)
            continue;
        bool code = i > 0 && step == STEP_TAKEN && !byte_is_blank(*from) && *from != '\n';
        scanner->last = code ? scanner->at - 1 : scanner->last;
        return step;
    }
    return STEP_TAKEN;
}

static bool flags_balance(struct text code, unsigned flags) {
    struct arena *arena = arena_create(0);
    struct scanner scanner = {
        .at = code.at, .begin = code.at, .end = code.end, .flags = flags, .open = {.arena = arena}};
    bool balanced = true;
    while (balanced && scanner.at < scanner.end)
        balanced = take_step(&scanner) != STEP_OPEN;
    balanced = balanced && scanner.open.depth == 0;
    arena_destroy(&arena);
    return balanced;
}

bool syntax_is_balanced(struct text code, enum language language) {
    switch (language) {
    case LANGUAGE_TEXT:
        return true;
    case LANGUAGE_SHELL:
        return shell_is_balanced(code);
    case LANGUAGE_HTML:
        return html_is_balanced(code);
    case LANGUAGE_SQL:
        /* MySQL escapes quotes by a backslash, standard SQL does not; only the author knows which this is. */
        return flags_balance(code, DIALECTS[language].flags) ||
               flags_balance(code, DIALECTS[language].flags | BACKSLASH);
    default:
        return flags_balance(code, DIALECTS[language].flags);
    }
}
