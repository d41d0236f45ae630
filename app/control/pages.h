/*
 * pages - the bodies of the control pool's answers.
 *
 * Each appends to out and returns the HTTP status, 500 when memory is short.
 */
#ifndef CONTROL_PAGES_H
#define CONTROL_PAGES_H

#include "base/buf.h"
#include "control/control.h"

/* GET /health and /healthz: can questions be answered, and by whom? */
int pages_health(const struct control_config *config, struct buf *out);

/* GET /livez: this process answers. */
int pages_livez(struct buf *out);

/* GET /readyz: should a balancer send queries here? */
int pages_readyz(const struct control_config *config, struct buf *out);

/* GET /metrics: the Prometheus text format. */
int pages_metrics(struct buf *out);

#endif
