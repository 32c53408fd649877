/* The word families of the abilities, and the sentences about them. */
#include "tests/sim/abilities.h"

#define CODE_WORDS "code|codes|program|source|snippet|function|functions|implementation"
#define PRODUCT_WORDS "json|summary|email|mail|letter|object|answer|result|data|output|code|bullet*"
#define NOT_ONLY "-explanation*|explaining|explain|prose|commentary|chatter|chat|remarks|talk"

const struct ability_row ABILITY_ROWS[ABILITIES] = {
    [ONLY_CODE] = {"only_code",
        "only|just|solely|exclusively|purely|alone|bare " CODE_WORDS
        ";nothing but|except|else|other " CODE_WORDS ";" NOT_ONLY ";code itself",
        "prose around|surround*;explain* code|prose|length|reasoning|approach|afterwards|paragraph*|thinking;"
        "add|give|include|write|provide|plenty explanation*|commentary|prose;chatty|talkative",
        {"There is prose around the code.", "The answer does not consist of code alone."},
        {"Return only the code.", "Answer with nothing but the source code."}},
    [DOCSTRING] = {"docstring",
        "docstring*|jsdoc|javadoc|godoc|pydoc;doc|documentation string*|comment*|block*;"
        "document*|documented function*|functions|class*|method*|purpose|code|it|them;"
        "comment* describ*|explain*|purpose|parameter*",
        "undocumented", {"The code has no docstring.", "The function is not documented."},
        {"Give each function a docstring.", "Document every function with a doc comment."}},
    [TYPE_HINTS] = {"type_hints",
        "type|types|typed|typing hint*|annotation*|annotat*|signature*|information|declaration*;"
        "annotat* type*|parameter*|argument*|signature*|return*|variable*;statically|strictly|fully typed;"
        "parameter*|argument*|signature*|value* types|typed|type",
        "untyped", {"The code has no type hints.", "The parameters are not annotated with types."},
        {"Add type hints to all parameters and results.", "Annotate every signature with types."}},
    [ERROR_HANDLING] = {"error_handling",
        "error*|exception*|failure* "
        "handl*|raise|raises|raising|catch*|deal*|robust*|manag*|check*|throw*|treat*;"
        "validat* input*|argument*|parameter*|value*|data|type*;edge|corner case*;"
        "invalid|bad|malformed|unexpected input*|argument*|value*|data|parameter*;"
        "robust code|function*|implementation*|against;defensive*",
        NULL, {"The code does not handle errors.", "There is no error handling for invalid input."},
        {"Handle errors by raising an exception.", "Validate the arguments and deal with edge cases."}},
    [PROGRAMMING_LANGUAGE] = {"programming_language",
        "language user*|request*|ask|asks|asked|name*|specif*|want*|choos*|chosen|requir* "
        "programming|code|coding|program*|function*|implement*",
        NULL,
        {"The code is not in the programming language that the request names.",
            "The function should be written in the programming language that was requested."},
        {"Code in the programming language that the user asks for.",
            "Use the programming language named in the request."}},
    [EXAMPLE] = {"example",
        "example|examples|sample|samples|demo|demonstrat*|illustrat*;show|shows|showing how "
        "call|called|calls|use|used|run|invoke*",
        NULL, {"There is no example of use.", "The answer lacks an example."},
        {"Show an example of use.", "Include a usage example."}},
    [JSON] = {"json", "json;machine readable", "xml|yaml|csv",
        {"The answer is not a JSON object.", "There is no valid JSON in the answer."},
        {"Answer as a JSON object.", "Format the result as valid JSON."}},
    [NULLS] = {"nulls",
        "null|nulls;-invent|guess|fabricate|hallucinate|assume value*|field*|data|anything|details|facts",
        "guess|invent missing|absent|unknown|value*|field*",
        {"What the text does not say is not given as null.", "There is no null for absent fields."},
        {"Put null for absent fields.", "Use null where the text says nothing about a field."}},
    [UNITS] = {"units", "unit|units|currency|currencies", NULL,
        {"The amounts have no unit.", "There are no units beside the numbers."},
        {"State the unit of each amount.", "Add the units to all numbers."}},
    [NO_PREAMBLE] = {"no_preamble",
        "-preamble*|apolog*|apologies|introduc*|pleasantries|small|filler|explanation*|explaining|commentary|"
        "chatter;only|just|solely|exclusively " PRODUCT_WORDS ";nothing but|except|else|other " PRODUCT_WORDS
        ";directly|immediately|straight|right begin|start|starts|answer|get|point|go|come",
        "begin|start|open|starts "
        "sure|apolog*|introduc*|preamble|explanation;apologise|apologize|preamble|apologies",
        {"The answer begins with a preamble.", "There is a needless preamble before the result."},
        {"Leave out any preamble.", "Begin directly with the result, without any preamble or apologies."}},
    [BULLETS] = {"bullets",
        "bullet|bullets|bulleted;itemise*|itemize*|itemising;dash|dashes|hyphens line*|list",
        "running|flowing|continuous text|prose|paragraph*",
        {"The points are not given as bullets.", "There are no bullet points."},
        {"Use bullet points.", "Give the main points as bullets."}},
    [STEPS] = {"steps",
        "number|numbered|numbering|numbers list|lists|points|steps|items|lines;step by;ordered|ranked "
        "list|points;"
        "enumerat*|rank|ranked",
        NULL, {"The points are not numbered steps.", "There is no numbered list."},
        {"Number the points as a list.", "Give a numbered list of steps."}},
    [BREVITY] = {"brevity",
        "short|shorter answer*|summary|keep|email*|mail|letter|output|reply|be|make;"
        "brief|briefly|concise|concisely|succinct|succinctly|terse|tersely|compact|brevity;"
        "-verbose|lengthy|long|wordy|ramble|rambling|pad;"
        "most|maximum|max|under|than|within|limit|exceed|below|up|fewer|length word|words|sentences|lines",
        "long|lengthy|verbose|verbosely|exhaustive*|elaborate*|wordy|ramble|rambling;least words|sentences",
        {"The answer is too long.", "The answer is not concise."},
        {"Keep it under 100 words.", "Be brief and concise."}},
    [CITATION] = {"citation",
        "cite|cites|cited|citing|citation*|quote|quotes|quoted|quoting|quotation*|evidence;"
        "verbatim|exact|original passage*|wording|words|sentence*;refer source|passage|input|original",
        NULL, {"The answer does not cite the input.", "There is no quote from the text."},
        {"Cite the passage of the input that supports it.", "Quote the words of the text that support it."}},
    [CONCLUSION] = {"conclusion",
        "conclu*|takeaway*;bottom line;end|ends|ending|finish|close|last|final|finally summary|overall|gist|"
        "result|takeaway|summarise|summarize|summarising|recap;overall "
        "sentence|statement|message|summary|line;"
        "final|closing sentence|remark|statement|verdict",
        NULL, {"There is no conclusion at the end.", "The takeaway is missing."},
        {"End with a conclusion.", "Finish with one takeaway sentence."}},
    [TITLE] = {"title", "title|titled|titles|heading|headings|headline|header|subject|caption", NULL,
        {"There is no title.", "The answer has no title or subject line."},
        {"Put a title on top.", "Start with a title or subject line."}},
    [GREETING] = {"greeting",
        "greet|greets|greeted|greeting|greetings|salut*|dear;address|name "
        "recipient*|reader*|addressee*|person;"
        "hello|hi recipient*|reader*|addressee*",
        NULL, {"There is no greeting.", "The recipient is not greeted."},
        {"Open with a greeting.", "Greet the recipient."}},
    [SIGN_OFF] = {"sign_off",
        "sign|signs|signing off|name;signoff|valediction|farewell|regards;closing|complimentary "
        "formula|line|phrase|salutation|regards;email|mail|letter|own|sender signature;"
        "close|end|finish|ending sincerely|politely|signature",
        NULL, {"There is no sign off at the end of the letter.", "The letter ends without a farewell."},
        {"Sign off politely.", "Close the letter with regards and the sender's name."}},
    [FORMAL] = {"formal",
        "formal|formally|formality|businesslike|courteous|courteously;professional|professionally|business|"
        "respectful "
        "tone|style|language|register|manner|sound|sounds|wording|stay|keep|keeps|be|remain|voice|write;tone|"
        "style|register adapt*|match*|suit*|fit|fits",
        "slang|sloppy;informal|casual|friendly always|strictly",
        {"The tone is not formal.", "The wording is not formal enough."},
        {"Keep a formal tone.", "Be formal."}},
    [FRIENDLY] = {"friendly",
        "friendly|friend|casual|casually|informal|informally|warm|warmly|relaxed|colloquial*|cordial*;"
        "tone|style|register adapt*|match*|suit*|fit|fits",
        "formal|stiff always|strictly",
        {"The tone is not friendly.", "The tone is not warm, as it should be for a friend."},
        {"Use a warm tone where the recipient is a friend.", "Sound casual where the occasion is."}},
};

