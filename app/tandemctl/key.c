/* key.c - tandemctl key: the keys that sign checkpoints and check them. */
#include "tandemctl/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "ledger/keyfile.h"
#include "sys/file.h"

#define MAX_FILE_BYTES 65536

/* One verifier key to a line; empty lines and those with # are passed over. */
static int
add_lines(struct command_options *options, char *text, struct err *err)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        if (line[0] == '#')
            continue;
        if (options->key_count == NOTE_MAX_KEYS)
            return err_set(err, ERR_LIMIT, "more than %d keys", NOTE_MAX_KEYS);
        if (note_key_parse(&options->keys[options->key_count], line, err) == -1)
            return -1;
        options->key_count++;
    }
    return 0;
}

int
command_add_key(struct command_options *options, const char *text,
                struct err *err)
{
    struct buf lines;
    int result;

    buf_init(&lines, MAX_FILE_BYTES);
    if (access(text, F_OK) == 0)
        result = file_read(text, &lines, err);
    else
        result = buf_append_str(&lines, text) == BUF_OK
                     ? 0
                     : err_set(err, ERR_LIMIT, "the key is too long");
    if (result == 0 && lines.len > 0)
        result = add_lines(options, lines.bytes, err);
    if (result == 0 && options->key_count == 0)
        result = err_set(err, ERR_INVALID, "there is no key in %s", text);
    buf_close(&lines);
    return result;
}

static int
print_key(const struct crypto_key *key, const char *name, struct err *err)
{
    uint8_t public[ED25519_PUBLIC_LEN];
    struct note_key verifier;
    struct buf text;
    int result = -1;

    buf_init(&text, NOTE_MAX_BYTES);
    if (crypto_ed25519_public(key, public, err) == 0 &&
        note_key_make(&verifier, name, public, err) == 0) {
        if (note_key_append(&verifier, &text) != BUF_OK)
            err_set(err, ERR_NOMEM, "verifier key");
        else if (puts(text.bytes) == EOF)
            err_set_errno(err, ERR_SYSTEM, "cannot print the key");
        else
            result = 0;
    }
    buf_close(&text);
    return result;
}

enum command_exit
command_key(const struct command_options *options)
{
    const bool make = strcmp(options->verb, "new") == 0;
    char host[NOTE_NAME_LEN] = "";
    const char *name = options->name;
    struct crypto_key *key;
    struct err err = { 0 };
    int result = -1;

    if (!make && strcmp(options->verb, "show") != 0)
        return command_complain("key knows new and show, not \"%s\"",
                                options->verb);
    if (name == NULL) {
        gethostname(host, sizeof(host) - 1);
        name = host;
    }
    if (!note_name_is_valid(name))
        return command_complain("\"%s\" cannot be the name of a key: no "
                                "blanks, no plus signs",
                                name);
    key = make ? keyfile_create(options->file, &err)
               : keyfile_read(options->file, &err);
    if (key != NULL)
        result = print_key(key, name, &err);
    crypto_key_free(key);
    return result == 0 ? COMMAND_OK : command_complain("%s", err.text);
}
