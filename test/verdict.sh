#!/bin/bash
# Says which tests of a queue did not pass (test/worker.sh, whose folder it is given), and why, where the output of all of them
# has gone by: what is read of a long log is its end.
set -u
cd "$1" || exit 2
status=0
while read -r t; do
  [ ! -e "passed/$t" ] || continue
  status=1
  echo "$t did not pass:"
  if [ ! -e "output/$t" ]; then
    echo "    it was not begun"
  elif grep -q '\.go:[0-9]*: FAILED: ' "output/$t"; then
    grep '\.go:[0-9]*: FAILED: ' "output/$t"
  elif grep -q '^panic: ' "output/$t"; then
    grep -m1 -A12 '^panic: ' "output/$t"
  else
    tail -n 10 "output/$t"
  fi
done <queue
exit $status
