"""Call functions in another interpreter: one with other environment variables, or one that may die.

A ``Worker`` is a Python process that calls what it is told to. A crash there is an exception here
(``WorkerDied``, with the signal and what the process had to say). Functions travel by name: they
must be importable, as all functions of the test modules are.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any


class WorkerDied(Exception):
    """The process ended instead of giving an answer."""


class Worker:
    """A process that runs functions; it starts with the first call and again after a crash."""

    def __init__(self, **environment: str) -> None:
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of ``function(*args, **kwargs)``, or its exception."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump((function, args, kwargs), process.stdin)
            process.stdin.flush()
            result, error = pickle.load(process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise WorkerDied(self._last_words(function)) from None
        except BaseException:  # a timeout, most likely: the late answer must not serve another call
            self.close()
            raise
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the process, if one is running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
            self.stderr.close()
        self.process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            self.stderr = tempfile.TemporaryFile()
            paths = os.pathsep.join(sys.path)  # the folders of all test modules are in it
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-X", "faulthandler", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.stderr,
                env={**os.environ, "PYTHONPATH": paths, **self.environment},
            )
        return self.process

    def _last_words(self, function: Callable[..., Any]) -> str:
        assert self.process is not None
        code = self.process.wait()
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        self.stderr.seek(0)
        said = self.stderr.read().decode(errors="replace")[-4000:]
        self.close()
        return f"the process that ran {function.__qualname__} ended: {how}\n{said}"


def serve() -> None:
    """Answer calls until the other side closes the pipe."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the functions print must not get between the answers
    while True:
        try:
            function, args, kwargs = pickle.load(requests)
        except EOFError:
            return
        result, error = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            error.add_note("In the worker:\n" + traceback.format_exc())
        pickle.dump((result, error), answers)
        answers.flush()


if __name__ == "__main__":
    serve()
