#!/bin/bash
# Runs in a folder that integration.sh or uml/integration.sh has made, in a guest there: takes one test after the other from the
# queue, until all are taken. Who makes its folder in claimed/ has it. What it says is in output/, and if it passes it is in
# passed/. UNDER is what a test is run by: what ends it when this ends.
below=$(cat below 2>/dev/null)
run() {
  if [ "$1" = conntrack ]; then # what is missing in a guest is missing there for good: a test that is skipped has failed
    (cd conntrack && CI=1 exec ./conntrack.test -test.timeout 10m -test.v)
  else
    ${UNDER:-} ./traffic.test -test.timeout 10m -test.v -test.run "^$1\$$below"
  fi
}
while read -r t; do
  mkdir "claimed/$t" 2>/dev/null || continue
  began=$SECONDS said=passed
  if run "$t" >"output/$t" 2>&1 </dev/null; then : >"passed/$t"; else said=FAILED; fi
  echo "$said $t, $((SECONDS - began)) s"
done <queue
exit 0 # it has not died: what has passed is in passed/
