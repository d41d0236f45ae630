/*
 * scribe_inner - what the two halves of the scribe share.  For scribe*.c alone.
 */
#ifndef LEDGER_SCRIBE_INNER_H
#define LEDGER_SCRIBE_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/desk.h"
#include "ledger/link.h"
#include "ledger/logbook.h"
#include "ledger/scribe.h"
#include "ledger/scribe_count.h"
#include "ledger/vault.h"

#define SCRIBE_MAX_LINKS 8192

struct scribe {
    const struct scribe_config *config; /* borrowed */
    struct child *child;                /* borrowed */
    struct vault vault;
    struct logbook *book;
    struct keys *keys;
    struct desk desk;
    struct signer *signer;
    bool previous_signed;     /* the log before, once it is known */
    int64_t previous_mono_ms; /* not before, after that failed */
    int epoll_fd;
    struct link *links[SCRIBE_MAX_LINKS];
    size_t link_count;
    size_t pending_count; /* links with a frame that waits */
    size_t first_link;    /* where the next turn begins to look */
    bool stalled;         /* records wait, and the last turn wrote none */
    int64_t next_check_mono_ms;
    int64_t leave_by_mono_ms;   /* 0: nobody said hurry */
    int64_t orphans_by_mono_ms; /* 0: nobody said leave */
    int64_t accept_mono_ms;     /* no new connections before; 0: no pause */
    struct scribe_told told;
    char scratch[LINK_READ_BYTES];
};

/* The listener, the master's pipe and the links are watched from now on. */
int scribe_open_epoll(struct scribe *scribe, struct err *err) ATTR_MUST_CHECK;

/* Waits, takes newcomers in and reads what is there.  The number of events, or
 * -1 with errno set. */
int scribe_wait_and_read(struct scribe *scribe, int timeout_ms);

/* Newcomers are looked at again, when the pause after a failure is over. */
void scribe_resume_accepting(struct scribe *scribe);

/* Does this link hold a whole frame that waits? */
void scribe_set_pending(struct scribe *scribe, struct link *link, bool pending);

void scribe_watch_room(struct scribe *scribe, struct link *link);

/* The last of the links takes its place. */
void scribe_close_link(struct scribe *scribe, struct link *link);

#endif
