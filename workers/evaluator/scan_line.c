/* Cuts a line into the tokens that most languages share. */
#include "workers/evaluator/scan_match.h"

#include <string.h>

/* Longest first, so that "===" is not read as "==" and "=". */
static const char *const SIGNS[] = {"===", "!==", "<<=", ">>=", "**=", "...", "<=>", "=>", "->",
    ":=", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "++", "--", "&&", "||",
    "<<", ">>", "::", "<-", "|>", "?.", "??", "</", "/>", "**", "//", "$(", "${", "=~"};

/* "`print(x)`" as a line of its own, prompts of shells and of Python, and the ';' at the end are taken off.
 */
static struct text bare_line(struct text text, struct line *line) {
    size_t length = text_length(text);
    if (length > 2 && *text.at == '`' && memchr(text.at + 1, '`', length - 1) == text.end - 1)
        text = (struct text){text.at + 1, text.end - 1};
    if (text_starts(text, ">>> ") || text_starts(text, "... "))
        text.at += 4;
    if (text_starts(text, "$ "))
        text.at += 2;
    while (text.end > text.at && text.end[-1] == ';' && !line->cut) {
        text.end--;
        line->semicolon = true;
    }
    return text_trim(text);
}

static bool word_begins(struct text rest) {
    if (*rest.at == '$' && rest.at + 1 < rest.end)
        return byte_is_letter(rest.at[1]) || rest.at[1] == '_';
    return byte_in_word(*rest.at);
}

/* An apostrophe between letters belongs to the word ("it's"), unless the word is a prefix of strings (f'…').
 */
static bool apostrophe_in_word(struct text word, const char *end) {
    return word.end + 1 < end && *word.end == '\'' && byte_is_letter(word.end[1]) &&
           !text_one_of_any_case(word, "f r b u l br rb fr rf u8 return case in x q");
}

static void read_word(struct text rest, struct token *token) {
    token->type = byte_is_digit(*rest.at) ? TOKEN_NUMBER : TOKEN_WORD;
    token->text.end = rest.at + 1;
    for (;;) {
        while (token->text.end < rest.end && (byte_in_word(*token->text.end) || *token->text.end == '$'))
            token->text.end++;
        bool fraction = token->type == TOKEN_NUMBER && token->text.end + 1 < rest.end &&
                        *token->text.end == '.' && byte_is_digit(token->text.end[1]);
        bool apostrophe = token->type == TOKEN_WORD && apostrophe_in_word(token->text, rest.end);
        if (!fraction && !apostrophe)
            return;
        token->text.end++;
    }
}

/* A string that does not close on the line runs to its end. */
static void read_string(struct text rest, struct token *token) {
    const char *at = rest.at + 1;
    token->type = TOKEN_STRING;
    if (text_starts(rest, "\"\"\"") || text_starts(rest, "'''")) {
        const char *end = memmem(rest.at + 3, text_length(rest) - 3, rest.at, 3);
        token->text.end = end == NULL ? rest.end : end + 3;
        return;
    }
    while (at < rest.end && *at != *rest.at)
        at += *at == '\\' && at + 1 < rest.end ? 2 : 1;
    token->text.end = at < rest.end ? at + 1 : rest.end;
}

static void read_sign(struct text rest, struct token *token) {
    token->type = TOKEN_SIGN;
    token->text.end = rest.at + 1;
    for (size_t i = 0; i < sizeof SIGNS / sizeof SIGNS[0]; i++) {
        if (text_starts(rest, SIGNS[i])) {
            token->text.end = rest.at + strlen(SIGNS[i]);
            return;
        }
    }
}

static bool comment_begins(struct text rest, const struct line *line, bool spaced) {
    return line->count > 0 && spaced && (text_starts(rest, "# ") || text_starts(rest, "//"));
}

void line_read(struct text text, struct line *line) {
    line->count = 0;
    line->semicolon = false;
    line->text = text = text_trim(text);
    line->cut = text_length(text) > LINE_BYTES_MAX;
    if (line->cut)
        text.end = text.at + LINE_BYTES_MAX;
    struct text rest = bare_line(text, line);
    const char *begin = rest.at;
    while (rest.at < rest.end) {
        bool spaced = rest.at > begin && byte_is_blank(rest.at[-1]);
        if (byte_is_blank(*rest.at)) {
            rest.at++;
            continue;
        }
        if (comment_begins(rest, line, spaced))
            break;
        if (line->count == LINE_TOKENS_MAX) {
            line->cut = true;
            break;
        }
        struct token *token = &line->tokens[line->count++];
        token->spaced = spaced;
        token->text.at = rest.at;
        if (word_begins(rest))
            read_word(rest, token);
        else if (*rest.at == '"' || *rest.at == '\'' || *rest.at == '`')
            read_string(rest, token);
        else
            read_sign(rest, token);
        rest.at = token->text.end;
    }
    /* The ';' before a comment behind code: "x = 1; // one". */
    if (line->count > 0 && text_is(line->tokens[line->count - 1].text, ";")) {
        line->count--;
        line->semicolon = true;
    }
}
