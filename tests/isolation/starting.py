"""`python starting.py HOW... -- PROGRAM ARGUMENT...`: starts a program as some people's shells and services would."""

import fcntl
import os
import pty
import resource
import signal
import sys
import tempfile
import termios

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)


def main() -> None:
    end = sys.argv.index("--")
    for how in sys.argv[1:end]:
        make(how)
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])


def make(how: str) -> None:
    if how == "signals ignored":
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    elif how == "signals blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    elif how == "umask":
        os.umask(0o077)
    elif how == "nice":
        os.nice(7)
    elif how == "limits":
        for kind, soft in (
            (resource.RLIMIT_FSIZE, 10_000_000),
            (resource.RLIMIT_CPU, 1000),
            (resource.RLIMIT_STACK, 4 << 20),
            (resource.RLIMIT_NOFILE, 64),
        ):
            resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))
    elif how == "terminal":
        os.setsid()
        master, terminal = pty.openpty()
        os.set_inheritable(master, True)  # its end would hang up
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    elif how == "directory":
        os.chdir("/usr")
    elif how == "directory removed":
        directory = tempfile.mkdtemp()
        os.chdir(directory)
        os.rmdir(directory)
    elif how == "streams closed":
        os.close(0)
        os.close(2)
    elif how == "session":
        os.setsid()
    elif how == "scheduling":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


main()
