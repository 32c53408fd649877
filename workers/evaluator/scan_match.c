/* Matches the tokens of a line against patterns of tokens. */
#include "workers/evaluator/scan_match.h"

#include <string.h>
#include <strings.h>

/* Words that stand between operands, or before one, in some language. */
static const char GLUE[] =
    "and or not in is if else for while unless new await async yield lambda function typeof instanceof "
    "delete void "
    "return throw as of do then end begin mut ref move const static unsafe match case when with where from "
    "import "
    "AND OR NOT IN IS AS LIKE BETWEEN CASE WHEN THEN ELSE END DISTINCT NULL ASC DESC ON BY ALL EXISTS UNION "
    "distinct like between null asc desc let var struct sizeof fn dyn int char float double long string";

bool token_is_sign(const struct token *token, const char *sign) {
    return token->type == TOKEN_SIGN && text_is(token->text, sign);
}

static bool is_operand(const struct token *token) {
    return token->type != TOKEN_SIGN && !(token->type == TOKEN_WORD && text_one_of(token->text, GLUE));
}

/* Two operands side by side are words of a sentence, but f"…" and "a" "b" are not. */
static bool side_by_side(const struct token *left, const struct token *right) {
    if (!is_operand(left) || !is_operand(right))
        return false;
    if (left->type == TOKEN_STRING && right->type == TOKEN_STRING)
        return false;
    return right->type != TOKEN_STRING || right->spaced || left->type != TOKEN_WORD;
}

/* A stop or question mark behind a word, with space or nothing after it, ends a sentence. */
static bool ends_sentence(const struct line *line, int i, int end) {
    const struct token *token = &line->tokens[i];
    bool mark = token_is_sign(token, ".") || token_is_sign(token, "!") || token_is_sign(token, "?") ||
                token_is_sign(token, "...");
    if (!mark || token->spaced || i == 0 || line->tokens[i - 1].type == TOKEN_SIGN)
        return false;
    return i + 1 == end ? !line->semicolon : line->tokens[i + 1].spaced && !token_is_sign(token, "?");
}

static bool has_apostrophe(const struct token *token) {
    return token->type == TOKEN_WORD && memchr(token->text.at, '\'', text_length(token->text)) != NULL;
}

bool line_is_expression(const struct line *line, int begin, int end) {
    bool operands = false;
    for (int i = begin; i < end; i++) {
        const struct token *token = &line->tokens[i];
        operands = operands || token->type != TOKEN_SIGN || strchr("([{", *token->text.at) != NULL;
        if (ends_sentence(line, i, end) || has_apostrophe(token))
            return false;
        if (i + 1 < end && side_by_side(token, &line->tokens[i + 1]))
            return false;
    }
    return operands;
}

bool line_is_busy(const struct line *line) {
    static const char SIGNS[] =
        "== != <= >= === !== && || -> => :: ** + * % < > [ += -= *= ++ -- << >> := |> $( ${ // ?? ?.";
    for (int i = 0; i < line->count; i++) {
        const struct token *token = &line->tokens[i];
        if (token->type == TOKEN_STRING && *token->text.at != '`')
            return true;
        if (line->semicolon && (token->type == TOKEN_NUMBER ||
                                   (token->type == TOKEN_SIGN && text_one_of(token->text, "= - / ! & |"))))
            return true;
        if (token->type == TOKEN_SIGN && text_one_of(token->text, SIGNS))
            return true;
        if (token_is_sign(token, ".") && !token->spaced && i > 0 && i + 1 < line->count &&
            line->tokens[i + 1].type == TOKEN_WORD && !line->tokens[i + 1].spaced)
            return true;
    }
    return false;
}

/* One item of a pattern. */
struct item {
    struct text text; /* without its flags */
    bool tight;       /* '_' */
    bool any_case;    /* '~' */
    bool literal;     /* '\' */
};

static bool next_item(const char **pattern, struct item *item) {
    *item = (struct item){0};
    const char *at = *pattern;
    while (*at == ' ')
        at++;
    for (; *at == '_' || *at == '~' || *at == '\\'; at++) {
        item->tight = item->tight || *at == '_';
        item->any_case = item->any_case || *at == '~';
        item->literal = item->literal || *at == '\\';
    }
    item->text = (struct text){at, at + strcspn(at, " ")};
    *pattern = item->text.end;
    return item->text.at < item->text.end;
}

