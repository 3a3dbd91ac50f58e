"""What demo-check and dashboard-check share: the demo and a Prometheus that scrapes it, started, asked and ended.

It leaves to them what must hold. Standard library only; everything listens on loopback ports that the kernel chooses,
works in one temporary folder, and ends with the script.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

# Longest wait for any one thing to happen, in seconds.
PATIENCE_S = 30
# The script that runs, for its messages.
NAME = os.path.basename(sys.argv[0])

# As docs/sources/pantheon.md recommends it, but that it scrapes more often.
PROMETHEUS_CONFIG = """
storage:
  tsdb:
    out_of_order_time_window: 30d
scrape_configs:
  - job_name: demo
    scrape_interval: 1s
    static_configs:
      - targets: ["%s"]
"""


def need_prometheus():
    for tool in ("promtool", "prometheus"):
        require(shutil.which(tool), f"{tool} is missing; Debian has it in the package prometheus")


class Running:
    """A child process, ended by its id whatever happens, with its output in a file that is shown on a failure."""

    def __init__(self, arguments, folder, log):
        self.folder, self.log = folder, log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                arguments,
                cwd=folder,
                env={"TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            with open(self.log, encoding="utf-8") as log:
                sys.stderr.write(log.read())


def listening(log):
    """Host and port that the demo listens at, as it says so."""
    with open(log, encoding="utf-8") as log:
        found = re.search(r"listening address=(\S+)", log.read())
    return found and found[1]


def demo(path, folder, *arguments):
    """The demo, its own folder below this one, and its log."""
    own, log = os.path.join(folder, "demo"), os.path.join(folder, "demo.log")
    os.mkdir(own)
    return Running([os.path.abspath(path), "--listen", "127.0.0.1:0", *arguments], own, log)


def prometheus(target, folder):
    """A Prometheus that scrapes `target`, and its address."""
    home, address = os.path.join(folder, "prometheus"), f"127.0.0.1:{free_port()}"
    os.mkdir(home)
    config = os.path.join(home, "prometheus.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(PROMETHEUS_CONFIG % target)
    arguments = [
        shutil.which("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address={address}",
    ]
    return Running(arguments, home, os.path.join(folder, "prometheus.log")), address


def ask(address, path, **parameters):
    """What the API of a Prometheus answers; an error of a query is one here."""
    query = urllib.parse.urlencode(parameters, doseq=True)
    return json.loads(get(f"http://{address}/api/v1/{path}?{query}"))["data"]


def free_port():
    """Prometheus does not say which port it was given, so it is told one that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(address):
    # A proxy of the environment has no business on the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=5) as got:
        return got.read().decode()


def wait_for(what, condition, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{NAME}: waited in vain for {what}")


def require(holds, what):
    if not holds:
        raise SystemExit(f"{NAME}: {what}")
