//! A running `mck8s up`, and a `kubectl` for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take to be seen.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running `mck8s up`.
pub struct Session {
    process: Child,
    folder: PathBuf,
}

impl Session {
    /// Starts it in a folder of its own.
    pub fn start(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_mck8s"))
            .args(["up", "--listen=127.0.0.1:0", "--members=3", "--nodes=3"])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let session = Self { process, folder };
        let hub = session.on("hub");
        let members = ["get", "memberclusters", "-o", "name"];
        hub.until(&members, |said| said.lines().count() == 3);
        session
    }

    /// `kubectl` in a context.
    pub fn on(&self, context: &str) -> Kubectl {
        Kubectl {
            context: context.to_owned(),
            folder: self.folder.clone(),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// `kubectl` in a context.
pub struct Kubectl {
    context: String,
    folder: PathBuf,
}

impl Kubectl {
    /// What a command says. It must succeed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let (good, said) = self.run(arguments);
        assert!(good, "{} {arguments:?}: {said}", self.context);
        said
    }

    /// The same, and these texts must stand in it.
    #[track_caller]
    pub fn says(&self, arguments: &[&str], expected: &[&str]) {
        let said = self.ok(arguments);
        self.check(arguments, &said, expected);
    }

    /// It must fail, and say this.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str], expected: &[&str]) {
        let (good, said) = self.run(arguments);
        assert!(!good, "{} {arguments:?}: {said}", self.context);
        self.check(arguments, &said, expected);
    }

    /// Runs it again and again until it says what is wanted.
    #[track_caller]
    pub fn until(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let (good, said) = self.run(arguments);
            if good && wanted(&said) {
                return said;
            }
            assert!(
                Instant::now() < end,
                "{} {arguments:?}: {said}",
                self.context
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes a file for commands to read, and gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Edits an object with a script of `sed`.
    #[track_caller]
    pub fn edits(&self, object: &[&str], script: &str, expected: &str) {
        let arguments = [&["edit"], object].concat();
        let mut command = self.command(&arguments);
        let editor = self.file("editor", &format!("#!/bin/sh\nsed -i '{script}' \"$1\"\n"));
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        let output = command.env("KUBE_EDITOR", editor).output().unwrap();
        let said = text(&output);
        assert!(output.status.success() && said.contains(expected), "{said}");
    }

    /// Watches until the command has said that many lines, while something is done.
    #[track_caller]
    pub fn watches(&self, arguments: &[&str], lines: usize, act: impl FnOnce()) -> Vec<String> {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let (send, receive) = std::sync::mpsc::channel();
        let reader = thread::spawn(move || {
            let seen = std::io::BufRead::lines(output).map_while(Result::ok);
            seen.for_each(|line| drop(send.send(line)));
        });
        // The first line says that the watch has begun.
        let mut seen = vec![receive.recv_timeout(PATIENCE).unwrap()];
        act();
        while seen.len() < lines {
            match receive.recv_timeout(PATIENCE) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{arguments:?}: {error} after {seen:?}"),
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        seen
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.success(), text(&output))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(self.folder.join("data").join("kubeconfig"))
            .args(["--context", &self.context])
            .args(arguments)
            .env("KUBECACHEDIR", self.folder.join("cache"))
            .env("KUBECTL_KUBERC", "false")
            .env("HOME", &self.folder)
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], said: &str, expected: &[&str]) {
        // Columns are as wide as their cells.
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in expected {
            let found = words.contains(text);
            assert!(
                found,
                "{} {arguments:?} lacks {text:?}: {said}",
                self.context
            );
        }
    }
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
