"""The same jobs done by what people use instead. Each is skipped where it is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

from bench import Bench, Skipped, case
from programs import started


@case(on_server=False)
def subprocess_per_call(bench: Bench) -> None:
    for name, words in (
        ("subprocess: python -I -c 1+1", [sys.executable, "-I", "-c", "1+1"]),
        ("subprocess: bash -c true", ["bash", "-c", "true"]),
    ):
        for stopwatch in bench.repeat(name):
            with stopwatch:
                subprocess.run(words, check=True, capture_output=True)


@case(on_server=False)
def jupyter_kernel(bench: Bench) -> None:
    _needs("jupyter_client", "ipykernel")
    start_new_kernel = importlib.import_module("jupyter_client.manager").start_new_kernel
    for stopwatch in bench.repeat("jupyter kernel: start", most=10):
        with stopwatch:
            manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
    try:
        for stopwatch in bench.repeat("jupyter kernel: execute 1+1"):
            with stopwatch:
                client.execute_interactive("1+1", store_history=False, output_hook=lambda message: None)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@case(on_server=False)
def moto_server(bench: Bench) -> None:
    _needs("moto", "flask", "boto3")
    for stopwatch in bench.repeat("moto server: start to first answer", most=5):
        port = _free_port()
        with ExitStack() as stack, stopwatch:  # its end does not count
            stack.enter_context(started("-m", "moto.server", "-p", str(port)))
            _wait_for_answer(f"http://127.0.0.1:{port}/moto-api/")
    port = _free_port()
    with started("-m", "moto.server", "-p", str(port)):
        _wait_for_answer(f"http://127.0.0.1:{port}/moto-api/")
        account = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        queues = importlib.import_module("boto3").client(
            "sqs", endpoint_url=f"http://127.0.0.1:{port}", **account
        )
        queue = queues.create_queue(QueueName="benchmark")["QueueUrl"]
        for stopwatch in bench.repeat("moto server: sqs.get_queue_attributes"):
            with stopwatch:
                queues.get_queue_attributes(QueueUrl=queue)


def _needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"{' and '.join(missing)} not installed")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for_answer(url: str) -> None:
    """Any answer; the case's own budget ends the waiting."""
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.005)
