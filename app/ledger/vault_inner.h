/*
 * vault_inner - what the two halves of the vault share.  For vault*.c alone.
 */
#ifndef LEDGER_VAULT_INNER_H
#define LEDGER_VAULT_INNER_H

#include <stdbool.h>

#include "ledger/vault.h"

/* May the database be asked now? */
bool vault_may_try(const struct vault *vault);

/* What an attempt says about the database, apart from its own result. */
void vault_note_attempt(struct vault *vault, int result, const struct err *why);

#endif
