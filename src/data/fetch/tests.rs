//! Fetching from a server on this machine: good bytes, wrong bytes, a dead mirror, files in place.

use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread;

/// Serves each of `answers` once, in turn, as the body of a 200 (or a 404 for `None`), and gives back its address.
fn serve(answers: Vec<Option<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/file", listener.local_addr().unwrap());
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let (status, body) = match answer {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", Vec::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // The client may hang up early: it reads no more than it expects.
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
        }
    });
    address
}

/// An address where nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/file", listener.local_addr().unwrap())
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    received: u64,
    stop: bool,
}

impl Progress for Log {
    fn download(&mut self, file: &str, _mirror: &str, bytes: u64) -> Result<()> {
        self.lines.push(format!("download {file} {bytes}"));
        Ok(())
    }

    fn received(&mut self, bytes: u64) -> Result<()> {
        self.received = bytes;
        if self.stop { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn unpacked(&mut self, file: &str, files: u64) -> Result<()> {
        self.lines.push(format!("unpacked {file} {files}"));
        Ok(())
    }

    fn note(&mut self, line: &str) -> Result<()> {
        self.lines.push(line.to_owned());
        Ok(())
    }
}

fn plan_of(content: &[u8], archive: Option<Form>, mirrors: Vec<String>) -> Plan {
    let sha256 = String::leak(hex(&Sha256::digest(content)));
    let source = Source { name: "the-file.gz", bytes: content.len() as u64, sha256, mirrors };
    Plan { kind: DatasetKind::Cifar10, sources: vec![source], folder: "set", archive, marker: "marker" }
}

/// Carries a plan out past any proxy of the environment: the server is on this machine.
fn run(plan: &Plan, dir: &Path, progress: &mut dyn Progress) -> Result<PathBuf> {
    let agent = ureq::Agent::config_builder().proxy(None).build().into();
    carry_out(plan, dir, &agent, progress)
}

fn set_archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    builder.append_data(&mut header, "set/marker", b"abc".as_slice()).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn bad_mirrors_are_passed_over_until_one_has_the_right_bytes() {
    let content = vec![42; 100_000];
    let mut wrong = content.clone();
    wrong[5] = 0;
    let mut longer = content.clone();
    longer.push(0);
    let mirrors = vec![
        dead(),
        serve(vec![None]),
        serve(vec![Some(wrong)]),
        serve(vec![Some(longer)]),
        serve(vec![Some(content[1..].to_vec())]),
        serve(vec![Some(content.clone())]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::default();
    let folder = run(&plan_of(&content, None, mirrors), dir.path(), &mut log).unwrap();
    assert_eq!(folder, dir.path().join("set"));
    assert_eq!(names(&folder), ["the-file.gz"]);
    assert_eq!(fs::read(folder.join("the-file.gz")).unwrap(), content);
    assert_eq!(log.received, 100_000);
    let text = log.lines.join("\n");
    for needle in ["404", "SHA-256", "more than the 100000", "fewer than the 100000"] {
        assert!(text.contains(needle), "{needle} not in {text}");
    }
}

#[test]
fn an_archive_is_unpacked_and_removed_and_not_fetched_twice() {
    let content = set_archive();
    let plan = plan_of(&content, Some(Form::TarGz), vec![serve(vec![Some(content.clone())])]);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("not/yet/there");
    let mut log = Log::default();
    run(&plan, &data, &mut log).unwrap();
    assert_eq!(names(&data), ["set"]);
    assert_eq!(fs::read(data.join("set/marker")).unwrap(), b"abc");
    assert!(log.lines.contains(&"unpacked the-file.gz 1".to_owned()));
    // The server has gone: a second fetch must not need it.
    let mut log = Log::default();
    run(&plan, &data, &mut log).unwrap();
    assert!(log.lines[0].ends_with("is there already"), "{:?}", log.lines);
    fs::remove_file(data.join("set/marker")).unwrap();
    let error = run(&plan, &data, &mut log).unwrap_err();
    assert!(error.to_string().contains("marker"), "{error}");
}

#[test]
fn an_archive_brought_by_hand_is_checked_and_used_and_kept() {
    let content = set_archive();
    let plan = plan_of(&content, Some(Form::TarGz), vec![dead()]);
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("the-file.gz");
    fs::write(&archive, &content[1..]).unwrap();
    let error = run(&plan, dir.path(), &mut Log::default()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("the-file.gz: SHA-256: expected"), "{error}");
    assert_eq!(names(dir.path()), ["the-file.gz"]);
    fs::write(&archive, &content).unwrap();
    run(&plan, dir.path(), &mut Log::default()).unwrap();
    assert_eq!(names(dir.path()), ["set", "the-file.gz"]);
}

#[test]
fn without_a_network_one_line_says_what_to_put_where() {
    let plan = plan_of(b"abc", Some(Form::TarGz), vec![dead(), dead()]);
    let dir = tempfile::tempdir().unwrap();
    let error = run(&plan, dir.path(), &mut Log::default()).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    let advice = format!("put the-file.gz into {} and run `synfilter data fetch", dir.path().display());
    assert!(text.contains(&advice) && text.contains("127.0.0.1"), "{text}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_interruption_leaves_no_part_behind() {
    let content = vec![1; 200_000];
    let plan = plan_of(&content, None, vec![serve(vec![Some(content.clone())])]);
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log { stop: true, ..Log::default() };
    assert!(matches!(run(&plan, dir.path(), &mut log), Err(Error::Interrupted)));
    assert!(names(&dir.path().join("set")).is_empty());
}

#[test]
fn every_official_file_has_mirrors_and_a_whole_digest() {
    for kind in [DatasetKind::Mnist, DatasetKind::Cifar10, DatasetKind::TinyImagenet] {
        for source in plan(kind).unwrap().sources {
            assert!(source.mirrors.len() >= 2 && source.bytes > 0);
            assert!(source.mirrors.iter().all(|url| url.ends_with(source.name) && url.starts_with("http")));
            assert_eq!(source.sha256.len(), 64);
            assert!(source.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        }
    }
    for kind in [DatasetKind::Digits, DatasetKind::Folder] {
        assert_eq!(plan(kind).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn a_data_set_that_cannot_be_fetched_is_a_usage_error() {
    for (kind, needle) in [
        (DatasetKind::Digits, "part of the program"),
        (DatasetKind::Arrays, "arrays is your own data"),
        (DatasetKind::Cifar100, "only mnist, cifar10 and tiny-imagenet can be fetched"),
    ] {
        let error = plan(kind).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{error}");
    }
}
