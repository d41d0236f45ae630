/* source.c - see source.h. */
#include "ledger/source.h"

struct source *
source_open(const struct source_place *place, struct err *err)
{
    if (place->url[0] != '\0')
        return source_pg_open(place->url, place->application, err);
    return source_lite_open(place->path, err);
}
