/*
 * prompts - what the two models are told: the same task, another manner.
 */
#ifndef ASK_PROMPTS_H
#define ASK_PROMPTS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "model/model.h"

/* The manner: quick and concise, or rigorous and step by step. */
const char *prompts_system(enum model_role role);

/* The question with its context, from the arena; NULL when that is full.
 * context is JSON text or NULL. */
const char *prompts_user(struct arena *arena, const char *query,
                         size_t query_len, const char *context,
                         size_t context_len) ATTR_MUST_CHECK;

#endif
