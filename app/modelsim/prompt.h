/*
 * prompt - what a request body asks: the user's words, and how to answer.
 *
 *     prompt_init(&prompt);
 *     prompt_read_gemini(&prompt, body, len, &err), or prompt_read_openai()
 *     prompt_close(&prompt);                   repeatable
 *
 * Strings are borrowed from the prompt.
 */
#ifndef MODELSIM_PROMPT_H
#define MODELSIM_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

struct prompt {
    json_t *body;         /* owned; NULL before it was read */
    struct buf user;      /* all the user's words, one text after another */
    struct buf last_user; /* the last turn of the user */
    size_t bytes;         /* of all texts, system's and model's too */
    const char *model;    /* OpenAI only; else NULL */
    bool streams;         /* OpenAI only */
    bool include_usage;   /* OpenAI only */
};

void prompt_init(struct prompt *prompt);
void prompt_close(struct prompt *prompt);

/* 0, or -1 on ERR_INVALID with words fit for the error body, ERR_LIMIT,
 * ERR_NOMEM. */
int prompt_read_gemini(struct prompt *prompt, const char *body, size_t len,
                       struct err *err) ATTR_MUST_CHECK;
int prompt_read_openai(struct prompt *prompt, const char *body, size_t len,
                       struct err *err) ATTR_MUST_CHECK;

#endif
