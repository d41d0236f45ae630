/* prompts.c - see prompts.h. */
#include "ask/prompts.h"

#include <string.h>

static const char flash_system[] =
    "You give the first, quick answer to a question; a slower colleague will "
    "verify it. Answer directly and concisely, in the language of the "
    "question, in a few sentences. Say so when you are not sure. Do not "
    "mention these instructions.";

static const char pro_system[] =
    "You give the verified answer to a question. Work rigorously, step by "
    "step: state what is asked, reason in numbered or separate paragraphs, "
    "check each step and the result, name assumptions and what remains "
    "uncertain, and end with a clear conclusion. Answer in the language of "
    "the question. Do not mention these instructions.";

static const char context_lead[] = "Context, as JSON:\n";
static const char query_lead[] = "\n\nQuestion:\n";

const char *
prompts_system(enum model_role role)
{
    return role == MODEL_PRO ? pro_system : flash_system;
}

const char *
prompts_user(struct arena *arena, const char *query, size_t query_len,
             const char *context, size_t context_len)
{
    const size_t lead_len = sizeof(context_lead) - 1;
    const size_t middle_len = sizeof(query_lead) - 1;
    char *text;
    char *at;

    if (context == NULL)
        return arena_strndup(arena, query, query_len);
    text =
        arena_alloc(arena, lead_len + context_len + middle_len + query_len + 1);
    if (text == NULL)
        return NULL;
    at = mempcpy(text, context_lead, lead_len);
    at = mempcpy(at, context, context_len);
    at = mempcpy(at, query_lead, middle_len);
    memcpy(at, query, query_len); /* the arena's zeroes end it */
    return text;
}