/* "At most 2,000 words" asks for no brevity. */
static bool names_large_number(const struct words *words, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        const char *text = words->items[i].text;
        int value = 0;
        while (*text >= '0' && *text <= '9' && value < 100000)
            value = value * 10 + (*text++ - '0');
        if (value > 200)
            return true;
    }
    return false;
}

static void read_clause(
    const struct words *words, size_t from, size_t to, ability_set *asked, ability_set *forbidden) {
    bool large = names_large_number(words, from, to);
    for (int i = 0; i < ABILITIES; i++) {
        const struct ability_row *row = &ABILITY_ROWS[i];
        enum pattern_found found = pattern_find(words, from, to, row->asked);
        if (i == BREVITY && large)
            continue;
        if (found == PATTERN_PRESENT)
            *asked |= ABILITY(i);
        if (found == PATTERN_NEGATED)
            *forbidden |= ABILITY(i);
        if (row->against && pattern_find(words, from, to, row->against) == PATTERN_PRESENT)
            *forbidden |= ABILITY(i);
    }
}

void abilities_read(
    const struct words *words, size_t from, size_t to, ability_set *asked, ability_set *forbidden) {
    *asked = *forbidden = 0;
    for (size_t clause = from; clause < to;) {
        size_t end = words_clause_end(words, clause);
        end = end < to ? end : to;
        read_clause(words, clause, end, asked, forbidden);
        clause = end;
    }
}