static bool item_is(const struct item *item, const char *what) {
    return !item->literal && text_is(item->text, what);
}

static bool literal_fits(const struct item *item, struct text text) {
    size_t length = text_length(text);
    /* "||" and "|" are signs; elsewhere '|' parts the options. */
    bool options = *item->text.at != '|';
    for (const char *at = item->text.at; at < item->text.end;) {
        const char *bar = options ? memchr(at, '|', (size_t)(item->text.end - at)) : NULL;
        struct text option = {at, bar == NULL ? item->text.end : bar};
        if (text_length(option) == length && (item->any_case ? strncasecmp(option.at, text.at, length)
                                                             : strncmp(option.at, text.at, length)) == 0)
            return true;
        at = option.end + 1;
    }
    return false;
}

/* Does token stand for item, which is neither D, E, *, $ nor ';'? */
static bool token_fits(const struct item *item, const struct token *token) {
    if (item->tight && token->spaced)
        return false;
    if (item_is(item, "S"))
        return token->type == TOKEN_STRING;
    if (item_is(item, "W"))
        return token->type == TOKEN_WORD;
    if (item_is(item, "C"))
        return token->type == TOKEN_WORD && byte_is_upper(*token->text.at);
    if (item_is(item, "V"))
        return token->type == TOKEN_WORD && *token->text.at == '$';
    return token->type != TOKEN_STRING && literal_fits(item, token->text);
}

/* The index behind the dotted name at i, or i when there is none. */
static int skip_name(const struct line *line, int i) {
    if (i >= line->count || line->tokens[i].type != TOKEN_WORD)
        return i;
    for (i++; i + 1 < line->count; i += 2) {
        const struct token *dot = &line->tokens[i], *name = dot + 1;
        bool joins = token_is_sign(dot, ".") || token_is_sign(dot, "::") || token_is_sign(dot, "?.");
        if (!joins || dot->spaced || name->spaced || name->type != TOKEN_WORD)
            break;
    }
    return i;
}

static bool match(const char *pattern, const struct line *line, int i);

/* D takes the whole name, or less of it where the pattern names the last part: "D . each". */
static bool match_name(const char *rest, const struct line *line, int i) {
    for (int end = skip_name(line, i); end > i; end -= 2)
        if (match(rest, line, end))
            return true;
    return false;
}

/* '*' and E take as many tokens as the rest of the pattern leaves them. */
static bool match_run(const char *rest, const struct line *line, int i, bool expression) {
    const char *ahead = rest;
    struct item next;
    if (!next_item(&ahead, &next))
        return !expression || line_is_expression(line, i, line->count);
    bool at_end = item_is(&next, "$") || (item_is(&next, ";") && *ahead == '\0');
    for (int end = at_end ? line->count : i; end <= line->count; end++) {
        /* The rest is tried only where its first item fits. */
        bool fits = at_end || (end < line->count && token_fits(&next, &line->tokens[end])) ||
                    (end < line->count && item_is(&next, "D"));
        if (fits && (!expression || line_is_expression(line, i, end)) && match(rest, line, end))
            return true;
    }
    return false;
}

/* Bounded: a pattern has few '*', a line LINE_TOKENS_MAX tokens. */
static bool match(const char *pattern, const struct line *line, int i) {
    struct item item;
    while (next_item(&pattern, &item)) {
        if (item_is(&item, "$"))
            return i == line->count;
        if (item_is(&item, ";") && *pattern == '\0')
            return i == line->count && line->semicolon;
        if (item_is(&item, "D"))
            return match_name(pattern, line, i);
        if (item_is(&item, "*") || item_is(&item, "E"))
            return match_run(pattern, line, i, item_is(&item, "E"));
        if (i >= line->count || !token_fits(&item, &line->tokens[i]))
            return false;
        i++;
    }
    return i == line->count;
}

bool shape_matches(const char *pattern, const struct line *line) {
    return match(pattern, line, 0);
}
