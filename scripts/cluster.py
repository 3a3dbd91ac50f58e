"""What kubernetes-test needs of a cluster: its programs, started for as long as the test runs.

It leaves to cluster_build how they are made, and to kubernetes-test what is checked. Everything listens on 127.0.0.1,
but for what a node opens in a network of its own. Standard library only; Linux only.
"""

import contextlib
import glob
import hashlib
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import time
import urllib.request

from containers import USER, free_port, note, read, write
from rig import die_with_parent, end

# Longest wait for any one thing to happen, in seconds; a loaded machine needs half a minute to start an API server.
PATIENCE_S = 120
# And for what was killed to be gone.
GROUPS_PATIENCE_S = 10
API_SERVER = "kube-apiserver"
CONTROLLERS = ["kube-controller-manager", "kube-scheduler"]
KUBELET = "kubelet"
# Where programs are looked for; some lie where only root looks.
SEARCH_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin:/sbin"
# Ours alone, for as long as the API server runs.
TOKEN = "kubernetes-test"
SERVICE_RANGE = "10.96.0.0/16"
NODE = "node"
NODE_ADDRESS = "10.77.0.1"
POD_RANGE = "10.88.0.0/24"
PAUSE = "localhost/pause:1"
# Where kubelets, network plugins and logs of pods have folders that no setting moves.
FIXED_FOLDERS = ["/var/lib/kubelet", "/var/lib/cni", "/var/log"]
PLUGINS = "/usr/lib/cni"
# The restricted profile of the Pod Security Standards, and a read-only root beyond it.
RESTRICTED_POLICY = {
    "apiVersion": "policy/v1beta1",
    "kind": "PodSecurityPolicy",
    "metadata": {
        "name": "restricted",
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "runtime/default"},
    },
    "spec": {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "requiredDropCapabilities": ["ALL"],
        "readOnlyRootFilesystem": True,
        **{"hostNetwork": False, "hostIPC": False, "hostPID": False},
        "volumes": ["configMap", "emptyDir", "projected", "secret", "downwardAPI", "persistentVolumeClaim"],
        "runAsUser": {"rule": "MustRunAsNonRoot"},
        "seLinux": {"rule": "RunAsAny"},
        "supplementalGroups": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 65535}]},
        "fsGroup": {"rule": "MustRunAs", "ranges": [{"min": 1, "max": 65535}]},
    },
}


# --- Programs


class Programs:
    """Where each program is: in the folder, else wherever the machine has it."""

    def __init__(self, folder):
        self.folder = folder

    def find(self, name):
        inside = os.path.join(self.folder, name)
        return inside if os.access(inside, os.X_OK) else shutil.which(name, path=SEARCH_PATH)

    def missing(self, *names):
        return [name for name in names if not self.find(name)]


# --- The API server and what acts for it


