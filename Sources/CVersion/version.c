#include "CVersion.h"

// The release that is being worked on. scripts/version reads it here when no tag says more.
#define BASELINE "0.1.0"

#ifndef VTEPD_VERSION
#define VTEPD_VERSION BASELINE "~dev"
#endif

const char *cversion_text(void) { return VTEPD_VERSION; }
