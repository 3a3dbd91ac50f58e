"""What image-test and compose-test share: an engine that builds images and runs containers, and what is read of both.

It leaves to them what is checked. Without a Docker Hub, the engine makes the base that our Dockerfiles ask for.
Standard library only; Linux only.
"""

import contextlib
import ctypes
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
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE = "docker.io/library/rust:1-bookworm"
# What of Debian the build needs in its base: linker, static C library, trust roots for cargo.
BASE_PACKAGES = "gcc,libc6-dev,ca-certificates,binutils"
# Changes whenever the base is made in another way.
BASE_VERSION = "1"
# The user of our images.
USER = 65532
# Longest wait for any one thing to happen, in seconds; a loaded machine needs seconds to start a container.
PATIENCE_S = 60
HARDENED = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
# Whatever this machine's own configuration says: runc and netavark work in more places than the defaults do, and limits
# of our own in a container that lacks CAP_SYS_RESOURCE.
SETTINGS = """
[containers]
default_ulimits = ["nofile=10000:10000", "nproc=4000:4000"]
[engine]
runtime = "runc"
events_logger = "file"
cgroup_manager = "cgroupfs"
[network]
network_backend = "netavark"
network_config_dir = "%s"
"""


class Report:
    """One line a check."""

    is_good = True

    def line(self, what, holds, figure):
        self.is_good &= holds
        print(f"{'ok  ' if holds else 'FAIL'}  {what:62}  {figure}", flush=True)


