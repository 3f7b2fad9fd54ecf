#!/bin/sh
# Print what has become of a job of Grid Engine, by its number: running, success or failed.
job=$1
if about=$(qstat -j "$job" 2>&1); then
  case $about in
    # a job that could not be started waits for ever
    *"error reason"*) qdel "$job" > /dev/null; echo failed ;;
    *) echo running ;;
  esac
  exit
fi
case $about in
  *"do not exist"*) ;;
  *) echo running; exit ;;  # the master does not answer
esac
# The accounting is written some seconds after the end of a job. It has a record of each start; the
# last one counts, unless the job was sent back to the queue (24, 25): then the last is still missing.
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  qacct -j "$job" 2> /dev/null | awk '
    $1 == "failed" { failed = $2 }
    $1 == "exit_status" { status = $2; known = failed != 24 && failed != 25 }
    END {
      if (known) print failed == 0 && status == 0 ? "success" : "failed"
      exit !known
    }' && exit
  sleep 3
done
echo failed
