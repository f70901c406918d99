#include "CVersion.h"

// The release in progress. scripts/version reads it here if no tag is newer.
#define BASELINE "0.1.0"

#ifndef VTEPD_VERSION
#define VTEPD_VERSION BASELINE "~dev"
#endif

const char *cversion_text(void) { return VTEPD_VERSION; }
