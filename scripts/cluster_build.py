"""Makes the programs of a cluster from Debian's sources of Kubernetes, for kubernetes-test.

It leaves to cluster what is done with them. Everything lies below target and is made by an apt that knows Debian alone,
whatever the machine's own knows; nothing is installed. Standard library only; Debian or Ubuntu only.
"""

import os
import re
import shutil
import subprocess
import time

from cluster import API_SERVER, SEARCH_PATH
from containers import ROOT, need, note, read, show_on_failure, write

# The last Debian that has Kubernetes as a whole; later sources there are those of the client alone.
SUITE = "bookworm"
SOURCE = "kubernetes"
# The compiler that Debian builds it with; any other may not know it.
GO = "1.19"
GO_PACKAGES = [f"golang-{GO}-go", f"golang-{GO}-src"]
# With this one, reflection works in what a compiler newer than the sources makes.
REFLECT = ("golang-github-modern-go-reflect2-dev", "github.com/modern-go/reflect2")
VERSION_FILES = [f"staging/src/k8s.io/{name}/version/base.go" for name in ("component-base", "client-go/pkg")]
# What is not built has a package. The client of that Debian is too old to know our kustomizations.
PACKAGES = ["etcd-server", "containerd"]
CLIENT_SUITE, CLIENT = "trixie", "kubectl"
# A file of the API server that its sources leave to their makefile: the schemas of all kinds, and what asks for one.
SCHEMAS = "k8s.io/kubernetes/pkg/generated/openapi"
SCHEMA_MARK = b"+k8s:openapi-gen="
SCHEMA_FOLDERS = ["pkg", "cmd", "plugin", os.path.join("staging", "src", "k8s.io")]
NO_SCHEMAS = ["testdata", "code-generator", "sample-apiserver"]
# Changes whenever the programs are made in another way.
BUILD_VERSION = "1"
APT = """
Dir::State "{folder}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::preferences "{folder}/none";
Dir::Etc::preferencesparts "{folder}/none";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
"""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What may say where Debian is: debootstrap's script of the suite, and the program with its default.
DEBOOTSTRAP = [f"/usr/share/debootstrap/scripts/{SUITE}", "/usr/sbin/debootstrap"]


def build(programs):
    """The folder of these programs, from Debian's sources, and of etcd, kubectl and containerd, from its packages."""
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    folder = os.path.join(os.path.abspath(target), "kubernetes-test", BUILD_VERSION)
    binaries = os.path.join(folder, "bin")
    missing = [name for name in programs if not os.path.exists(os.path.join(binaries, name))]
    if missing:
        need("apt-get", "dpkg", "dpkg-deb", "nice", "tar")
        for path, package in [(KEYRING, "debian-archive-keyring"), *[(path, "debootstrap") for path in DEBOOTSTRAP]]:
            if not os.path.exists(path):
                raise SystemExit(f"missing: {path}; install {package}")
        os.makedirs(binaries, exist_ok=True)
        with show_on_failure(folder, "build.log") as log:
            Workshop(folder, log).make(missing, binaries)
    return binaries


