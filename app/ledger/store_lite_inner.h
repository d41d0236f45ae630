/*
 * store_lite_inner - what the two halves of the embedded ledger share.  For
 * store_lite*.c alone.
 */
#ifndef LEDGER_STORE_LITE_INNER_H
#define LEDGER_STORE_LITE_INNER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "client/lite.h"
#include "ledger/entry.h"
#include "ledger/store.h"

enum statement {
    INSERT_ENTRY,
    INSERT_CONTENT,
    FIND_ENTRY,
    READ_BODY,
    LEAF_AT,
    FIND_KEY,
    INSERT_CHECKPOINT,
    STATEMENT_COUNT,
};

struct store_lite {
    struct store store; /* first: a store is one of us */
    struct lite *db;
    struct lite_stmt *statements[STATEMENT_COUNT];
    int lock_fd;
    char *path;
    dev_t device; /* of the file that was opened */
    ino_t inode;
};

struct store_lite *store_lite_of(struct store *store);

/* text holds the value until the statement is reset. */
void store_lite_bind_uuid(struct lite_stmt *stmt, int param,
                          const struct uuid *uuid, char text[UUID_TEXT_LEN]);
void store_lite_bind_str(struct lite_stmt *stmt, int param, const char *text);

/* A leaf hash of the present row. */
int store_lite_hash(struct lite_stmt *stmt, int column,
                    uint8_t hash[ENTRY_HASH_LEN],
                    struct err *err) ATTR_MUST_CHECK;

/* The operations of store.h that look things up. */
enum store_answer store_lite_find(struct store *store,
                                  const struct uuid *run_id,
                                  enum entry_kind kind,
                                  struct entry_receipt *receipt,
                                  struct err *err);
enum store_answer store_lite_read_body(struct store *store,
                                       const struct uuid *run_id,
                                       enum entry_kind kind, struct buf *body,
                                       struct err *err);
enum store_answer store_lite_find_key(struct store *store, const char *key_hash,
                                      int64_t since_unix_us,
                                      struct store_key *key, struct err *err);
enum store_answer store_lite_last_log(struct store *store, const char *host,
                                      const struct uuid *next,
                                      struct store_log *log, struct err *err);
int store_lite_open_runs(struct store *store, const char *host,
                         int (*each)(void *arg, const struct uuid *run_id,
                                     struct err *err),
                         void *arg, struct err *err);

#endif