class Engine:
    """What both engines understand."""

    def __init__(self, name, options):
        need(name)
        self.name, self.options = name, options
        self.command = [name, *options]

    def call(self, *arguments):
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True)

    def read(self, *arguments):
        done = self.call(*arguments)
        if done.returncode != 0:
            raise SystemExit(f"{self.name} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, image, *options, flags=()):
        """Starts a hardened container."""
        name = self.new_name()
        self.read("run", "--detach", "--name", name, *HARDENED, *options, image, *flags)
        return Container(self, name)

    @contextlib.contextmanager
    def volume(self):
        name = self.new_name()
        self.read("volume", "create", name)
        try:
            yield name
        finally:
            self.call("volume", "rm", "--force", name)

    def files(self, volume):
        """Names of the files of the image's user in a volume."""
        place = json.loads(self.read("volume", "inspect", volume))[0]["Mountpoint"]
        return [entry.name for entry in os.scandir(place) if entry.stat().st_uid == USER]

    count = 0

    def new_name(self):
        Engine.count += 1
        return f"saas-exporter-test-{os.getpid()}-{Engine.count}"


class Docker(Engine):
    def __init__(self):
        super().__init__("docker", [])

    def build(self, image, *options, context=ROOT):
        """Builds an image, of our sources unless another folder is named."""
        command = ["docker", "build", *options, "--tag", image, context]
        subprocess.run(["nice", *command], check=True, stdout=sys.stderr)

    def isolate(self):
        """Docker's containers are started by a daemon, in the network of the machine."""


class Podman(Engine):
    """With a store, settings and networks of its own, all in one folder, which outlives the script."""

    def __init__(self, fresh):
        need("buildah", "runc", "ip")
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
        self.folder = os.path.join(os.path.abspath(target), "image-test")
        if fresh and os.path.exists(self.folder):
            shutil.rmtree(self.folder)
        os.makedirs(self.folder, exist_ok=True)
        networks = os.path.join(self.folder, "networks")
        os.environ["CONTAINERS_CONF"] = write(self.folder, "containers.conf", SETTINGS % networks)
        self.storage = [
            *("--storage-driver", self.driver()),
            *("--root", os.path.join(self.folder, "store"), "--runroot", os.path.join(self.folder, "run")),
        ]
        super().__init__("podman", [*self.storage, "--tmpdir", os.path.join(self.folder, "tmp")])

    def driver(self):
        """overlay where the kernel allows it; it copies no layer."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            names = [os.path.join(folder, name) for name in ("lower", "upper", "work", "merged")]
            for name in names:
                os.mkdir(name)
            lower, upper, work, merged = names
            options = f"lowerdir={lower},upperdir={upper},workdir={work}"
            mount = ["mount", "-t", "overlay", "overlay", "-o", options, merged]
            works = subprocess.run(mount, capture_output=True).returncode == 0
            if works:
                subprocess.run(["umount", merged], check=True)
        return "overlay" if works else "vfs"

    def buildah(self, *arguments, **options):
        return subprocess.run(["nice", "buildah", *self.storage, *arguments], check=True, text=True, **options)

    def build(self, image, *options, context=ROOT):
        """Builds an image, of our sources unless another folder is named."""
        key = f"{BASE_VERSION} {BASE_PACKAGES} {rustc('--version')}"
        known = self.call("image", "inspect", "--format", '{{index .Labels "base.key"}}', BASE)
        if known.stdout.strip() != key:
            self.make_base(key)
        # The format is Docker's: that of OCI knows no health check.
        always = ["--isolation", "chroot", "--pull-never", "--layers", "--format", "docker"]
        with show_on_failure(self.folder, "build.log") as log:
            self.buildah("bud", *always, *options, "--tag", image, context, stdout=log, stderr=log)

    def isolate(self):
        """A network and mounts of our own from here on: what podman leaves of both goes with the script."""
        new_network, new_mounts = 0x40000000, 0x00020000
        if ctypes.CDLL(None, use_errno=True).unshare(new_network | new_mounts) != 0:
            raise SystemExit(f"unshare: {os.strerror(ctypes.get_errno())}")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def make_base(self, key):
        """The name of the real base, with a compiler of C from Debian and this machine's Rust."""
        need("debootstrap", "rustc")
        note(f"making a base of {BASE_PACKAGES} and {rustc('--version')}")
        with tempfile.TemporaryDirectory(dir=self.folder) as folder, show_on_failure(self.folder, "base.log") as log:
            root = os.path.join(folder, "root")
            command = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", root]
            subprocess.run(["nice", *command], check=True, stdout=log, stderr=log)
            for unused in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
                shutil.rmtree(os.path.join(root, unused), ignore_errors=True)
            # Those of this machine, should a proxy have an authority of its own.
            certificates = "etc/ssl/certs/ca-certificates.crt"
            shutil.copyfile("/" + certificates, os.path.join(root, certificates))
            copy_toolchain(os.path.join(root, "usr/local/rust"))
            container = self.buildah("from", "scratch", stdout=subprocess.PIPE).stdout.strip()
            try:
                self.buildah("add", container, root, "/", stdout=log, stderr=log)
                variables = [
                    "PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "CARGO_HOME=/usr/local/cargo",
                    f"SSL_CERT_FILE=/{certificates}",
                    f"CARGO_HTTP_CAINFO=/{certificates}",
                ]
                environment = [word for variable in variables for word in ("--env", variable)]
                self.buildah("config", *environment, "--label", f"base.key={key}", container)
                self.buildah("commit", container, BASE, stdout=log, stderr=log)
            finally:
                self.buildah("rm", container, stdout=log, stderr=log)


def copy_toolchain(place):
    """cargo, rustc, their libraries and the standard library of this machine's target."""
    sysroot, host = rustc("--print", "sysroot"), rustc("--print", "host-tuple")
    for name in ("cargo", "rustc"):
        os.makedirs(os.path.join(place, "bin"), exist_ok=True)
        shutil.copy(os.path.join(sysroot, "bin", name), os.path.join(place, "bin", name))

    def of_other_targets(path, names):
        return [name for name in names if path.endswith("/lib/rustlib") and name != host]

    lib = os.path.join(sysroot, "lib")
    shutil.copytree(lib, os.path.join(place, "lib"), symlinks=True, ignore=of_other_targets)


def rustc(*arguments):
    return subprocess.run(["rustc", *arguments], check=True, capture_output=True, text=True).stdout.strip()


class Container:
    """A running container; it is removed with its volumes at the end of the block."""

    def __init__(self, engine, name):
        self.engine, self.name = engine, name

    def __enter__(self):
        self.pid = int(self.engine.read("inspect", "--format", "{{.State.Pid}}", self.name))
        return self

    def __exit__(self, *_):
        self.engine.call("rm", "--force", "--volumes", self.name)

    def exec(self, *command):
        """Exit status and standard error of a command in the container."""
        done = self.engine.call("exec", self.name, *command)
        # Podman adds a line of its own about the status, and its log: version 5 warns of an old kernel interface.
        lines = [line for line in done.stderr.splitlines() if not line.startswith(("Error: ", 'time="'))]
        return done.returncode, "\n".join(lines).strip()

    def wait_for_page(self, port, condition):
        """The page as soon as it is as wanted, else as it is at the end of all patience."""
        deadline = time.monotonic() + PATIENCE_S
        page = None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    page = Page(answer.read().decode())
                if condition(page):
                    return page
            time.sleep(0.01)
        logs = self.engine.call("logs", self.name)
        note(logs.stdout + logs.stderr)
        if page is None:
            raise SystemExit(f"no page at port {port} within {PATIENCE_S} s")
        return page

    def stop(self):
        """Time from SIGTERM to the end of the process in seconds, and its exit status."""
        asked = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        while os.path.exists(f"/proc/{self.pid}") and time.monotonic() - asked < PATIENCE_S:
            time.sleep(0.002)
        took = time.monotonic() - asked
        return took, int(self.engine.read("wait", self.name))


class Page:
    """A page in the text format."""

    def __init__(self, text):
        self.text = text

    def value(self, series):
        found = re.search("^" + re.escape(series) + r" (\S+)$", self.text, re.M)
        return float(found[1]) if found else None


def write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepare(stack, name):
    """Lets every signal end the script in good order; gives a folder that goes with it, for files that are mounted."""
    if os.geteuid() != 0:
        raise SystemExit("only root may build and run containers here; use sudo")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"saas-exporter-{name}-"))
    # Mounted files are read by the users of the images.
    os.chmod(folder, 0o755)
    return folder


def need(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; --help says what is needed")


def note(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def show_on_failure(folder, name):
    """A file for what a program says, shown if the program fails."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as log:
        try:
            yield log
        except subprocess.CalledProcessError as failed:
            note(read(path)[-8000:])
            raise SystemExit(f"{failed.cmd[:2]} failed; all it said is in {path}") from failed
