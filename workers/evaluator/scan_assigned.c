/* Literals that are given to secrets by name, and credentials in URLs. */
#include "workers/evaluator/scan_assigned.h"

#include <string.h>

#include "workers/evaluator/scan_keys.h"
#include "workers/evaluator/scan_value.h"

/* Bounds of what is looked at around a name, so that time stays linear. */
enum { NAME_BYTES_MAX = 64, GAP_BYTES_MAX = 40, VALUE_BYTES_MAX = 200, BARE_BYTES_MAX = 80 };

/* How a value is tied to a name. */
enum tie {
    TIE_NONE,
    TIE_ASSIGN,  /* = := => */
    TIE_COLON,   /* : */
    TIE_COMPARE, /* == != */
    TIE_TAG,     /* <name>value */
    TIE_SPACE,   /* PASSWORD 'value' of SQL, #define NAME "value" */
};

struct cursor {
    struct text whole;
    const char *at;
};

static char peek(const struct cursor *cursor, size_t ahead) {
    return (size_t)(cursor->whole.end - cursor->at) > ahead ? cursor->at[ahead] : '\0';
}

static bool is_quote(char byte) {
    return byte == '"' || byte == '\'' || byte == '`';
}

static void skip_blanks(struct cursor *cursor) {
    for (int i = 0; i < GAP_BYTES_MAX && byte_is_blank(peek(cursor, 0)); i++)
        cursor->at++;
}

/* The name that ends with word, with what is joined to it by '.', '-' and '_'. */
static struct text whole_name(struct text whole, struct text word) {
    struct text name = word;
    while (name.at > whole.at && text_length(name) < NAME_BYTES_MAX &&
           (byte_in_word(name.at[-1]) || name.at[-1] == '.' || name.at[-1] == '-'))
        name.at--;
    return name;
}

static char byte_before(struct text whole, const char *at) {
    return at > whole.at ? at[-1] : '\n';
}

/* What may stand between a name and its tie: the quote of "name", the brackets of x["name"] and of char
 * name[16]. */
static void skip_name_end(struct cursor *cursor, bool quoted) {
    if (quoted && peek(cursor, 0) == '\\')
        cursor->at++;
    if (quoted && is_quote(peek(cursor, 0)))
        cursor->at++;
    if (peek(cursor, 0) == '[')
        for (int i = 0; i < 8 && peek(cursor, 0) != '\0' && peek(cursor, 0) != ']'; i++)
            cursor->at++;
    while (peek(cursor, 0) == ']')
        cursor->at++;
    if ((peek(cursor, 0) == '?' || peek(cursor, 0) == '!') && peek(cursor, 1) == ':')
        cursor->at++;
}

/* Go: var password string = "…". */
static void skip_go_type(struct cursor *cursor) {
    struct text rest = {cursor->at, cursor->whole.end};
    if (!text_starts(rest, " string "))
        return;
    cursor->at += 7;
    skip_blanks(cursor);
}

static enum tie read_tie(struct cursor *cursor, struct text name) {
    static const struct {
        const char *sign;
        enum tie tie;
    } TIES[] = {{"===", TIE_COMPARE}, {"!==", TIE_COMPARE}, {"==", TIE_COMPARE}, {"!=", TIE_COMPARE},
        {":=", TIE_ASSIGN}, {"=>", TIE_ASSIGN}, {"=~", TIE_NONE}, {"::", TIE_NONE}, {"=", TIE_ASSIGN},
        {":", TIE_COLON}};
    if (peek(cursor, 0) == '>' && byte_before(cursor->whole, name.at) == '<') {
        cursor->at++;
        return TIE_TAG;
    }
    if (byte_is_blank(peek(cursor, 0))) {
        struct cursor ahead = *cursor;
        skip_blanks(&ahead);
        if (is_quote(peek(&ahead, 0))) {
            *cursor = ahead;
            return TIE_SPACE;
        }
    }
    skip_go_type(cursor);
    skip_blanks(cursor);
    for (size_t i = 0; i < sizeof TIES / sizeof TIES[0]; i++) {
        if (!text_starts((struct text){cursor->at, cursor->whole.end}, TIES[i].sign))
            continue;
        cursor->at += strlen(TIES[i].sign);
        return TIES[i].tie;
    }
    return TIE_NONE;
}

/* Behind prefixes such as b"…" and r'…'; false when no string begins. */
static bool at_string(struct cursor *cursor) {
    size_t prefix = 0;
    while (
        prefix < 2 && peek(cursor, prefix) != '\0' && strchr("bruflBRUFL@$\\", peek(cursor, prefix)) != NULL)
        prefix++;
    if (!is_quote(peek(cursor, prefix)))
        return false;
    cursor->at += prefix;
    return true;
}

