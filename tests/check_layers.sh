#!/bin/sh
# Fail when a file includes a layer it may not see, or a foreign library from
# the wrong place.  The table is the architecture: change it in review only.
# With an argument, checks that tree instead of this one.
set -eu
cd "${1:-$(dirname "$0")/..}"

find app lib -name '*.[ch]' | sort | xargs awk '
function allow(layer, seen,    n, i, part) {
    n = split(seen, part, " ")
    ok[layer, layer] = 1
    for (i = 1; i <= n; i++)
        ok[layer, part[i]] = 1
}
function home(header, paths,    n, i, part) {
    n = split(paths, part, " ")
    foreign[header] = paths
    for (i = 1; i <= n; i++)
        lives[header, part[i]] = 1
}
function bad(why) { print FILENAME ":" FNR ": " why; failed = 1 }
BEGIN {
    lib = "base sys text client gate prefork"
    allow("base", "")
    allow("sys", "base")
    allow("text", "base")
    allow("client", "base sys text")
    allow("gate", "base sys")
    allow("prefork", "base sys")
    allow("app", lib)
    allow("guard", lib " app")
    allow("model", lib " app guard")
    allow("ledger", lib " app guard")
    allow("ask", lib " app guard model ledger")
    allow("control", lib " app guard model ledger ask")
    allow("tandemd", lib " app guard model ledger ask control")
    allow("tandemctl", lib " app ledger model")
    allow("modelsim", lib)
    home("curl/curl.h", "lib/client/http.c")
    home("sqlite3.h", "lib/client/lite.c")
    home("libpq-fe.h", "lib/client/pg.c lib/client/pg_connect.h " \
         "lib/client/pg_connect.c lib/client/pg_url.c")
    home("fcgiapp.h", "lib/gate/fcgi.c")
    home("pcre2.h", "lib/text/redact.c")
    home("microhttpd.h", "app/modelsim/server.c")
    home("openssl/ssl.h", "lib/client/tls.c")
    home("openssl/evp.h", "lib/client/crypto.c")
}
FNR == 1 {
    n = split(FILENAME, part, "/")
    layer = part[1] == "app" && n == 2 ? "app" : part[2]
}
/^#include "/ {
    n = split($2, part, "[\"/]")
    seen = n == 3 ? "app" : part[2]
    if (!((layer, seen) in ok))
        bad(layer " may not include " $2)
}
/^#include </ {
    header = substr($2, 2, length($2) - 2)
    if (header in foreign && !((header, FILENAME) in lives))
        bad(header " belongs in " foreign[header] " only")
    if (header ~ /^openssl\// &&
        FILENAME !~ /^lib\/client\/(crypto|tls)\.c$/)
        bad(header " belongs in lib/client/crypto.c or tls.c only")
    if (header == "jansson.h" && FILENAME ~ /^lib/ &&
        FILENAME !~ /^lib\/text\/json\.[ch]$/)
        bad("jansson.h belongs in lib/text/json only")
}
END { exit failed }
'
