// CVersion: the version that the programs report. In C and in a target of its own, so that a new commit costs one small
// compilation and the link, not a build.
#ifndef CVERSION_H
#define CVERSION_H

/// `scripts/version` at the time of the build, or the baseline of version.c.
const char *_Nonnull cversion_text(void);

#endif
