/* Do the quotes of an HTML page's tags close, and the scripts and styles in it? Its text is prose, and not
 * looked at. */
#include <string.h>
#include <strings.h>

#include "workers/evaluator/scan_syntax.h"

/* Behind the tag that opens at *at: quoted values may hold '>'. */
static bool take_tag(struct text *rest) {
    char quote = '\0';
    for (; rest->at < rest->end; rest->at++) {
        if (quote != '\0')
            quote = *rest->at == quote ? '\0' : quote;
        else if ((*rest->at == '"' || *rest->at == '\'') && rest->at[-1] == '=')
            quote = *rest->at;
        else if (*rest->at == '>') {
            rest->at++;
            return true;
        }
    }
    return false;
}

/* The code up to the tag that ends it, which may be missing: then to the end of the page. */
static struct text take_embedded(struct text *rest, const char *end_tag) {
    struct text code = *rest;
    for (; rest->at < rest->end; rest->at++)
        if (*rest->at == '<' && text_starts_any_case(*rest, end_tag))
            break;
    code.end = rest->at;
    return code;
}

static bool take_markup(struct text *rest) {
    if (text_starts(*rest, "<!--")) {
        const char *end = memmem(rest->at, text_length(*rest), "-->", 3);
        rest->at = end == NULL ? rest->end : end + 3;
        return end != NULL;
    }
    bool script = text_starts_any_case(*rest, "<script"), style = text_starts_any_case(*rest, "<style");
    rest->at++;
    if (rest->at >= rest->end || (!byte_is_letter(*rest->at) && *rest->at != '/'))
        return true;
    if (!take_tag(rest))
        return false;
    if (script)
        return syntax_is_balanced(take_embedded(rest, "</script"), LANGUAGE_JAVASCRIPT);
    return !style || syntax_is_balanced(take_embedded(rest, "</style"), LANGUAGE_CSS);
}

bool html_is_balanced(struct text code) {
    struct text rest = code;
    while (rest.at < rest.end) {
        const char *tag = memchr(rest.at, '<', text_length(rest));
        rest.at = tag == NULL ? rest.end : tag;
        if (tag != NULL && !take_markup(&rest))
            return false;
    }
    return true;
}
