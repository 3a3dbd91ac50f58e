"""What a release says of the parts of others in its binary: a CycloneDX SBOM, and the texts of their licences.

It leaves to scripts/release what is built and packed. What is linked is asked of cargo, checksums come from Cargo.lock,
texts from the sources that cargo has unpacked; the C library and the Rust standard library, which are linked statically,
are asked of dpkg and rustc. The same sources on the same machine give the same bytes.
"""

import hashlib
import json
import os
import re
import subprocess
import tomllib
import uuid

# Files of a crate, or of a folder of licences, that are texts of a licence or notices that must be kept.
LICENCE_FILE = re.compile(r"^(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)
# The older crates separate alternatives by a slash, which SPDX no longer knows.
SLASH = re.compile(r"\s*/\s*")
RULE = "-" * 100
# Whatever is a UUID of this name and the content is the same for the same content.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/saas-exporter/saas-exporter")


def linked(source, target):
    """The parts in the binary, the program first: dictionaries of name, version, licence, purl, sha256, url, texts, needs."""
    graph = json.loads(output(["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"], source))
    checksums = lock_checksums(source)
    # Metadata joins the features of tests and build scripts to those of the program; only the tree knows what is linked.
    tree = ["cargo", "tree", "--locked", "--edges=normal,no-proc-macro", f"--target={target}", "--prefix=none"]
    names = {tuple(line.split()[:2]) for line in output(tree, source).splitlines() if line}
    packages = {package["id"]: package for package in graph["packages"] if key(package) in names}
    parts = []
    for node in graph["resolve"]["nodes"]:
        package = packages.get(node["id"])
        if package is None:
            continue
        needs = [need["pkg"] for need in node["deps"] if any(kind["kind"] is None for kind in need["dep_kinds"])]
        parts.append(
            {
                "name": package["name"],
                "version": package["version"],
                "licence": SLASH.sub(" OR ", package["license"]),
                "purl": f"pkg:cargo/{package['name']}@{package['version']}",
                "sha256": checksums.get(key(package)),
                "url": package["repository"],
                "texts": texts_in(os.path.dirname(package["manifest_path"])),
                "needs": sorted(f"pkg:cargo/{packages[need]['name']}@{packages[need]['version']}" for need in needs if need in packages),
                "root": node["id"] == graph["resolve"]["root"],
            }
        )
    parts.sort(key=lambda part: (not part["root"], part["name"], part["version"]))
    parts[0]["texts"] = []
    return parts + [standard_library(), *c_libraries()]


def key(package):
    return package["name"], f"v{package['version']}"


def lock_checksums(source):
    with open(os.path.join(source, "Cargo.lock"), "rb") as file:
        return {key(package): package.get("checksum") for package in tomllib.load(file)["package"]}


def texts_in(folder):
    """The licence texts in a folder, each as it stands but for the ends of its lines."""
    names = sorted(name for name in os.listdir(folder) if LICENCE_FILE.match(name))
    return [text(os.path.join(folder, name)) for name in names if os.path.isfile(os.path.join(folder, name))]


def text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "\n".join(line.rstrip() for line in file.read().strip("\ufeff\r\n").splitlines())


def standard_library():
    version = output(["rustc", "--version"]).split()[1]
    folder = os.path.join(output(["rustc", "--print", "sysroot"]).strip(), "share", "doc", "rust", "licenses")
    return part_of_system(
        "rust-std",
        version,
        "MIT OR Apache-2.0",
        f"pkg:generic/rust-std@{version}",
        "https://github.com/rust-lang/rust",
        [text(os.path.join(folder, f"{name}.txt")) for name in ["MIT", "Apache-2.0"]],
    )


def c_libraries():
    """glibc, and the part of gcc that unwinds, as Debian or Ubuntu packed what the linker took."""
    with open("/etc/os-release") as file:
        system = re.search(r'^ID="?(\w+)"?$', file.read(), re.MULTILINE).group(1)
    wanted = [
        ("libc.a", "LGPL-2.1-or-later", "https://sourceware.org/glibc/", ["LGPL-2.1"]),
        ("libgcc_eh.a", "GPL-3.0-or-later WITH GCC-exception-3.1", "https://gcc.gnu.org/", ["GPL-3"]),
    ]
    for file, licence, url, common in wanted:
        path = os.path.realpath(output(["gcc", f"-print-file-name={file}"]).strip())
        # dpkg may know the file by the name that it had before /usr was merged.
        package = output(["dpkg-query", "--search", f"*{path.removeprefix('/usr')}"]).split(": ")[0].split(":")[0]
        version = output(["dpkg-query", "--show", "--showformat=${Version}", package])
        texts = [text(f"/usr/share/doc/{package}/copyright")]
        texts += [text(f"/usr/share/common-licenses/{name}") for name in common]
        yield part_of_system(package, version, licence, f"pkg:deb/{system}/{package}@{version.replace('+', '%2B')}", url, texts)


def part_of_system(name, version, licence, purl, url, texts):
    return {
        "name": name,
        "version": version,
        "licence": licence,
        "purl": purl,
        "sha256": None,
        "url": url,
        "texts": texts,
        "needs": [],
        "root": False,
    }


def licences(parts):
    """All texts, each once, with the parts that it belongs to."""
    program, *others = parts
    users = {}
    for part in others:
        if not part["texts"]:
            raise SystemExit(f"{part['name']} {part['version']} has no licence text")
        for each in part["texts"]:
            users.setdefault(each, []).append(f"{part['name']} {part['version']}")
    lines = [
        f"{program['name']} {program['version']} is {program['licence']}. Its binary also holds these parts, under these licences:",
        "",
    ]
    lines += [f"* {part['name']} {part['version']}: {part['licence']}, {part['url']}" for part in others]
    lines += [
        "",
        "The GNU C library is linked statically. To run the program with another version of it, build the program from its",
        "source, which is all published; README.md, \"Building and licence\".",
    ]
    for each, names in users.items():
        lines += ["", RULE, *wrapped(names), RULE, "", each]
    return "\n".join(lines) + "\n"


def wrapped(names):
    """The names with commas, in lines no longer than the rule."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) + 2 > len(RULE):
            lines.append("")
        lines[-1] += name + ", "
    return [line.rstrip() for line in lines[:-1]] + [lines[-1].rstrip(", ")]


def sbom(parts, target, moment, binary):
    """A CycloneDX 1.5 document, in JSON; `moment` is the time stamp and `binary` the path of what it describes."""
    program, *others = parts
    digest = sha256(binary)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": "urn:uuid:" + str(uuid.uuid5(NAMESPACE, f"{program['purl']} {target} {digest}")),
        "version": 1,
        "metadata": {
            "timestamp": moment,
            "component": {
                **component(program, "application"),
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "properties": [{"name": "target", "value": target}],
            },
        },
        "components": [component(part, "library") for part in others],
        "dependencies": [{"ref": part["purl"], "dependsOn": part["needs"]} for part in parts],
    }
    # What is linked to everything.
    document["dependencies"][0]["dependsOn"] += [part["purl"] for part in others if not part["purl"].startswith("pkg:cargo/")]
    return json.dumps(document, indent=2) + "\n"


def component(part, kind):
    found = {
        "type": kind,
        "bom-ref": part["purl"],
        "name": part["name"],
        "version": part["version"],
        "licenses": [{"expression": part["licence"]}],
        "purl": part["purl"],
    }
    if part["sha256"]:
        found["hashes"] = [{"alg": "SHA-256", "content": part["sha256"]}]
    if part["url"]:
        found["externalReferences"] = [{"type": "vcs" if "git" in part["url"] else "website", "url": part["url"]}]
    return found


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def output(command, folder=None):
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
