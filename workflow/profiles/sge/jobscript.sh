#!/bin/sh
# properties = {properties}
# With `qsub -notify` Grid Engine sends SIGUSR2 to all processes of a job before it ends the job, and
# SIGUSR1 before it suspends it. A shell would die of them; the training saves itself.
trap '' USR1 USR2
{exec_job}
