/* Matches the tokens of a line against patterns of tokens. */
#include "workers/evaluator/scan_match.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
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

enum item_kind {
    ITEM_LITERAL, /* a word or sign, or several with '|' between them */
    ITEM_WORD,
    ITEM_CAPITAL,
    ITEM_VARIABLE,
    ITEM_STRING,
    ITEM_NAME,
    ITEM_EXPRESSION,
    ITEM_ANY,
    ITEM_END,
    ITEM_SEMICOLON,
};

/* One item of a pattern. */
struct item {
    enum item_kind kind;
    struct text text;   /* without its flags */
    bool tight;         /* '_' */
    bool any_case;      /* '~' */
    uint64_t firsts[4]; /* the first bytes that a literal may have: most tokens are told apart by these */
};

enum { ITEMS_MAX = 24, SHAPES_MAX = 1024 };

/* A pattern read once: the table is matched against every line. */
struct pattern {
    struct item *items;
    int count;
};

static enum item_kind kind_of(struct text text, bool literal, bool last) {
    static const struct {
        const char *name;
        enum item_kind kind;
    } KINDS[] = {{"W", ITEM_WORD}, {"C", ITEM_CAPITAL}, {"V", ITEM_VARIABLE}, {"S", ITEM_STRING},
        {"D", ITEM_NAME}, {"E", ITEM_EXPRESSION}, {"*", ITEM_ANY}, {"$", ITEM_END}, {";", ITEM_SEMICOLON}};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS && !literal; i++)
        if (text_is(text, KINDS[i].name) && (KINDS[i].kind != ITEM_SEMICOLON || last))
            return KINDS[i].kind;
    return ITEM_LITERAL;
}

static void add_first(struct item *item, unsigned char first) {
    item->firsts[first / 64] |= UINT64_C(1) << first % 64;
}

/* "||" and "|" are signs; elsewhere '|' parts the options. */
static struct text next_option(const struct item *item, const char *at) {
    const char *bar = *item->text.at == '|' ? NULL : memchr(at, '|', (size_t)(item->text.end - at));
    return (struct text){at, bar == NULL ? item->text.end : bar};
}

static void collect_firsts(struct item *item) {
    for (const char *at = item->text.at; at < item->text.end; at = next_option(item, at).end + 1) {
        add_first(item, (unsigned char)*at);
        if (item->any_case) {
            add_first(item, (unsigned char)tolower((unsigned char)*at));
            add_first(item, (unsigned char)toupper((unsigned char)*at));
        }
    }
}

static const char *read_item(const char *at, struct item *item) {
    bool literal = false;
    *item = (struct item){0};
    for (; *at == '_' || *at == '~' || *at == '\\'; at++) {
        item->tight = item->tight || *at == '_';
        item->any_case = item->any_case || *at == '~';
        literal = literal || *at == '\\';
    }
    item->text = (struct text){at, at + strcspn(at, " ")};
    at = item->text.end + strspn(item->text.end, " ");
    item->kind = kind_of(item->text, literal, *at == '\0');
    collect_firsts(item);
    return at;
}

static const struct pattern *pattern_of(const struct shape *shape) {
    static struct pattern patterns[SHAPES_MAX];
    struct pattern *pattern = &patterns[shape - SHAPES];
    if (pattern->items != NULL)
        return pattern;
    pattern->items = calloc(ITEMS_MAX, sizeof *pattern->items);
    if (pattern->items == NULL || shape - SHAPES >= SHAPES_MAX)
        abort();
    for (const char *at = shape->pattern; *at != '\0';) {
        if (pattern->count == ITEMS_MAX)
            abort();
        at = read_item(at, &pattern->items[pattern->count++]);
    }
    return pattern;
}

static bool literal_fits(const struct item *item, struct text text) {
    unsigned char first = (unsigned char)*text.at;
    size_t length = text_length(text);
    if (!(item->firsts[first / 64] >> first % 64 & 1))
        return false;
    for (const char *at = item->text.at; at < item->text.end;) {
        struct text option = next_option(item, at);
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
    switch (item->kind) {
    case ITEM_STRING:
        return token->type == TOKEN_STRING;
    case ITEM_WORD:
        return token->type == TOKEN_WORD;
    case ITEM_CAPITAL:
        return token->type == TOKEN_WORD && byte_is_upper(*token->text.at);
    case ITEM_VARIABLE:
        return token->type == TOKEN_WORD && *token->text.at == '$';
    default:
        return token->type != TOKEN_STRING && literal_fits(item, token->text);
    }
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

static bool match(const struct item *item, const struct item *end, const struct line *line, int i);

/* D takes the whole name, or less of it where the pattern names the last part: "D . each". */
static bool match_name(const struct item *rest, const struct item *end, const struct line *line, int i) {
    for (int behind = skip_name(line, i); behind > i; behind -= 2)
        if (match(rest, end, line, behind))
            return true;
    return false;
}

/* '*' and E take as many tokens as the rest of the pattern leaves them. */
static bool match_run(
    const struct item *rest, const struct item *end, const struct line *line, int i, bool expression) {
    if (rest == end)
        return !expression || line_is_expression(line, i, line->count);
    bool at_end = rest->kind == ITEM_END || rest->kind == ITEM_SEMICOLON;
    for (int behind = at_end ? line->count : i; behind <= line->count; behind++) {
        /* The rest is tried only where its first item fits. */
        bool fits = at_end || (behind < line->count &&
                                  (rest->kind == ITEM_NAME || token_fits(rest, &line->tokens[behind])));
        if (fits && (!expression || line_is_expression(line, i, behind)) && match(rest, end, line, behind))
            return true;
    }
    return false;
}

/* Bounded: a pattern has few '*', a line LINE_TOKENS_MAX tokens. */
static bool match(const struct item *item, const struct item *end, const struct line *line, int i) {
    for (; item < end; item++) {
        if (item->kind == ITEM_END)
            return i == line->count;
        if (item->kind == ITEM_SEMICOLON)
            return i == line->count && line->semicolon;
        if (item->kind == ITEM_NAME)
            return match_name(item + 1, end, line, i);
        if (item->kind == ITEM_ANY || item->kind == ITEM_EXPRESSION)
            return match_run(item + 1, end, line, i, item->kind == ITEM_EXPRESSION);
        if (i >= line->count || !token_fits(item, &line->tokens[i]))
            return false;
        i++;
    }
    return i == line->count;
}

bool shape_matches(const struct shape *shape, const struct line *line) {
    const struct pattern *pattern = pattern_of(shape);
    return match(pattern->items, pattern->items + pattern->count, line, 0);
}