/* The text of the string that begins at the quote; false when it is empty or does not end on its line. */
static bool read_string(struct cursor *cursor, struct text *value) {
    char quote = peek(cursor, 0);
    bool escaped = byte_before(cursor->whole, cursor->at) == '\\';
    if (peek(cursor, 1) == quote && peek(cursor, 2) == quote)
        cursor->at += 2;
    *value = (struct text){cursor->at + 1, cursor->at + 1};
    while (value->end < cursor->whole.end && *value->end != '\n' && text_length(*value) < VALUE_BYTES_MAX) {
        if (*value->end == quote || (escaped && *value->end == '\\'))
            return text_length(*value) > 0;
        value->end += *value->end == '\\' && value->end + 1 < cursor->whole.end ? 2 : 1;
    }
    return false;
}

/* password: str = "…": behind the type, when a value follows it. */
static bool skip_annotation(struct cursor *cursor) {
    struct cursor ahead = *cursor;
    for (int i = 0; i < GAP_BYTES_MAX; i++, ahead.at++) {
        char byte = peek(&ahead, 0);
        if (byte == '=' && peek(&ahead, 1) != '=' && peek(&ahead, 1) != '>') {
            ahead.at++;
            skip_blanks(&ahead);
            *cursor = ahead;
            return true;
        }
        if (byte == '\0' || (!byte_in_word(byte) && strchr(" .&'<>[]|?*", byte) == NULL))
            return false;
    }
    return false;
}

/* A bare word up to white space or a sign that ends arguments. */
static struct text read_bare(const struct cursor *cursor) {
    struct text value = {cursor->at, cursor->at};
    while (value.end < cursor->whole.end && text_length(value) < BARE_BYTES_MAX &&
           strchr(" \t\r\n;|\"'`(){}[]<>,", *value.end) == NULL)
        value.end++;
    return value;
}

static bool ends_line(struct text whole, const char *at) {
    while (at < whole.end && (byte_is_blank(*at) || *at == '\\'))
        at++;
    return at == whole.end || *at == '\n' || *at == '#';
}

static bool has_dotted_name(struct text value) {
    const char *dot = memchr(value.at, '.', text_length(value));
    return dot != NULL && dot + 1 < value.end && byte_is_letter(dot[1]) && byte_is_letter(*value.at);
}

static bool is_capitals(struct text name) {
    for (const char *at = name.at; at < name.end; at++)
        if (byte_is_letter(*at) && !byte_is_upper(*at))
            return false;
    return true;
}

/* KEY=value of shells and env files, --key=value, ?key=value in URLs, key: value of YAML. */
static bool bare_is_secret(
    const struct cursor *cursor, struct text name, enum secret_kind kind, struct text word, enum tie tie) {
    struct text value = read_bare(cursor);
    char before = byte_before(cursor->whole, name.at);
    bool in_url = before == '?' || before == '&';
    bool option = text_starts(name, "--");
    const char *amp = in_url ? memchr(value.at, '&', text_length(value)) : NULL;
    value.end = amp == NULL ? value.end : amp;
    bool call = value.end < cursor->whole.end && strchr("({[<", *value.end) != NULL;
    bool argument = value.end < cursor->whole.end && strchr("),}", *value.end) != NULL;
    if (text_length(value) < 6 || call || argument || has_dotted_name(value) ||
        !value_is_secret(value, kind, word))
        return false;
    bool alone = before == '\n' || byte_is_blank(before);
    if (tie == TIE_COLON)
        return alone && value_is_mixed(value, 6) && ends_line(cursor->whole, value.end);
    if (in_url)
        return value_is_mixed(value, 12);
    if (option || (is_capitals(name) && alone))
        return true;
    return alone && value_is_mixed(value, 6) && ends_line(cursor->whole, value.end);
}

/* "prefix-" + rest: only a part of the value. */
static bool goes_on(struct text whole, struct text value) {
    struct cursor cursor = {whole, value.end < whole.end ? value.end + 1 : whole.end};
    skip_blanks(&cursor);
    return peek(&cursor, 0) == '+';
}

static bool is_macro(struct text whole, struct text name) {
    static const char DEFINE[] = "#define ";
    size_t length = sizeof DEFINE - 1;
    return (size_t)(name.at - whole.at) >= length && memcmp(name.at - length, DEFINE, length) == 0;
}

