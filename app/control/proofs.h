/*
 * proofs - that a run is in the ledger, for whoever asks: GET
 * /api/experiments/{run_id}/proof.
 */
#ifndef CONTROL_PROOFS_H
#define CONTROL_PROOFS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "control/control.h"
#include "ledger/proof.h"

/* Appends what proof.h describes.  PROOF_NO_RUN as well when run_id, which is
 * len bytes long, is no UUID. */
enum proof_result proofs_run(const struct control_config *config,
                             const char *run_id, size_t len,
                             int64_t deadline_mono_ms, struct buf *out,
                             struct err *err) ATTR_MUST_CHECK;

#endif