class Workshop:
    """Where sources become programs; only those are kept, since the rest is three gigabytes."""

    def __init__(self, folder, log):
        self.log, self.folder = log, os.path.join(folder, "work")
        self.root = os.path.join(self.folder, "root")
        self.go = os.path.join(self.root, "usr", "lib", f"go-{GO}")

    def make(self, programs, binaries):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.root)
        self.prepare_apt()
        self.unpack_packages(binaries)
        sources = self.unpack_sources()
        for program in programs:
            started = time.monotonic()
            self.compile(sources, program, os.path.join(binaries, program))
            note(f"built {program} in {time.monotonic() - started:.0f} s")
        shutil.rmtree(self.folder)

    def run(self, *command, folder=None, **variables):
        environment = {**os.environ, **variables}
        directory = folder or self.folder
        subprocess.run(["nice", *command], cwd=directory, env=environment, check=True, stdout=self.log, stderr=self.log)

    def apt(self, *arguments):
        self.run("apt-get", "--quiet", "--yes", *arguments, APT_CONFIG=os.path.join(self.folder, "apt.conf"))

    def prepare_apt(self):
        """One that knows this suite and nothing else, and leaves the machine's own alone."""
        for name in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.folder, name))
        write(self.folder, "apt.conf", APT.format(folder=self.folder, architecture=architecture()))
        suites = [("deb", SUITE), ("deb-src", SUITE), ("deb", CLIENT_SUITE)]
        sources = [f"{kind} [signed-by={KEYRING}] {mirror()} {suite} main" for kind, suite in suites]
        write(self.folder, "sources.list", "\n".join(sources) + "\n")
        self.apt("update")

    def unpack_packages(self, binaries):
        packages = [f"{name}/{SUITE}" for name in [*GO_PACKAGES, REFLECT[0], *PACKAGES]]
        self.apt("download", *packages, f"{CLIENT}/{CLIENT_SUITE}")
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".deb"):
                self.run("dpkg-deb", "--extract", name, self.root)
        for name in os.listdir(os.path.join(self.root, "usr", "bin")):
            shutil.copy(os.path.join(self.root, "usr", "bin", name), os.path.join(binaries, name))

    def unpack_sources(self):
        self.apt("source", "--download-only", "--tar-only", f"{SOURCE}/{SUITE}")
        [archive] = [name for name in os.listdir(self.folder) if name.startswith(SOURCE + "_")]
        # Under this path, since they are older than the way in which modules are found today.
        place = os.path.join(self.folder, "path", "src", "k8s.io", "kubernetes")
        os.makedirs(place)
        self.run("tar", "--extract", "--file", archive, "--strip-components=1", "--directory", place)
        vendored = os.path.join(place, "vendor", REFLECT[1])
        shutil.rmtree(vendored)
        shutil.copytree(os.path.join(self.root, "usr", "share", "gocode", "src", REFLECT[1]), vendored)
        # Such as kubernetes_1.20.5+really1.20.2.orig.tar.gz.
        version = re.search(r"([\d.]+)\.orig\.", archive)[1]
        for name in VERSION_FILES:
            set_version(os.path.join(place, name), version)
        return place

    def generate_schemas(self, sources):
        marked = set()
        for top in SCHEMA_FOLDERS:
            for folder, folders, names in os.walk(os.path.join(sources, top)):
                folders[:] = [name for name in folders if name not in NO_SCHEMAS]
                for name in names:
                    if name.endswith(".go") and not name.endswith("_test.go"):
                        with open(os.path.join(folder, name), "rb") as file:
                            if SCHEMA_MARK in file.read():
                                marked.add(os.path.relpath(folder, sources))
        # Packages of the staging area are known by the links to them.
        names = [name.replace(os.path.join("staging", "src"), "vendor", 1) for name in sorted(marked)]
        generator = os.path.join(self.folder, "openapi-gen")
        self.go_build(sources, "./vendor/k8s.io/kube-openapi/cmd/openapi-gen", generator)
        options = ["-i", ",".join(f"k8s.io/kubernetes/{name}" for name in names), "-p", SCHEMAS]
        options += ["-O", "zz_generated.openapi", "-h", "hack/boilerplate/boilerplate.generatego.txt"]
        options += ["-r", os.path.join(self.folder, "violations"), "--output-base", os.path.join(self.folder, "path", "src")]
        self.run(generator, *options, folder=sources, **self.variables(sources))

    def compile(self, sources, program, binary):
        if program == API_SERVER:
            self.generate_schemas(sources)
        # Without the parts of clouds and of Docker: a third less to do.
        options = ["-tags", "providerless,dockerless", "-ldflags", "-s -w"]
        self.go_build(sources, f"./cmd/{program}", binary + ".new", *options)
        os.rename(binary + ".new", binary)

    def go_build(self, sources, package, binary, *options):
        go = os.path.join(self.go, "bin", "go")
        self.run(go, "build", *options, "-o", binary, package, folder=sources, **self.variables(sources))

    def variables(self, sources):
        search = os.path.join(self.go, "bin") + ":" + SEARCH_PATH
        return {
            **{"GOROOT": self.go, "GOPATH": os.path.join(self.folder, "path"), "PATH": search, "PWD": sources},
            **{"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
            "GOCACHE": os.path.join(self.folder, "compiled"),
        }


def mirror():
    """The archive that debootstrap takes when none is named."""
    found = [re.search(r"https?://[^\s\"]+/debian\b", read(path)) for path in DEBOOTSTRAP]
    return next(one[0] for one in found if one)


def set_version(path, version):
    """Writes what the programs say of themselves; the sources know their commit alone."""
    major, minor, _ = version.split(".")
    text = read(path)
    for name, value in (("gitVersion", "v" + version), ("gitMajor", major), ("gitMinor", minor)):
        text = re.sub(rf"^\t{name}\b[^/\n]*", f'\t{name} = "{value}" ', text, flags=re.M)
    write(os.path.dirname(path), os.path.basename(path), text)


def architecture():
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
