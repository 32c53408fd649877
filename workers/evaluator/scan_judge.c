/* Judges what the shape of one line says: code, prose, or neither. */
#include <string.h>

#include "workers/evaluator/scan_match.h"

static const char HTML_TAGS[] = "html head body title div span p a ul ol li table thead tbody tr td th h1 h2 "
                                "h3 h4 h5 h6 script style form input "
                                "button img br hr link meta nav section header footer main article aside "
                                "label select option textarea svg path "
                                "template canvas iframe video audio pre code strong em b i";

static const char COMMANDS[] = "ls cd cat grep egrep awk sed find sort uniq head tail cut tr wc xargs curl "
                               "wget tar gzip unzip git docker kubectl "
                               "helm npm npx yarn pip pip3 python python3 node go cargo rustc make cmake gcc "
                               "g++ clang javac java mvn sudo apt "
                               "apt-get yum dnf brew chmod chown mkdir rmdir rm cp mv touch export source "
                               "ssh scp rsync ps kill df du tee "
                               "systemctl journalctl bash sh zsh env test set read printf psql mysql sqlite3 "
                               "jq openssl terraform aws gcloud";

/* Rest of the words after which a command line needs no other sign: "git status", "pip install x". */
static const char SUBCOMMANDS[] = "install run build clone add commit push pull status checkout init diff "
                                  "log start stop exec ps apply get create "
                                  "test -m -c -e -y";

/* A comment, or the end of something that began above. */
static bool is_neutral(const struct line *line) {
    struct text text = line->text;
    if (text_starts(text, "//") || text_starts(text, "/*") || text_starts(text, "*/") ||
        text_starts(text, "* ") || text_starts(text, "--") || text_starts(text, "\"\"\"") ||
        text_starts(text, "'''") || text_starts(text, "# ") || text_starts(text, "##") ||
        text_is(text, "#") || text_is(text, "*"))
        return true;
    for (const char *at = text.at; at < text.end; at++)
        if (strchr(")]};, ", *at) == NULL)
            return false;
    return true;
}

static bool is_html(const struct line *line) {
    const struct token *tokens = line->tokens;
    if (text_starts_any_case(line->text, "<!doctype") || text_starts(line->text, "<?xml"))
        return true;
    if (line->count < 3 || (!text_is(tokens[0].text, "<") && !text_is(tokens[0].text, "</")))
        return false;
    bool tag =
        !tokens[1].spaced && tokens[1].type == TOKEN_WORD && text_one_of_any_case(tokens[1].text, HTML_TAGS);
    struct text after = tokens[2].text;
    return tag && (tokens[2].type == TOKEN_WORD || text_is(after, ">") || text_is(after, "/>") ||
                      text_is(after, "/"));
}

/* "… {" and "… { a; b }": braces as code sets them, not the set {a, b} nor the face :-{ . */
static bool has_block(const struct line *line) {
    int braces = 0;
    for (int i = 0; i < line->count; i++) {
        const struct token *token = &line->tokens[i];
        if (text_is(token->text, ";") && braces > 0)
            return true;
        braces -= text_is(token->text, "}");
        if (!text_is(token->text, "{") || token->type != TOKEN_SIGN)
            continue;
        braces++;
        if (i > 0 && text_is(token[-1].text, ")"))
            return true;
    }
    if (line->count < 2 || !text_is(line->tokens[line->count - 1].text, "{"))
        return false;
    const struct token *before = &line->tokens[line->count - 2];
    return before->type != TOKEN_SIGN || text_one_of(before->text, ") = > ( [ , => -> :: ] *") ||
           (text_is(before->text, ":") && line->count == 3);
}

/* A path, a variable, an option, a pipe or a redirection behind the command's name. */
static bool has_shell_sign(const struct line *line) {
    for (int i = 1; i < line->count; i++) {
        const struct token *token = &line->tokens[i];
        const struct token *next = i + 1 < line->count ? token + 1 : NULL;
        bool tight = next != NULL && !next->spaced;
        if (text_one_of(token->text, "| && > >> $( ${ ||") ||
            (token->type == TOKEN_WORD && *token->text.at == '$'))
            return true;
        if (token->spaced && tight && text_one_of(token->text, "- -- / ~ *") && next->type != TOKEN_STRING)
            return true;
        if (token->spaced && tight && text_is(token->text, ".") && text_is(next->text, "/"))
            return true;
    }
    return false;
}

