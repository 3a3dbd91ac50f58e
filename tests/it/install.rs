//! deploy/systemd/install, into a root of its own: nothing is started, everything else is done.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::exporter::Folder;

struct Root(Folder);

const SERVICES: &str = "etc/saas-exporter/services.json";
const ENVIRONMENT: &str = "etc/saas-exporter/saas-exporter.env";
const BINARY: &str = "usr/local/bin/saas-exporter";

impl Root {
    fn new() -> Root {
        Root(Folder::new("install"))
    }

    /// Exit status and output.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/install");
        let output = Command::new(script)
            .args(arguments)
            .env("DESTDIR", &self.0.0)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.code().unwrap(), text)
    }

    fn install(&self) -> (i32, String) {
        self.run(&["--binary", env!("CARGO_BIN_EXE_saas-exporter")])
    }

    /// Path, mode and identity of every file.
    fn files(&self) -> Vec<(String, u32, u64)> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let data = entry.metadata().unwrap();
                if data.is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    let path = path.strip_prefix(&self.0.0).unwrap();
                    let mode = data.permissions().mode() & 0o7777;
                    found.push((path.display().to_string(), mode, data.ino()));
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn everything_has_its_place_and_a_second_run_changes_nothing() {
    let root = Root::new();
    let (status, text) = root.install();
    assert_eq!(status, 0, "{text}");
    let files = root.files();
    let modes: Vec<(&str, u32)> = files
        .iter()
        .map(|(path, mode, _)| (path.as_str(), *mode))
        .collect();
    let expected = [
        (ENVIRONMENT, 0o600),
        (SERVICES, 0o644),
        (BINARY, 0o755),
        ("usr/local/lib/systemd/system/saas-exporter.service", 0o644),
        ("usr/local/lib/systemd/system/saas-exporter.socket", 0o644),
        ("usr/local/share/saas-exporter/saas-exporter.env", 0o644),
        ("usr/local/share/saas-exporter/services.json", 0o644),
    ];
    assert_eq!(modes, expected);
    assert!(root.0.path("etc/saas-exporter/credentials").is_dir());

    let (status, text) = root.install();
    assert_eq!((status, root.files()), (0, files), "{text}");
}

#[test]
fn what_was_edited_is_kept_and_what_was_not_is_renewed() {
    let root = Root::new();
    assert_eq!(root.install().0, 0);
    let own = r#"{"own": {"name": "Own", "url": "https://own.example"}}"#;
    root.0.write(SERVICES, own);
    // As an older version would have shipped it, and nobody touched it.
    for path in [
        ENVIRONMENT,
        "usr/local/share/saas-exporter/saas-exporter.env",
    ] {
        root.0.write(path, "# old\n");
    }
    let (status, text) = root.install();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("services.json, which was edited"), "{text}");
    assert!(text.contains("\"Own\" at https://own.example/"), "{text}");
    assert_eq!(root.0.read(SERVICES), own);
    assert!(root.0.read(ENVIRONMENT).contains("#METRICS_PORT=9001"));
}

#[test]
fn the_static_binary_of_this_machine_is_found_where_cargo_puts_it() {
    let (root, tree) = (Root::new(), Folder::new("tree"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "deploy/systemd/install",
        "deploy/systemd/saas-exporter.env",
        "deploy/systemd/saas-exporter.service",
        "deploy/systemd/saas-exporter.socket",
        "services.json.example",
    ] {
        tree.write(name, "");
        std::fs::copy(here.join(name), tree.path(name)).unwrap();
    }
    let machine = Command::new("uname").arg("-m").output().unwrap().stdout;
    let machine = String::from_utf8(machine).unwrap();
    let built = format!("target/{}-unknown-linux-gnu/release", machine.trim());
    tree.write(&format!("{built}/saas-exporter"), "");
    let binary = env!("CARGO_BIN_EXE_saas-exporter");
    std::fs::copy(binary, tree.path(&built).join("saas-exporter")).unwrap();

    let output = Command::new(tree.path("deploy/systemd/install"))
        .env("DESTDIR", &root.0.0)
        .output()
        .unwrap();

    assert!(output.status.success(), "{output:?}");
    assert!(root.0.path(BINARY).exists());
}

#[test]
fn a_configuration_that_the_new_binary_refuses_leaves_the_old_one_in_place() {
    let root = Root::new();
    root.0.write(SERVICES, r#"{"own": {"name": "Own"}}"#);
    root.0.write(BINARY, "the old one");
    let before = root.files();
    let (status, text) = root.install();
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("field \"url\": is missing"), "{text}");
    assert_eq!(root.files(), before);
}

#[test]
fn the_check_knows_the_environment_file_and_the_credentials() {
    let root = Root::new();
    let services = r#"{"own": {"name": "Own", "url": "https://own.example",
        "headers": {"X-Key": {"file": "${CREDENTIALS_DIRECTORY}/secret_key"}}}}"#;
    root.0.write(SERVICES, services);
    root.0
        .write(ENVIRONMENT, "# a comment\nLOG_LEVEL=\"loud\"\n");
    let (status, text) = root.install();
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("LOG_LEVEL=loud"), "{text}");
    assert!(text.contains("secret_key cannot be read"), "{text}");

    root.0.write("etc/saas-exporter/credentials/key", "k");
    root.0.write(ENVIRONMENT, "LOG_LEVEL='debug'\n");
    let (status, text) = root.install();
    assert_eq!(status, 0, "{text}");
}

#[test]
fn it_is_removed_without_the_configuration_or_with_it() {
    let root = Root::new();
    assert_eq!(root.install().0, 0);
    root.0
        .write("var/cache/private/saas-exporter/own.state", "x");
    let (status, text) = root.run(&["--uninstall"]);
    assert_eq!(status, 0, "{text}");
    let left: Vec<String> = root.files().into_iter().map(|file| file.0).collect();
    assert_eq!(
        left,
        [
            ENVIRONMENT,
            SERVICES,
            "var/cache/private/saas-exporter/own.state"
        ]
    );
    let (status, text) = root.run(&["--uninstall", "--purge"]);
    assert_eq!((status, root.files().len()), (0, 0), "{text}");
    assert_eq!(root.run(&["--uninstall"]).0, 0, "once more does no harm");
}

#[test]
fn a_wrong_argument_changes_nothing() {
    let root = Root::new();
    assert_eq!(root.run(&["--unistall"]).0, 2);
    assert_eq!(root.files().len(), 0);
}