/* define('DB_PASSWORD', 'value') of PHP. */
static bool is_php_define(struct text whole, struct text name) {
    return name.at - whole.at >= 8 && memcmp(name.at - 8, "define(", 7) == 0;
}

static bool quoted_is_secret(
    struct cursor *cursor, struct text name, enum secret_kind kind, struct text word, enum tie tie) {
    struct text value;
    if (!read_string(cursor, &value))
        return false;
    bool mixed = value_is_mixed(value, 6);
    bool weak_tie = goes_on(cursor->whole, value) || tie == TIE_COMPARE ||
                    (tie == TIE_SPACE && !is_macro(cursor->whole, name));
    return (mixed || !weak_tie) && value_is_secret(value, kind, word);
}

bool assigned_literal(struct text whole, struct text word) {
    if (!may_end_secret_name(word))
        return false;
    struct cursor cursor = {whole, word.end};
    struct text name = whole_name(whole, word), secret;
    enum secret_kind kind = secret_kind_of_name(name, &secret);
    if (kind == SECRET_NONE)
        return false;
    bool quoted = is_quote(byte_before(whole, name.at));
    skip_name_end(&cursor, quoted);
    if (quoted && peek(&cursor, 0) == ',' && is_php_define(whole, name)) {
        cursor.at++;
        skip_blanks(&cursor);
        return at_string(&cursor) && quoted_is_secret(&cursor, name, kind, secret, TIE_ASSIGN);
    }
    const char *name_end = cursor.at;
    enum tie tie = read_tie(&cursor, name);
    if (tie == TIE_NONE || (tie == TIE_SPACE && quoted))
        return false;
    bool tight = cursor.at == name_end + 1 && !byte_is_blank(peek(&cursor, 0));
    skip_blanks(&cursor);
    if (tie == TIE_TAG) {
        struct text value = read_bare(&cursor);
        return value.end < whole.end && *value.end == '<' && value_is_mixed(value, 6) &&
               value_is_secret(value, kind, secret);
    }
    if (at_string(&cursor))
        return quoted_is_secret(&cursor, name, kind, secret, tie);
    if (tie == TIE_COLON && !quoted && skip_annotation(&cursor))
        return at_string(&cursor) && quoted_is_secret(&cursor, name, kind, secret, TIE_ASSIGN);
    bool bare = (tie == TIE_ASSIGN && tight) || (tie == TIE_COLON && !tight);
    return bare && bare_is_secret(&cursor, name, kind, secret, tie);
}

/* A scheme's name ends at at. */
static bool has_scheme(struct text whole, const char *at) {
    return at > whole.at && (byte_is_letter(at[-1]) || byte_is_digit(at[-1]));
}

/* user:password@host as documentation writes it. */
static bool is_example_login(struct text user, struct text password, struct text host) {
    if (!text_one_of_any_case(password, "password pass passwd pwd secret mypassword"))
        return false;
    return text_one_of_any_case(user, "user username usr login name myuser foo me u") ||
           text_starts_any_case(host, "localhost") || text_starts(host, "127.0.0.1") ||
           text_starts_any_case(host, "example.") || text_starts_any_case(host, "host");
}

bool url_has_credentials(struct text whole, const char *at) {
    struct text rest = {at + 3, whole.end};
    if (!has_scheme(whole, at))
        return false;
    const char *colon = NULL, *sign = NULL;
    for (const char *next = rest.at; next < rest.end && next - rest.at < VALUE_BYTES_MAX; next++) {
        if (strchr(" \t\r\n\"'`/?#\\", *next) != NULL)
            break;
        if (*next == ':' && colon == NULL)
            colon = next;
        if (*next == '@' && colon != NULL)
            sign = next;
    }
    if (sign == NULL)
        return false;
    struct text user = {rest.at, colon}, password = {colon + 1, sign}, host = {sign + 1, rest.end};
    if (text_length(password) < 2 || strpbrk((const char[]){*user.at, '\0'}, "[<{$") != NULL ||
        value_is_placeholder(password) || is_example_login(user, password, host))
        return false;
    /* ${PASSWORD}, {password}, $PASSWORD, %s, [password], (…) and PASSWORD are filled in later. */
    return strpbrk((const char[]){*password.at, '\0'}, "${[(<%*") == NULL &&
           memchr(password.at, '{', text_length(password)) == NULL &&
           !text_one_of(password, "PASSWORD PASS PWD SECRET TOKEN DB_PASSWORD") &&
           text_find_any_case(password, "example") == NULL;
}
