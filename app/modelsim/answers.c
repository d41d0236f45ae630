/* answers.c - see answers.h. */
#include "modelsim/answers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "modelsim/topics.h"
#include "text/utf8.h"

#define QUESTION_BYTES 200
#define QUESTION_LEAD  "Question:"

static const char flash_mark[] =
    " (This is a simulated answer; no model was asked.)";
static const char pro_mark[] = " This answer is simulated; no model was asked.";

/* ---- the question ------------------------------------------------------ */

/* A prompt may put context in front of the question, under a heading. */
static const char *
skip_context(const char *prompt)
{
    const char *found;

    while ((found = strstr(prompt, QUESTION_LEAD)) != NULL)
        prompt = found + strlen(QUESTION_LEAD);
    return prompt;
}

static const char *
skip_directive(const char *at)
{
    const char *end;

    if (strncmp(at, SETTINGS_DIRECTIVE_BEGIN,
                strlen(SETTINGS_DIRECTIVE_BEGIN)) != 0)
        return at;
    end = strstr(at, SETTINGS_DIRECTIVE_END);
    return end == NULL ? at : end + strlen(SETTINGS_DIRECTIVE_END);
}

static void
strip_end(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && strchr(" ?!.", text[len - 1]) != NULL)
        text[--len] = '\0';
}

/* One line without directives, blanks in a row and the closing mark. */
static void
take_question(const char *prompt, char question[QUESTION_BYTES])
{
    size_t len = 0;

    for (const char *at = skip_context(prompt);
         *at != '\0' && len < QUESTION_BYTES - 1;) {
        const char *after = skip_directive(at);

        if (after > at) {
            at = after;
        } else if (isspace((unsigned char)*at)) {
            if (len > 0 && question[len - 1] != ' ')
                question[len++] = ' ';
            at++;
        } else {
            question[len++] = *at++;
        }
    }
    question[utf8_cut(question, len)] = '\0';
    strip_end(question);
    if (question[0] == '\0')
        strcpy(question, "an empty question");
}

/* ---- the answer -------------------------------------------------------- */

static const char *
approach(const char *question)
{
    if (strncasecmp(question, "why", 3) == 0)
        return "the cause, and what would be different without it";
    if (strncasecmp(question, "how", 3) == 0)
        return "the way from the start to the result, step by step";
    if (strncasecmp(question, "who", 3) == 0 ||
        strncasecmp(question, "when", 4) == 0 ||
        strncasecmp(question, "where", 5) == 0)
        return "one fact, and the evidence for it";
    return "the meaning of its terms, and what follows from them";
}

static enum buf_status
general_quick(struct buf *out, const char *question)
{
    return buf_printf(out,
                      "Quick answer to “%s”: it comes down to %s. A careful "
                      "check of the details follows in the verified answer.%s",
                      question, approach(question), flash_mark);
}

static enum buf_status
general_steps(struct buf *out, const char *question)
{
    return buf_printf(
        out,
        "Step 1, what is asked: “%s”. An answer has to name %s.\n\n"
        "Step 2, what is known: the terms of the question are taken in their "
        "usual sense, and nothing is assumed that it does not say.\n\n"
        "Step 3, the reasoning: the question is taken apart, each part is "
        "answered by itself, and the parts are put together again. Where two "
        "readings are possible, the more common one is followed.\n\n"
        "Step 4, the check: the result must hold in a simple case, must not "
        "contradict the quick answer without a reason, and must say where it "
        "is uncertain.\n\n"
        "Conclusion: on “%s” the careful view agrees with the quick one, and "
        "adds the reasons.%s",
        question, approach(question), question, pro_mark);
}

static enum buf_status
topic_steps(struct buf *out, const struct topic *topic)
{
    for (size_t i = 0; i < TOPIC_PARAGRAPHS; i++) {
        const bool is_last = i == TOPIC_PARAGRAPHS - 1;
        const enum buf_status status = buf_printf(out, "%s%s", topic->steps[i],
                                                  is_last ? pro_mark : "\n\n");

        if (status != BUF_OK)
            return status;
    }
    return BUF_OK;
}

enum buf_status
answers_write(struct buf *out, enum role role, const char *prompt)
{
    char question[QUESTION_BYTES];
    const struct topic *topic;

    take_question(prompt, question);
    topic = topics_find(question);
    if (role == ROLE_PRO)
        return topic == NULL ? general_steps(out, question)
                             : topic_steps(out, topic);
    if (topic == NULL)
        return general_quick(out, question);
    return buf_printf(out, "%s%s", topic->quick, flash_mark);
}

enum buf_status
answers_fill(struct buf *out, size_t len)
{
    static const char pattern[] =
        "Numbers grow, Zahlen wachsen übers Maß, 数は増える, 📈 and on. ";
    const size_t pattern_len = sizeof(pattern) - 1;
    const size_t begin = out->len;

    while (out->len - begin < len) {
        const size_t left = len - (out->len - begin);
        const size_t part =
            left >= pattern_len ? pattern_len : utf8_cut(pattern, left);
        const enum buf_status status = part == 0
                                           ? buf_append(out, ".", 1)
                                           : buf_append(out, pattern, part);

        if (status != BUF_OK)
            return status;
    }
    return BUF_OK;
}
