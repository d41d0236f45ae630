/*
 * link - one clerk's connection, seen from the scribe.
 *
 *     link = link_new_take(fd, &err);
 *     link_read(link, ...);                  when readable
 *     link_look(link, &frame, &err);         the first frame, borrowed
 *     link_pass(link, &frame);               done with it
 *     link_receipt(link, ...)                an answer; goes out at once
 *     link_free(link);
 *
 * Never blocks.  A connection that breaks or does not read its answers is
 * gone: link_is_gone().
 */
#ifndef LEDGER_LINK_H
#define LEDGER_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/frame.h"
#include "ledger/runs.h"

#define LINK_READ_BYTES    65536
#define LINK_MAX_OUT_BYTES 65536

/* Open: the scribe's lists run through it. */
struct link {
    int fd;                   /* owned */
    struct run *run;          /* the one this connection claims, or NULL */
    struct uuid finished_run; /* the last that ended on it; zero: none */
    struct buf in;
    struct buf out;
    bool gone;
    size_t place;  /* in the scribe's list of links */
    bool pending;  /* holds a whole frame nobody has looked at */
    bool watching; /* for room to write, too */
};

/* Takes over fd even when it fails. */
struct link *link_new_take(int fd, struct err *err) ATTR_MUST_CHECK;
void link_free(struct link *link); /* NULL is fine */

bool link_is_gone(const struct link *link);

/* Reads until there is a whole frame or nothing more to read.  scratch has
 * LINK_READ_BYTES bytes. */
void link_read(struct link *link, char *scratch);

/* The first frame of what has been read.  Until link_pass() nothing may be
 * read, or the frame moves. */
enum frame_status link_look(const struct link *link, struct frame *frame,
                            struct err *err) ATTR_MUST_CHECK;
void link_pass(struct link *link, const struct frame *frame);

void link_receipt(struct link *link, enum entry_kind kind,
                  const struct uuid *run_id,
                  const struct entry_receipt *receipt);
void link_refusal(struct link *link, enum entry_kind kind,
                  const struct uuid *run_id, const char *reason);
void link_taken(struct link *link, enum entry_kind kind,
                const struct uuid *run_id, const struct entry_holder *holder);

/* Sends what waits.  link->out is empty when all went out. */
void link_flush(struct link *link);

#endif