class Cluster:
    """An API server with its etcd, and kubectl as an administrator of it."""

    def __init__(self, stack, programs, folder, namespace):
        self.stack, self.programs, self.folder, self.namespace = stack, programs, folder, namespace
        self.kubeconfig = os.path.join(folder, "kubeconfig")
        self.processes = {}

    def start(self):
        """Starts both; gives the seconds until the API server was ready."""
        started = time.monotonic()
        etcd, peers, self.port = free_port(), free_port(), free_port()
        here = "http://127.0.0.1"
        self.run(
            *("etcd", "--data-dir", os.path.join(self.folder, "etcd"), "--initial-cluster", f"default={here}:{peers}"),
            *("--listen-client-urls", f"{here}:{etcd}", "--advertise-client-urls", f"{here}:{etcd}"),
            *("--listen-peer-urls", f"{here}:{peers}", "--initial-advertise-peer-urls", f"{here}:{peers}"),
        )
        self.make_keys()
        self.run(
            *("kube-apiserver", f"--etcd-servers={here}:{etcd}", "--bind-address=127.0.0.1", f"--secure-port={self.port}"),
            # Else it looks for the way to the world.
            "--advertise-address=127.0.0.1",
            f"--cert-dir={self.folder}/certificates",
            # It is at no address that pods could reach, and none asks.
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--token-auth-file={self.folder}/tokens",
            "--authorization-mode=RBAC",
            # The node's name is known to no name server.
            "--kubelet-preferred-address-types=InternalIP",
            *("--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={self.key}"),
            f"--service-account-signing-key-file={self.key}",
            *(["--enable-admission-plugins=PodSecurityPolicy"] if self.has_policies() else []),
        )
        wait_for("an API server", self.is_ready, self)
        return time.monotonic() - started

    def make_keys(self):
        self.key = os.path.join(self.folder, "accounts.key")
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        write(self.folder, "tokens", f"{TOKEN},admin,admin,system:masters\n")
        server = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        write(self.folder, "kubeconfig", configuration)

    def is_ready(self):
        context = ssl.create_default_context()
        # It has made its certificate by itself, a moment ago.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}/readyz")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(request, timeout=5, context=context).read() == b"ok"

    def start_controllers(self):
        always = [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1"]
        for name, ports in (("kube-controller-manager", [free_port()]), ("kube-scheduler", [free_port()])):
            options = [*always, f"--secure-port={ports[0]}", f"--cert-dir={self.folder}/certificates"]
            # An open port beside it, until Kubernetes 1.23.
            if "--port int" in self.help(name):
                options.append("--port=0")
            if name == "kube-controller-manager":
                options.append(f"--service-account-private-key-file={self.key}")
            self.run(name, *options)

    def has_policies(self):
        """Until Kubernetes 1.24, what pods must be was said by objects of the cluster."""
        return "PodSecurityPolicy" in self.help("kube-apiserver")

    def allow_restricted_pods(self):
        """Allows pods of the restricted profile and no others, where labels of the namespace do not say so."""
        if self.has_policies():
            self.must("apply", "--filename", "-", text=json.dumps(RESTRICTED_POLICY))

    def help(self, name):
        return subprocess.run([self.programs.find(name), "--help"], capture_output=True, text=True).stdout

    def run(self, name, *options, **variables):
        """Starts a program that ends with the test; what it says goes to a file."""
        with open(os.path.join(self.folder, name + ".log"), "wb") as log:
            process = subprocess.Popen(
                [self.programs.find(name), *options],
                cwd=self.folder,
                env={"HOME": self.folder, "PATH": self.programs.folder + ":" + SEARCH_PATH, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self.processes[name] = process
        self.stack.callback(end, process)

    def kubectl(self, *arguments, text=None):
        """What kubectl says, and its status."""
        environment = {**os.environ, "KUBECONFIG": self.kubeconfig, "HOME": self.folder}
        command = [self.programs.find("kubectl"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, input=text, env=environment, cwd=self.folder, timeout=PATIENCE_S
        )

    def read(self, thing):
        """An object, such as pod/a."""
        return json.loads(self.must("get", thing, "--namespace", self.namespace, "--output", "json"))

    def list(self, kinds):
        return self.read(kinds)["items"]

    def must(self, *arguments, text=None):
        done = self.kubectl(*arguments, text=text)
        if done.returncode != 0:
            raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def logs(self):
        """What has become of the pods, and the end of what each program has said."""
        for thing in ("pods", "persistentvolumeclaims", "persistentvolumes", "events"):
            note(self.kubectl("get", thing, "--namespace", self.namespace, "--output", "wide").stdout)
        names = sorted(name for name in os.listdir(self.folder) if name.endswith(".log"))
        return "\n".join(f"-- {name}\n{read(os.path.join(self.folder, name))[-3000:]}" for name in names)


def wait_for(what, condition, cluster, patience_s=PATIENCE_S):
    """What the condition gives as soon as it gives something."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        ended = [name for name, process in cluster.processes.items() if process.poll() is not None]
        if ended:
            note(cluster.logs())
            raise SystemExit(f"{', '.join(ended)} ended before {what}")
        time.sleep(0.2)
    note(cluster.logs())
    raise SystemExit(f"waited {patience_s} s in vain for {what}")


# --- A node


class Node:
    """A kubelet and its runtime in a network of their own, where pods of our image really run."""

    def __init__(self, cluster, exporter):
        self.cluster, self.exporter = cluster, exporter
        self.folder = cluster.folder
        self.socket = os.path.join(self.folder, "containerd.sock")
        self.kubelet_folder = os.path.join(self.folder, "kubelet")

    def start(self, image):
        """Starts it, with the exporter as this image; gives the seconds until it was ready."""
        started = time.monotonic()
        os.makedirs(self.kubelet_folder)
        # The kubelet shows pods what is mounted later only where mounts are shared.
        mount("--bind", self.kubelet_folder, self.kubelet_folder)
        mount("--make-rshared", self.kubelet_folder)
        for folder in FIXED_FOLDERS:
            os.makedirs(folder, exist_ok=True)
            mount("-t", "tmpfs", "none", folder)
        for command in ("link add node0 type bridge", f"address add {NODE_ADDRESS}/24 dev node0", "link set node0 up"):
            subprocess.run(["ip", *command.split()], check=True)
        write("/proc/sys/net/ipv4", "ip_forward", "1")
        self.start_runtime(image)
        self.start_kubelet()
        wait_for("a ready node", self.is_ready, self.cluster)
        return time.monotonic() - started

    def start_runtime(self, image):
        write(self.folder, "containerd.toml", self.runtime_configuration())
        plugins = os.path.join(self.folder, "plugins")
        os.makedirs(plugins)
        addresses = {"type": "host-local", "ranges": [[{"subnet": POD_RANGE}]], "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipam": addresses}
        write(plugins, "pods.conflist", {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})
        self.cluster.run("containerd", "--config", os.path.join(self.folder, "containerd.toml"))
        wait_for("a runtime", lambda: self.ctr("version").returncode == 0, self.cluster)
        # A pod is held together by a process that waits.
        self.load(PAUSE, shutil.which("busybox"), ["/busybox", "sleep", "2147483647"], "0:0")
        self.load(image, self.exporter, ["/saas-exporter"], f"{USER}:{USER}")

    def runtime_configuration(self):
        runc = shutil.which("runc", path=SEARCH_PATH)
        return f"""
version = 2
root = "{self.folder}/runtime"
state = "{self.folder}/runtime-state"
[grpc]
address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Without CAP_SYS_RESOURCE no process may be made more precious than its parent.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{self.folder}/plugins"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{runc}"
"""

    def start_kubelet(self):
        configuration = {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "address": NODE_ADDRESS,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "readOnlyPort": 0,
            # No control groups but those of the containers themselves.
            **{"cgroupDriver": "cgroupfs", "cgroupsPerQOS": False},
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "oomScoreAdj": 0,
            # Whatever disk the machine has left is enough.
            "evictionHard": {"memory.available": "1Mi"},
            "imageGCHighThresholdPercent": 100,
            # A changed Secret reaches its pods at once.
            "syncFrequency": "1s",
            # Nobody answers there, and nobody asks.
            "clusterDNS": [NODE_ADDRESS],
            "resolvConf": write(self.folder, "resolv.conf", f"nameserver {NODE_ADDRESS}\n"),
        }
        options = [
            f"--config={write(self.folder, 'kubelet.json', configuration)}",
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--root-dir={self.kubelet_folder}",
            f"--cert-dir={self.folder}/certificates",
            *(f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}"),
            f"--container-runtime-endpoint=unix://{self.socket}",
        ]
        # Had to be said until Kubernetes 1.26.
        if "--container-runtime string" in self.cluster.help("kubelet"):
            options.append("--container-runtime=remote")
        self.cluster.run("kubelet", *options)

    def ctr(self, *arguments):
        command = [self.cluster.programs.find("ctr"), "--address", self.socket, "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)

    def load(self, name, binary, entry, user):
        """Gives the runtime an image with this one binary, made as the last stage of our Dockerfile is."""
        path = os.path.join(self.folder, "image.tar")
        make_image(path, name, binary, entry, user)
        done = self.ctr("images", "import", path)
        if done.returncode != 0:
            raise SystemExit(f"ctr images import: {done.stderr.strip()}")

    def is_ready(self):
        nodes = self.cluster.list("nodes")
        conditions = [condition for node in nodes for condition in node["status"].get("conditions", [])]
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    def stop(self):
        """Ends what the runtime runs, whatever the kubelet or the API server think of it."""
        if "kubelet" in self.cluster.processes:
            end(self.cluster.processes["kubelet"])
        for name in self.ctr("tasks", "list", "--quiet").stdout.split():
            self.ctr("tasks", "delete", "--force", name)


def groups():
    """The control groups below which a runtime has its containers, one in each hierarchy."""
    return {path for place in ("", "*/") for path in glob.glob(f"/sys/fs/cgroup/{place}k8s.io")}


def remove_groups(tops):
    """Removes these, as soon as all that ran there has ended; what was killed takes a moment."""
    deadline = time.monotonic() + GROUPS_PATIENCE_S
    while any(map(os.path.exists, tops)) and time.monotonic() < deadline:
        for top in tops:
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        time.sleep(0.05)


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def make_image(path, name, binary, entry, user):
    """An archive as `docker save` makes it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        program = tarfile.TarInfo(entry[0].lstrip("/"))
        program.mode, program.size = 0o755, os.path.getsize(binary)
        with open(binary, "rb") as file:
            archive.addfile(program, file)
        cache = tarfile.TarInfo("cache")
        cache.type, cache.mode, cache.uid, cache.gid = tarfile.DIRTYPE, 0o755, USER, USER
        archive.addfile(cache)
    layer = layer.getvalue()
    digest = hashlib.sha256(layer).hexdigest()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    configuration = {
        **{"architecture": machine, "os": "linux"},
        "config": {"User": user, "Entrypoint": entry, "WorkingDir": "/", "Volumes": {"/cache": {}}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "kubernetes-test"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(configuration), "manifest.json": json.dumps(manifest)}
    with tarfile.open(path, "w") as archive:
        for inside, content in {**files, "layer.tar": layer}.items():
            content = content if isinstance(content, bytes) else content.encode()
            entry = tarfile.TarInfo(inside)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
