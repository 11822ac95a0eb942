//! A laboratory under test: the program in a process, its data folder, and what a client says to it.

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use study::{Dataset, Event, SegmentKey};
use tempfile::TempDir;
use tokio::time::timeout;

/// Nothing here takes this long unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(300);
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_stillroom");

/// Images cut from the built-in ones, in their official format, and a place for data folders.
pub struct Bench {
    pub folder: TempDir,
}

pub struct Laboratory {
    process: Child,
    pub url: String,
    pub data_dir: PathBuf,
    pub client: Client,
}

impl Bench {
    /// 500 training images, of which studies hold out 100, and 100 test images.
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let images = train::dataset::load(Dataset::FashionMnist12k, None, Some(0)).expect("the built-in images");
        let small = folder.path().join("images");
        fs::create_dir(&small).expect("a folder");
        for (name, split, count) in [("train", &images.train, 500), ("t10k", &images.test, 100)] {
            let pixels = 28 * 28;
            write_idx(
                &small.join(format!("{name}-images-idx3-ubyte")),
                &[count, 28, 28],
                &split.images[..count * pixels],
            );
            write_idx(&small.join(format!("{name}-labels-idx1-ubyte")), &[count], &split.labels[..count]);
        }
        Bench { folder }
    }

    /// The program, told where these images are.
    pub fn command(&self, name: &str, data_dir: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        let images = self.folder.path().join("images");
        command.arg(name).arg("--data-dir").arg(self.data_dir(data_dir));
        command.arg("--dataset").arg(format!("fashion-mnist={}", images.display()));
        // What a developer's shell says is not what is tested.
        for (variable, _) in std::env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"STILLROOM_") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file is written");
        path
    }

    pub fn serve(&self, data_dir: &str) -> Laboratory {
        self.serve_with(data_dir, &[], &[])
    }

    pub fn serve_with(&self, data_dir: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Laboratory {
        let mut command = self.command("serve", data_dir);
        command.args(arguments).envs(environment.iter().copied());
        self.start(command, data_dir)
    }

    /// Starts a server and waits until it says where it is.
    pub fn start(&self, mut command: Command, data_dir: &str) -> Laboratory {
        command.args(["--port", "0", "--threads", "2"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().expect("its output")).read_line(&mut line).expect("its output is text");
        let url = line.trim().strip_prefix("Stillroom is at ").expect("it says where it is").to_owned();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Laboratory { process, url, data_dir: self.data_dir(data_dir), client }
    }
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("the program starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command printed with `--json`.
pub fn object(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", text(bytes)))
}

/// The IDX format: two zeros, 8 for bytes, the number of dimensions, their sizes, the bytes.
fn write_idx(path: &Path, sizes: &[usize], bytes: &[u8]) {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    file.extend(sizes.iter().flat_map(|size| (*size as u32).to_be_bytes()));
    file.extend(bytes);
    fs::write(path, file).expect("a file is written");
}

/// A study of these images: labels alone and KD, one teacher.
pub fn study(title: &str, epochs: u32, kd_stop_epochs: &str) -> String {
    format!(
        r#"
        title = "{title}"
        dataset = "fashion-mnist"
        validation = 100
        seeds = 2
        [student]
        architecture = "wrn-10-1"
        epochs = {epochs}
        [teacher]
        architecture = "wrn-10-1"
        epochs = 3
        [treatment]
        kd_stop_epoch = {kd_stop_epochs}
        [recipe]
        batch_size = 50
        device = "cpu"
        "#
    )
}

impl Laboratory {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.expect("JSON")
    }

    pub async fn status(&self, request: RequestBuilder) -> StatusCode {
        request.send().await.expect("an answer").status()
    }

    pub async fn create(&self, study: &str) -> u64 {
        let response =
            self.request(Method::POST, "/api/v1/studies").body(study.to_owned()).send().await.expect("an answer");
        let status = response.status();
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["id"].as_u64().expect("an id")
    }

    /// Waits until something holds of a study, asking again whenever the server says that something changed.
    pub async fn until(&self, id: u64, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let waited = timeout(DEADLINE, async {
            let mut events = self.request(Method::GET, "/events").send().await.expect("a stream");
            loop {
                let study = self.get(&format!("/api/v1/studies/{id}")).await;
                if holds(&study) {
                    return study;
                }
                events.chunk().await.expect("the stream goes on").expect("the server still runs");
            }
        });
        match waited.await {
            Ok(study) => study,
            Err(_) => panic!("waited for: {what}; {:#}", self.get(&format!("/api/v1/studies/{id}")).await["progress"]),
        }
    }

    pub async fn until_finished(&self, id: u64) -> Value {
        let over = |study: &Value| ["finished", "failed"].iter().any(|state| study["progress"]["state"] == *state);
        let study = self.until(id, "the study to end", over).await;
        assert_eq!(study["progress"]["state"], "finished", "{:#}", study["progress"]);
        // The last epoch is told before its clean pass is made, its best one tested, and its checkpoint lies there.
        let finished = |key: &SegmentKey| matches!(self.events(key).last(), Some(Event::Finished { .. }));
        let all = |study: &Value| study["working"] == 0 && self.segments().iter().all(finished);
        self.until(id, "workers to end", all).await
    }

    pub fn segments(&self) -> Vec<SegmentKey> {
        let folders = fs::read_dir(self.data_dir.join("segments")).expect("the segments' folder");
        let mut keys: Vec<_> =
            folders.map(|entry| SegmentKey(text(entry.expect("an entry").file_name().as_encoded_bytes()))).collect();
        keys.sort();
        keys
    }

    pub fn segment_folder(&self, key: &SegmentKey) -> PathBuf {
        self.data_dir.join("segments").join(&key.0)
    }

    /// What workers said of a segment.
    pub fn events(&self, key: &SegmentKey) -> Vec<Event> {
        train::folder::read_events(&self.segment_folder(key), 0).expect("events can be read").0
    }

    /// Processes of workers that are alive, and what they train.
    pub fn workers(&self) -> BTreeMap<u32, SegmentKey> {
        let alive = |key: &SegmentKey| train::worker::is_working(&self.segment_folder(key));
        let process = |key: SegmentKey| {
            let told = self.events(&key).into_iter().rev().find_map(|event| match event {
                Event::Started { process, .. } => Some(process),
                _ => None,
            });
            Some((told?, key))
        };
        self.segments().into_iter().filter(alive).filter_map(process).collect()
    }

    /// Kills the server, as a power cut would, and leaves its workers alone.
    pub fn kill(mut self) {
        self.process.kill().expect("the server is killed");
        self.process.wait().expect("the server is gone");
    }

    /// Asks the server to stop and waits until it has.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _ = signal(self.process.id(), Signal::TERM);
            let _ = self.process.wait();
        }
    }
}

