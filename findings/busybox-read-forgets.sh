#!/bin/bash
# 2026-11-29. busybox 1.35.0, dash 0.5.12, bash 5.2.15. What `read` does with a half line when a background process ends.
#
# A shell's `read` takes its line octet by octet, and is interrupted by the signal that a child has ended. Other shells go on where they
# were. busybox's ash begins anew, and forgets what it has: the line that the script gets lacks its beginning, without any error. So a
# loop over lines of a pipe, a socket or a serial line, with a command in the background, now and then runs something that nobody wrote.
# A shell that is the first process of a machine or container is told of the end of every orphan, and needs no background command of its own.
#
# Output seen:
#   busybox sh: rm -r /tmp/work becomes /work
#   dash: rm -r /tmp/work becomes rm -r /tmp/work
#   bash: rm -r /tmp/work becomes rm -r /tmp/work
set -euo pipefail
line='rm -r /tmp/work' same=true
for shell in "busybox sh" dash bash; do
  # The child ends between the two halves.
  got=$({ printf %s "${line%/work}"; sleep 1; echo /work; } | $shell -c 'sleep 0.5 & IFS= read -r line; printf %s "$line"')
  echo "$shell: $line becomes $got"
  case $shell in "busybox sh") expected=/work ;; *) expected=$line ;; esac
  [ "$got" = "$expected" ] || same=false
done
$same
