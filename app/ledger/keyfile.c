/* keyfile.c - see keyfile.h. */
#include "ledger/keyfile.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/file.h"

#define MAX_BYTES 4096

static int
check_file(const char *path, struct err *err)
{
    struct stat info;

    if (stat(path, &info) == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot look at %s", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a file", path);
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return err_set(err, ERR_INVALID,
                       "%s belongs to user %u: chown it to the user of "
                       "tandemd (%u)",
                       path, (unsigned)info.st_uid, (unsigned)geteuid());
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, ERR_INVALID,
                       "%s has mode %04o, open to others: chmod 0600 it, and "
                       "if others may have read it make a new one with "
                       "tandemctl key new",
                       path, (unsigned)(info.st_mode & 07777));
    return 0;
}

struct crypto_key *
keyfile_read(const char *path, struct err *err)
{
    struct crypto_key *key = NULL;
    struct err why = { 0 };
    struct buf pem;

    if (check_file(path, err) == -1)
        return NULL;
    buf_init(&pem, MAX_BYTES);
    if (file_read(path, &pem, err) == 0) {
        key = crypto_ed25519_from_pem(buf_cstr(&pem), pem.len, &why);
        if (key == NULL)
            err_set(err, why.kind,
                    "%s: %s; tandemctl key new makes a file that fits", path,
                    why.text);
        crypto_wipe(pem.bytes, pem.len);
    }
    buf_close(&pem);
    return key;
}

struct crypto_key *
keyfile_create(const char *path, struct err *err)
{
    struct crypto_key *key = crypto_ed25519_new(err);
    struct buf pem;
    int result;

    if (key == NULL)
        return NULL;
    buf_init(&pem, MAX_BYTES);
    result = crypto_ed25519_to_pem(key, &pem, err);
    if (result == 0) {
        result = file_create_durably(path, 0600, pem.bytes, pem.len, err);
        crypto_wipe(pem.bytes, pem.len);
    }
    buf_close(&pem);
    if (result == 0)
        return key;
    crypto_key_free(key);
    return NULL;
}
