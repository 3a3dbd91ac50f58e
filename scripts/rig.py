"""What bench and soak share: programs that are built, started and ended, pages that are asked for and checked.

It leaves to them what is measured or asserted. Standard library only; everything listens on 127.0.0.1, works in one
temporary folder, and ends with the process that started it.
"""

import contextlib
import ctypes
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Longest wait for a program to listen, to be ready and to end, in seconds.
PATIENCE_S = 60
# What Prometheus sends with every scrape (2.5x; the scrape protocols of its default configuration).
PROMETHEUS = {
    "User-Agent": "Prometheus/2.53.0",
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
# As the Dockerfile and scripts/release build it.
STATIC_CONFIGURATION = ".cargo/static.toml"

# From examples/upstream.rs: the first moment of its pages, and the severity by generation and place of a component.
GENERATION_0_S = 1767225600
SEVERITIES = [0, 2, 3, 4, 1]
STATUSES = ["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]
GROUP_SIZE = 10


class Violation(Exception):
    """A page, or the process, is not as it must be."""


def note(text):
    """Progress, beside the table on standard output."""
    print(text, file=sys.stderr, flush=True)


def build(static):
    """Builds the exporter and the simulated upstream; gives the paths of both."""
    upstream = os.path.join(target_folder(), "release", "examples", "upstream")
    cargo("--example", "upstream")
    return build_exporter(static), upstream


def build_exporter(static):
    path = exporter_path(static)
    if static:
        # A target of its own keeps the flags away from build scripts and from the other build.
        cargo("--bin", "saas-exporter", "--target", static_target(), "--config", STATIC_CONFIGURATION)
    else:
        cargo("--bin", "saas-exporter")
    return path


def exporter_path(static):
    return os.path.join(target_folder(), *([static_target()] if static else []), "release", "saas-exporter")


def static_target():
    command = ["rustc", "--print", "host-tuple"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def cargo(*arguments):
    # A variable for flags would take the place of those in a configuration.
    environment = {name: value for name, value in os.environ.items() if name != "RUSTFLAGS"}
    command = ["cargo", "build", "--release", "--locked", "--quiet", *arguments]
    note("building: " + " ".join(command))
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def target_folder():
    if "CARGO_TARGET_DIR" in os.environ:
        return os.path.abspath(os.environ["CARGO_TARGET_DIR"])
    return os.path.join(ROOT, "target")


def need(*programs):
    missing = [name for name in programs if not shutil.which(name, path=search_path())]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; install them, on Debian: apt-get install {' '.join(missing)}")


def search_path():
    """Where programs are looked for; Debian's nginx lies where only root looks."""
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"


class Rig(contextlib.ExitStack):
    """A temporary folder and the programs that work in it; all of them end with it, also on an error or a signal."""

    def __enter__(self):
        super().__enter__()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        self.folder = self.enter_context(tempfile.TemporaryDirectory(prefix="saas-exporter-rig-"))
        self.count = 0
        return self

    def new_folder(self):
        self.count += 1
        path = os.path.join(self.folder, str(self.count))
        os.mkdir(path)
        return path

    def start(self, command, folder, environment=None):
        """Starts a program of ours; what it says goes to the file `log` in its folder."""
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment or {},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self.callback(end, process)
        return process

    def upstream(self, binary, services, *options):
        folder = self.new_folder()
        process = self.start([binary, "--services", str(services), *options], folder)
        return Upstream(process, wait_for_port(folder, process))

    def exporter(self, binary, upstream, services, **options):
        return Exporter(self, binary, upstream, services, **options)


def die_with_parent():
    # PR_SET_PDEATHSIG: even SIGKILL at the script leaves nothing behind.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def end(process):
    """Ends a process that we started and waits for it; gives its status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def log_of(folder):
    with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
        return log.read()


def wait_for_port(folder, process):
    return wait_for("a program to listen", lambda: port_in(log_of(folder)), process, folder, 0.002)


def port_in(log):
    found = re.search(r"listening address=\S*?:(\d+)\s", log)
    return found and int(found[1])


def wait_for(what, condition, process=None, folder=None, pause_s=0.02, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        has_ended = process is not None and process.poll() is not None
        if has_ended or time.monotonic() > deadline:
            log = f"; its log:\n{log_of(folder)}" if folder else ""
            raise Violation(f"{'the program ended before' if has_ended else 'waited in vain for'} {what}{log}")
        time.sleep(pause_s)


class Connection:
    """A keep-alive connection that sends one and the same request."""

    def __init__(self, port, target="/metrics", headers=None, timeout_s=30):
        lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1024 * 1024)

    def get(self):
        """Status, head and body of one answer, and the seconds from the request to the last byte."""
        begun = time.perf_counter()
        self.socket.sendall(self.request)
        have, end_of_head = 0, -1
        while end_of_head < 0:
            have += self.receive(have)
            end_of_head = self.buffer.find(b"\r\n\r\n", 0, have)
        head = self.buffer[:end_of_head].decode("latin-1")
        length = int(re.search(r"(?i)\r\ncontent-length: *(\d+)", head)[1])
        size = end_of_head + 4 + length
        if size > len(self.buffer):
            self.buffer.extend(bytes(size - len(self.buffer)))
        while have < size:
            have += self.receive(have)
        seconds = time.perf_counter() - begun
        return int(head.split(" ", 2)[1]), head, bytes(self.buffer[end_of_head + 4 : size]), seconds

    def receive(self, have):
        count = self.socket.recv_into(memoryview(self.buffer)[have:])
        if count == 0:
            raise Violation("the connection was closed in the middle of an answer")
        return count

    def close(self):
        self.socket.close()


def get(port, target="/metrics", headers=None, timeout_s=30):
    """One request on a connection of its own."""
    connection = Connection(port, target, headers, timeout_s)
    try:
        return connection.get()
    finally:
        connection.close()


class Upstream:
    def __init__(self, process, port):
        self.process, self.port = process, port

    def url(self, key):
        return f"http://127.0.0.1:{self.port}/{key}/api/v2/summary.json"

    def control(self, commands=""):
        """Changes how it answers; gives the number of requests so far, those of control left out."""
        status, _, body, _ = get(self.port, f"/control?{commands}")
        if status != 200:
            raise Violation(f"control {commands}: {body.decode()}")
        return int(body)


class Exporter:
    """A running exporter, its port, and what /proc tells of it."""

    def __init__(self, rig, binary, upstream, services, interval="20m", settings=None, fields=None, prepare=None):
        """`fields` are those of single services, by key; `prepare` gets the cache folder before the start."""
        self.folder = rig.new_folder()
        cache = os.path.join(self.folder, "cache")
        os.mkdir(cache)
        if prepare:
            prepare(cache)
        keys = [f"s{number:04}" for number in range(1, services + 1)]
        entries = {
            key: {"name": f"Service {key[1:]}", "url": upstream.url(key), **(fields or {}).get(key, {})} for key in keys
        }
        with open(os.path.join(self.folder, "services.json"), "w", encoding="utf-8") as file:
            json.dump(entries, file)
        environment = {
            "WEB_LISTEN_ADDRESS": "127.0.0.1:0",
            "SERVICES_JSON_PATH": "services.json",
            "CACHE_DIR": cache,
            "CHECK_INTERVAL_MINUTES": interval,
            # Incidents that are over would otherwise gather on the page for a day.
            "RESOLVED_RETENTION_HOURS": "0",
            **(settings or {}),
        }
        self.started = time.perf_counter()
        self.process = rig.start([binary], self.folder, environment)
        self.pid = self.process.pid
        self.port = wait_for_port(self.folder, self.process)

    def wait_until_ready(self):
        """Seconds from the start of the process until every service is on the page."""
        connection = Connection(self.port, "/-/ready")
        wait_for("every service", lambda: connection.get()[0] == 200, self.process, self.folder, 0.002)
        seconds = time.perf_counter() - self.started
        connection.close()
        return seconds

    def stop(self):
        status = end(self.process)
        if status != 0:
            raise Violation(f"exit status {status} after SIGTERM; its log:\n{log_of(self.folder)}")

    def page(self, headers=None):
        status, head, body, _ = get(self.port, "/metrics", headers)
        if status != 200:
            raise Violation(f"status {status} from /metrics")
        return text_of(head, body)

    def proc(self, name):
        with open(f"/proc/{self.pid}/{name}", encoding="ascii", errors="replace") as file:
            return file.read()

    def status(self, field):
        """A number of /proc/PID/status; sizes are in KiB."""
        return int(re.search(rf"^{field}:\s+(\d+)", self.proc("status"), re.M)[1])

    def rss_mib(self):
        return self.status("VmRSS") / 1024

    def peak_mib(self):
        return self.status("VmHWM") / 1024

    def reset_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_ms(self):
        """CPU time of the process, threads that have ended included.

        /proc/PID/stat counts in steps of 10 ms, and schedstat leaves out the short-lived threads of the polls. The CPU
        clock of a process has all of it in nanoseconds: clock_getcpuclockid(3) makes its number like this.
        """
        return time.clock_gettime(~self.pid << 3 | 2) * 1000

    def wake_ups(self, seconds):
        """Voluntary context switches of all threads within the next seconds.

        Looked at twice a second, because the switches of a thread go with it when it ends; an end counts as one.
        """
        total, before = 0, self.switches()
        for _ in range(2 * seconds):
            time.sleep(0.5)
            now = self.switches()
            total += sum(count - before.get(thread, 0) for thread, count in now.items())
            total += len(before.keys() - now.keys())
            before = now
        return total

    def switches(self):
        """Voluntary context switches by thread."""
        by_thread = {}
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", self.proc(f"task/{thread}/status"), re.M)
                by_thread[thread] = int(found[1])
        return by_thread

    def written_bytes(self):
        """Bytes that the process gave to write(2) and pwrite(2), without its log.

        That is `wchar` of /proc/PID/io. It has no socket in it, because Rust's std uses send(2) for those, which the
        kernel does not count there; pipes and eventfds are in it, so it is at most too high. `write_bytes` would count
        whole pages of 4 KiB for every record of 16 bytes, and nothing at all on a tmpfs.
        """
        written = int(re.search(r"^wchar: (\d+)", self.proc("io"), re.M)[1])
        return written - os.path.getsize(os.path.join(self.folder, "log"))


def text_of(head, body):
    is_gzip = re.search(r"(?i)\r\ncontent-encoding: *gzip", head)
    return (gzip.decompress(body) if is_gzip else body).decode()


LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)(?: (-?[0-9.]+))?")
SERVICE = re.compile(r'(?:^|,)service(?:_name)?="(?:Service |s)(\d{4})"')
KINDS = {"counter", "gauge"}


class Page:
    """A page that was read strictly: every line understood, families in one block and sorted, no series twice."""

    def __init__(self, text):
        self.is_open_metrics = text.endswith("# EOF\n")
        # By family, then labels as they stand there.
        self.families = {}
        lines = text.split("\n")
        require(lines.pop() == "", "the page does not end with a line feed")
        if self.is_open_metrics:
            lines.pop()
        family, samples, kind, sample_name = "", {}, None, None
        for line in lines:
            if line.startswith("# HELP ") or line.startswith("# TYPE "):
                word, name, rest = (line[2:].split(" ", 2) + [""])[:3]
                if name != family:
                    require(name > family, f"family {name} comes after {family}")
                    family, samples, kind = name, {}, None
                if word == "TYPE":
                    require(rest in KINDS and kind is None and not samples, f"misplaced: {line}")
                    kind = rest
                    is_suffixed = self.is_open_metrics and kind == "counter"
                    sample_name = family + "_total" if is_suffixed else family
                    self.families[sample_name] = samples
                continue
            found = SAMPLE.fullmatch(line)
            require(found, f"not understood: {line[:200]}")
            name, labels, value, _ = found.groups()
            require(kind and name == sample_name, f"outside of its family: {line[:200]}")
            labels = labels or ""
            require(labels not in samples, f"twice: {name}{{{labels}}}")
            samples[labels] = float(value)

    def value(self, name, labels=""):
        return self.families.get(name, {}).get(labels)

    def by_service(self, name):
        """The samples of a family, by the number of the service: labels to value."""
        services = {}
        for labels, value in self.families.get(name, {}).items():
            found = SERVICE.search(labels)
            require(found, f"of no service: {name}{{{labels}}}")
            services.setdefault(int(found[1]), {})[labels] = value
        return services

    def total(self, name):
        return sum(self.families.get(name, {}).values())

    def check_whole(self, services, components):
        """Every service is there with all its series, and all of them belong to one generation of its upstream."""
        names = (
            "statuspage_page_updated_timestamp_seconds",
            "statuspage_component_severity",
            "statuspage_component_status",
            "statuspage_component_timestamp",
            "statuspage_application_timestamp",
            "statuspage_components",
            "statuspage_active_incidents",
            "saas_exporter_poll_failures_total",
            "saas_exporter_polls_total",
        )
        found = {name: self.by_service(name) for name in names}
        for name, series in found.items():
            require(series.keys() == set(range(1, services + 1)), f"{name}: {len(series)} services")
            counts = {len(of_service) for of_service in series.values()}
            require(len(counts) == 1, f"{name}: services with {counts} series")
        for number in range(1, services + 1):
            self.check_service(number, components, *(found[name][number] for name in names[:7]))

    def check_service(self, number, components, updated, severities, statuses, seen, seen_at, counts, incidents):
        require(len(updated) == 1, f"service {number}: {len(updated)} times of its page")
        [moment] = updated.values()
        generation = round(moment - GENERATION_0_S)
        severity = [SEVERITIES[(generation + place) % 5] if generation else 0 for place in range(components)]
        name = [
            f"Component {place:02} requests" if place % GROUP_SIZE else f"Region {place:02}" for place in range(components)
        ]

        def is_of_generation(holds, what):
            require(holds, f"service {number}: {what} not of generation {generation}")

        of_place = {int(re.search(r'component_id="\d{10}(\d{4})"', labels)[1]): value for labels, value in severities.items()}
        is_of_generation(of_place == dict(enumerate(severity)), "component_severity")
        of_name = {re.search(r'component_name="([^"]*)"', labels)[1]: value for labels, value in statuses.items()}
        is_of_generation(of_name == {name[i]: float(severity[i] == 0) for i in range(components)}, "component_status")
        is_of_generation(len(seen) == components, "number of component_timestamp")
        is_of_generation(set(seen.values()) == set(seen_at.values()), "component_timestamp")
        for labels, count in counts.items():
            word = re.search(r'status="([^"]*)"', labels)[1]
            leaves = [i for i in range(components) if i % GROUP_SIZE]
            expected = sum(severity[i] == SEVERITIES[STATUSES.index(word)] for i in leaves) if word in STATUSES else 0
            is_of_generation(count == expected, f"components {word}")
        is_of_generation(sum(incidents.values()) == generation % 2, "active_incidents")


def require(holds, what):
    if not holds:
        raise Violation(what)


def without_process(text):
    """The page without what is different at every scrape."""
    begin = text.find("# HELP process_")
    end_of_block = text.find("\n# HELP ", text.rfind("\nprocess_"))
    return text[:begin] + text[end_of_block + 1 :]
