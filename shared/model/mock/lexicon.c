/* The words that the mock model understands in instructions. */
#include "shared/model/mock/mock.h"

#include <string.h>

struct entry {
    unsigned classes;
    const char *words;
};

static const struct entry LEXICON[] = {
    {WORD_MAKE,
        "write writes writing create creates creating produce produces producing generate generates "
        "generating "
        "build builds building give gives giving provide provides providing show shows make makes making "
        "compose composes composing craft crafts draft develop develops developing deliver delivers design "
        "designs emit emits turn turns turning convert converts transform transforms send sends submit do"},
    {WORD_MAKE | WORD_CODE, "implement implements implementing code codes program"},
    {WORD_MAKE | WORD_SAY, "output outputs outputting return returns returning print prints printing"},
    {WORD_SAY, "say says saying tell tells utter utters shout shouts yell yells speak speaks speaking talk "
               "talks talking sing sings whisper"},
    {WORD_SAY | WORD_ANSWER,
        "answer answers answering answered reply replies replying respond responds responding "
        "response responses"},
    {WORD_EXPLAIN,
        "explain explains explaining describe describes describing discuss discusses discussing elaborate "
        "compare compares state states outline teach teaches advise advises"},
    {WORD_TRANSLATE, "translate translates translating translation translations translator"},
    {WORD_SUMMARISE,
        "summarise summarises summarising summarize summarizes summarizing summary summaries summariser "
        "summarizer summarization summarisation shorten condense tldr"},
    {WORD_CODE,
        "coding coded coder coders programs programmer programmers programming developer developers engineer "
        "engineers "
        "engineering function functions script scripts class classes module modules method methods snippet "
        "snippets "
        "implementation implementations algorithm algorithms software subroutine procedure procedures "
        "library "
        "python python3 javascript js typescript ts java rust golang sql bash shell ruby php kotlin swift "
        "perl scala "
        "c++ cpp c# haskell lua regex query queries test tests unittest unittests decorator api endpoint "
        "backend frontend "
        "validator checker parser converter calculator scraper server client app application cli crud hacker "
        "def iterator recursion recursive one-liner"},
    {WORD_CODE | WORD_FENCE, "block blocks fenced"},
    {WORD_FENCE, "fence fences markdown backtick backticks backquotes"},
    {WORD_VERSE,
        "verse verses poem poems poetry poet poetic haiku haikus limerick limericks sonnet sonnets rhyme "
        "rhymes "
        "rhyming rhymed song songs lyrics ballad ballads ode odes shanty shanties rap bard stanza stanzas "
        "couplet "
        "couplets quatrain pirate pirates pirate's shakespeare shakespearean yoda cowboy viking wizard "
        "caveman minstrel troubadour buccaneer"},
    {WORD_PROSE, "prose explanation explanations description descriptions text texts words essay essays "
                 "story stories paragraph "
                 "paragraphs english french german spanish italian advice tutor teacher narrative sentence "
                 "sentences letter letters email "
                 "emails article articles "
                 "documentation docs tutorial tutorials commentary review reviews joke jokes "
                 "novel blog copywriter writer author translator's fable tale tales recipe recipes speech "
                 "slogan slogans "
                 "rationale reasoning justification pleasantries introduction preamble chatter critique"},
    {WORD_JSON, "json yaml xml"},
    {WORD_HELP,
        "help helps helping helpful assist assists assistant assistants solve solves solving follow follows "
        "fulfil fulfill obey complete perform handle accomplish solution solutions result results chatbot "
        "whatever they asked asks requested wants"},
    {WORD_REQUEST,
        "request requests input inputs question questions query prompt prompts ask message messages "
        "instruction instructions task tasks wording specification specifications spec specs requirement "
        "requirements intent wish wishes statement statements brief order orders command commands"},
    {WORD_REFINE,
        "rewrite rewrites rewriting rewriter refine refines refining refiner refinement clarify clarifies "
        "clarifying clarifier clarification improve improves improving improver rephrase rephrases "
        "rephrasing "
        "rephraser reword rewords rewording restate restates restating paraphrase paraphrases "
        "paraphrasing polish polishes polishing reformulate reformulates reformulating sharpen sharpens "
        "disambiguate disambiguates enhance enhances enhancing expand expands enrich tidy"},
    {WORD_REFINED,
        "rewritten refined improved clarified rephrased reworded restated reformulated polished paraphrased"},
    {WORD_CLEAR, "clear clearer clearest precise specific unambiguous detailed better complete actionable"},
    {WORD_JUDGE,
        "judge judges judging evaluate evaluates evaluating evaluator score scores scoring rate rates rating "
        "ratings rater grade grades grading grader assess assesses assessing assessor mark marks appraise"},
    {WORD_CRITERION, "relevance relevant quality safety safe harmless correctness"},
    {WORD_NOT, "not never don't dont avoid avoids refrain cannot can't won't mustn't shouldn't neither stop "
               "forbidden "
               "doesn't isn't aren't prohibited banned disallowed"},
    {WORD_NO, "no without nor zero non"},
    {WORD_ONLY, "only just always exactly simply solely merely strictly purely exclusively nothing instead"},
    {WORD_TOTAL,
        "everything anything whatever whatsoever regardless every any all each everyone anyone everybody "
        "irrespective ever anybody whichever"},
    {WORD_IF, "if when unless whenever where while case"},
    {WORD_LINK,
        "in of from that which with and or by as who whose so because using based into to via through like "
        "on under at after before until since than whom than"},
    {WORD_LINK | WORD_TOPIC, "about for regarding concerning on"},
    {WORD_FILLER, "a an the this these those it its them they their you your yours i me my we us our he she "
                  "his her please kindly "
                  "some one single following exact same entire whole full final actual real very literal "
                  "fixed short brief simple "
                  "small good great own is are be being been was were am will would shall should may might "
                  "can could do does did "
                  "have has had back out up there here also too really own what how now then thing things "
                  "something someone "
                  "somebody new nice valid working complete two three first own need want needs like given "
                  "using use used"},
    {WORD_LITERAL, "word phrase string text sentence number digit letter character message"},
    {WORD_USER, "user users user's users' person people human customer customer's client's caller"},
    {WORD_REFUSE, "refuse refuses decline declines reject rejects deny"},
    {WORD_ECHO, "echo echoes repeat repeats parrot"},
    {WORD_IGNORE, "ignore forget disregard override discard scrap cancel"},
    {WORD_BEFORE, "above previous previously prior earlier preceding former foregoing instructions rules"},
};

static struct mock_map lexicon;

static void add_words(const struct entry *entry) {
    for (const char *word = entry->words; *word;) {
        size_t length = strcspn(word, " ");
        *mock_map_add(&lexicon, word, length) |= entry->classes;
        word += length + strspn(word + length, " ");
    }
}

unsigned mock_classes(const char *word, size_t length) {
    if (!lexicon.count)
        for (size_t i = 0; i < sizeof LEXICON / sizeof *LEXICON; i++)
            add_words(&LEXICON[i]);
    char lower[MOCK_STEM_BYTES];
    size_t count = 0;
    if (length >= sizeof lower)
        return 0;
    for (size_t i = 0; i < length; i++) {
        bool apostrophe = length - i >= 3 && memcmp(word + i, "\xE2\x80\x99", 3) == 0;
        lower[count++] =
            apostrophe ? '\'' : (char)(word[i] >= 'A' && word[i] <= 'Z' ? word[i] + 32 : word[i]);
        i += apostrophe ? 2 : 0;
    }
    return mock_map_find(&lexicon, lower, count);
}