static enum line_shape judge_command(const struct line *line) {
    int first = line->count > 1 && text_is(line->tokens[0].text, "sudo") ? 1 : 0;
    const struct token *command = &line->tokens[first];
    bool prompt = text_starts(line->text, "$ ");
    bool script =
        line->count > 2 && text_is(command->text, ".") && text_is(command[1].text, "/") && !command[1].spaced;
    bool sentence = line->count > 1 && text_one_of(line->tokens[line->count - 1].text, ". ! ? : ,");
    if (!script && (command->type != TOKEN_WORD || !text_one_of(command->text, COMMANDS)))
        return LINE_BLANK;
    if (has_shell_sign(line) || prompt || script)
        return sentence ? LINE_BLANK : LINE_STRONG;
    if (sentence || first + 1 >= line->count)
        return LINE_BLANK;
    const struct token *argument = command + 1;
    if (text_one_of(argument->text, SUBCOMMANDS) && line->count <= first + 4)
        return LINE_WEAK;
    /* "cat notes.txt", but not "go home". */
    bool file = line->count == first + 4 && text_is(argument[1].text, ".") && !argument[1].spaced &&
                !argument[2].spaced;
    return file || (argument->type == TOKEN_STRING && line->count == first + 2) ? LINE_WEAK : LINE_BLANK;
}

static bool judge_shapes(const struct line *line, struct line_verdict *verdict) {
    bool busy = line_is_busy(line);
    bool statement = busy && line->tokens[0].type != TOKEN_STRING;
    for (const struct shape *shape = SHAPES; shape->pattern != NULL; shape++) {
        if ((shape->strength == IF_BUSY && !statement) || !shape_matches(shape, line))
            continue;
        bool strong = shape->strength != WEAK && (shape->strength == STRONG || busy);
        verdict->shape = strong ? LINE_STRONG : LINE_WEAK;
        verdict->language =
            shape->language == LANGUAGE_UNKNOWN && line->semicolon ? LANGUAGE_C : shape->language;
        return true;
    }
    return false;
}

/* A sentence begins with a word, a number, a quote or a bullet, and does not end as statements do. */
static bool is_prose(const struct line *line) {
    const struct token *first = &line->tokens[0], *last = &line->tokens[line->count - 1];
    int words = 0;
    for (int i = 0; i < line->count; i++)
        words += line->tokens[i].type != TOKEN_SIGN;
    bool begins = first->type != TOKEN_SIGN || text_one_of(first->text, "- * ** > # | + _ @ $ & ...");
    return words > 0 && begins && !text_one_of(last->text, "} ]");
}

struct line_verdict line_judge(struct text text) {
    struct line_verdict verdict = {LINE_BLANK, LANGUAGE_UNKNOWN};
    struct line line;
    line_read(text, &line);
    if (line.text.at == line.text.end)
        return verdict;
    if (text_starts(line.text, "#!/"))
        return (struct line_verdict){
            LINE_STRONG, text_find_any_case(line.text, "python") != NULL ? LANGUAGE_PYTHON : LANGUAGE_SHELL};
    if (text_starts(line.text, "<?php") || text_starts(line.text, "<?="))
        return (struct line_verdict){LINE_STRONG, LANGUAGE_PHP};
    if (is_html(&line))
        return (struct line_verdict){LINE_STRONG, LANGUAGE_HTML};
    if (is_neutral(&line)) {
        verdict.shape = LINE_NEUTRAL;
        return verdict;
    }
    if (line.count == 0) {
        verdict.shape = LINE_NEUTRAL;
        return verdict;
    }
    verdict.shape = judge_command(&line);
    verdict.language = verdict.shape == LINE_BLANK ? LANGUAGE_UNKNOWN : LANGUAGE_SHELL;
    if (verdict.shape != LINE_BLANK || judge_shapes(&line, &verdict))
        return verdict;
    if (has_block(&line))
        return (struct line_verdict){LINE_STRONG, LANGUAGE_UNKNOWN};
    verdict.shape = is_prose(&line) ? LINE_PROSE : LINE_NEUTRAL;
    return verdict;
}