/// Sends a signal to one process.
pub fn signal(process: u32, signal: Signal) -> rustix::io::Result<()> {
    kill_process(Pid::from_raw(process as i32).expect("not process 0"), signal)
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        self.end();
        // Whatever it still said belongs to a failing test's output.
        let mut rest = String::new();
        if let Some(output) = self.process.stdout.as_mut() {
            let _ = output.read_to_string(&mut rest);
        }
        eprint!("{rest}");
    }
}

/// A study's metrics without what depends on the clock.
pub async fn timeless_metrics(laboratory: &Laboratory, id: u64) -> Value {
    let mut metrics = laboratory.get(&format!("/api/v1/studies/{id}/metrics.json")).await;
    for trainings in ["runs", "teachers"] {
        for training in metrics[trainings].as_array_mut().expect("trainings") {
            for epoch in training["epochs"].as_array_mut().expect("epochs") {
                let epoch = epoch.as_object_mut().expect("an epoch's metrics");
                epoch.remove("seconds").expect("seconds");
                epoch.remove("images_per_second").expect("images a second");
            }
        }
    }
    metrics
}

/// The numbers in a checkpoint: the file without its header, in which the provenance stands.
pub fn weights(path: &Path) -> Vec<u8> {
    let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (length, rest) = file.split_at(8);
    let header = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    rest[header as usize..].to_vec()
}
