#!/usr/bin/python3
"""Types into a shell at a terminal, and says what came until a word was there.

   complete.py WORD SETUP TYPED SHELL...   exit code 1: the word did not come in 20 seconds

SETUP is a line that the shell runs first; TYPED is what is typed then, TAB included."""
import os, pty, select, signal, sys, time

word, setup, typed, shell = sys.argv[1].encode(), sys.argv[2].encode(), sys.argv[3].encode(), sys.argv[4:]
ready = b"ready-to-type"


def until(fd, wanted, seconds):
    seen, end = b"", time.monotonic() + seconds
    while wanted not in seen and (left := end - time.monotonic()) > 0:
        if not select.select([fd], [], [], left)[0]:
            break
        try:
            seen += os.read(fd, 4096)
        except OSError:  # it has ended
            break
    return seen


pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", HOME="/root", LC_ALL="C.UTF-8")
    os.execvp(shell[0], shell)
# The shell says it when it has run the line; what is typed is echoed with a mark between.
os.write(fd, setup + b"; echo ready-to''-type\n")
before = until(fd, ready, 20)
os.write(fd, typed)
seen = until(fd, word, 20)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
if ready not in before or word not in seen:
    sys.exit(f"{shell[0]}: {word.decode()} was not offered: {before + seen!r}")
