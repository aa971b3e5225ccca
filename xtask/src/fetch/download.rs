//! One verified, resumable download with the `curl` program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::{Context, Failure};
use crate::pin::{self, Pin};

/// curl: the server does not serve ranges.
const CURL_RANGE_ERROR: i32 = 33;
/// curl: the transfer cannot be resumed.
const CURL_BAD_RESUME: i32 = 36;
/// curl: the file is larger than was allowed.
const CURL_TOO_LARGE: i32 = 63;

/// Which connections curl may open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    /// HTTPS alone, redirects included.
    Https,
    /// Plain HTTP to this machine, past any proxy.
    #[cfg(test)]
    Loopback,
}

impl Transport {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Https => &["--proto", "=https", "--proto-redir", "=https", "--retry", "3"],
            #[cfg(test)]
            Self::Loopback => &["--disable", "--proto", "=http", "--noproxy", "*"],
        }
    }
}

/// Downloads `url` to `destination`, which appears only once its content matches `pin`.
///
/// An interrupted transfer stays beside the destination with the extension `part`, and the next
/// call goes on where it ended. A part that turns out to be wrong is removed; if bytes of an
/// earlier call are in it, the download is tried once more from the start.
pub(super) fn download(
    url: &str,
    destination: &Path,
    pin: &Pin,
    transport: Transport,
) -> Result<(), Failure> {
    pin::create_parent(destination)?;
    let part = part_of(destination);
    loop {
        let earlier = length(&part).context(|| format!("cannot inspect {}", part.display()))?;
        let outcome = if earlier == pin.size {
            Ok(())
        } else if earlier > pin.size {
            Err(Stop::Wrong(Failure::new(format!(
                "{} has {earlier} bytes, expected at most {}",
                part.display(),
                pin.size
            ))))
        } else {
            transfer(url, &part, pin, transport)
        };
        match outcome.and_then(|()| verify(url, &part, pin)) {
            Ok(()) => {
                return fs::rename(&part, destination)
                    .context(|| format!("cannot move the download to {}", destination.display()));
            }
            Err(Stop::Interrupted(failure)) => return Err(failure),
            Err(Stop::Wrong(failure)) => {
                if part.exists() {
                    fs::remove_file(&part)
                        .context(|| format!("cannot remove {}", part.display()))?;
                }
                if earlier == 0 {
                    return Err(failure);
                }
            }
        }
    }
}

/// Why an attempt ended.
enum Stop {
    /// The part is good as far as it goes.
    Interrupted(Failure),
    /// The part can never become the file.
    Wrong(Failure),
}

fn part_of(destination: &Path) -> PathBuf {
    let mut name = destination.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// The length of the file, 0 if there is none.
fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn transfer(url: &str, part: &Path, pin: &Pin, transport: Transport) -> Result<(), Stop> {
    let mut curl = Command::new("curl");
    // `--disable` is heeded in the first place only.
    curl.args(transport.arguments())
        .args(["--fail", "--location", "--silent", "--show-error"])
        .args(["--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60"])
        .args(["--max-filesize", &pin.size.to_string()])
        .args(["--continue-at", "-", "--output"])
        .arg(part)
        .arg(url)
        .stdin(Stdio::null());
    let output = match curl.output() {
        Ok(output) => output,
        Err(error) => {
            return Err(Stop::Interrupted(Failure::new(format!(
                "cannot start curl, which downloads {url}: {error}"
            ))));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let failure = Failure::new(explain(url, pin, output.status, &output.stderr));
    match output.status.code() {
        Some(CURL_RANGE_ERROR | CURL_BAD_RESUME | CURL_TOO_LARGE) => Err(Stop::Wrong(failure)),
        _ => Err(Stop::Interrupted(failure)),
    }
}

fn explain(url: &str, pin: &Pin, status: ExitStatus, standard_error: &[u8]) -> String {
    if status.code() == Some(CURL_TOO_LARGE) {
        return format!("{url} is refused: it is larger than the expected {} bytes", pin.size);
    }
    // Each retry says the same again.
    let said = String::from_utf8_lossy(standard_error);
    let said = said.lines().last().unwrap_or_default().trim();
    format!("cannot download {url}: {said} ({status})")
}

fn verify(url: &str, part: &Path, pin: &Pin) -> Result<(), Stop> {
    let found = Pin::of_file(part)
        .context(|| format!("cannot read {}", part.display()))
        .map_err(Stop::Interrupted)?;
    pin.check(&found, url).map_err(Stop::Wrong)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    /// How the server answers.
    #[derive(Clone, Copy, PartialEq)]
    enum Behaviour {
        /// Whole files and ranges.
        Ranges,
        /// Whole files, whatever was asked for.
        NoRanges,
        /// Promises the whole file and hangs up after this many bytes of each answer.
        HangUpAfter(usize),
        /// Promises nothing and sends until the file ends.
        UnknownLength,
    }

    /// A server of one file on this machine; it ends with the test process.
    struct Server {
        url: String,
        /// The first byte that each request asked for.
        starts: Arc<Mutex<Vec<usize>>>,
    }

    impl Server {
        fn start(content: Vec<u8>, behaviour: Behaviour) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/model.tflite", listener.local_addr().unwrap());
            let starts = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&starts);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    answer(&stream.unwrap(), &content, behaviour, &seen);
                }
            });
            Self { url, starts }
        }

        fn starts(&self) -> Vec<usize> {
            self.starts.lock().unwrap().clone()
        }
    }

    fn answer(
        mut stream: &TcpStream,
        content: &[u8],
        behaviour: Behaviour,
        starts: &Mutex<Vec<usize>>,
    ) {
        let mut start = 0;
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(range) = line.strip_prefix("range: bytes=") {
                start = range.trim_end_matches('-').parse().unwrap();
            }
        }
        // Before the answer, so that whoever has the answer finds the request listed.
        starts.lock().unwrap().push(start);
        let served = if behaviour == Behaviour::NoRanges { 0 } else { start };
        let body = &content[served..];
        let head = match behaviour {
            Behaviour::UnknownLength => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
            _ if served == 0 => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            ),
            _ => format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes \
                 {served}-{}/{}\r\nConnection: close\r\n\r\n",
                body.len(),
                content.len() - 1,
                content.len()
            ),
        };
        let sent = match behaviour {
            Behaviour::HangUpAfter(count) => &body[..count.min(body.len())],
            _ => body,
        };
        // The client hangs up early when it refuses the file, so these may fail.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
    }

    fn content() -> Vec<u8> {
        (0..50_000_u32).flat_map(u32::to_le_bytes).collect()
    }

    struct Scene {
        _folder: tempfile::TempDir,
        destination: PathBuf,
        part: PathBuf,
        pin: Pin,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("models/model.tflite");
        let part = folder.path().join("models/model.tflite.part");
        fs::create_dir(folder.path().join("models")).unwrap();
        Scene { _folder: folder, destination, part, pin: Pin::of_bytes(&content()) }
    }

    impl Scene {
        fn download(&self, server: &Server) -> Result<(), Failure> {
            download(&server.url, &self.destination, &self.pin, Transport::Loopback)
        }
    }

    #[test]
    fn a_whole_file_is_downloaded() {
        let scene = scene();
        let server = Server::start(content(), Behaviour::Ranges);
        scene.download(&server).unwrap();
        assert_eq!(fs::read(&scene.destination).unwrap(), content());
        assert!(!scene.part.exists());
        assert_eq!(server.starts(), [0]);
    }

    #[test]
    fn a_file_of_unannounced_length_is_downloaded() {
        let scene = scene();
        scene.download(&Server::start(content(), Behaviour::UnknownLength)).unwrap();
        assert_eq!(fs::read(&scene.destination).unwrap(), content());
    }

    #[test]
    fn an_interrupted_download_goes_on_where_it_ended() {
        let scene = scene();
        let failure =
            scene.download(&Server::start(content(), Behaviour::HangUpAfter(70_000))).unwrap_err();
        assert!(failure.to_string().starts_with("cannot download http://"), "{failure}");
        assert!(!scene.destination.exists());
        assert_eq!(fs::metadata(&scene.part).unwrap().len(), 70_000);

        let server = Server::start(content(), Behaviour::Ranges);
        scene.download(&server).unwrap();
        assert_eq!(fs::read(&scene.destination).unwrap(), content());
        assert!(!scene.part.exists());
        assert_eq!(server.starts(), [70_000]);
    }

    #[test]
    fn a_complete_part_needs_no_server() {
        let scene = scene();
        fs::write(&scene.part, content()).unwrap();
        let server = Server::start(content(), Behaviour::Ranges);
        scene.download(&server).unwrap();
        assert_eq!(fs::read(&scene.destination).unwrap(), content());
        assert!(server.starts().is_empty());
    }

    #[test]
    fn a_server_without_ranges_is_asked_for_the_whole_file() {
        let scene = scene();
        fs::write(&scene.part, &content()[..1000]).unwrap();
        let server = Server::start(content(), Behaviour::NoRanges);
        scene.download(&server).unwrap();
        assert_eq!(fs::read(&scene.destination).unwrap(), content());
        assert_eq!(server.starts(), [1000, 0]);
    }

    #[test]
    fn a_wrong_part_is_dropped_and_the_download_starts_afresh() {
        let scene = scene();
        for wrong in [vec![7; 1000], vec![7; content().len()], vec![7; content().len() + 1]] {
            fs::write(&scene.part, wrong).unwrap();
            scene.download(&Server::start(content(), Behaviour::Ranges)).unwrap();
            assert_eq!(fs::read(&scene.destination).unwrap(), content());
            fs::remove_file(&scene.destination).unwrap();
        }
    }

    #[test]
    fn a_corrupt_file_is_refused_and_never_visible() {
        let scene = scene();
        let mut corrupt = content();
        corrupt[100_000] ^= 1;
        let failure =
            scene.download(&Server::start(corrupt, Behaviour::Ranges)).unwrap_err().to_string();
        assert!(failure.contains("is refused: expected 200000 bytes"), "{failure}");
        assert!(failure.contains(&scene.pin.sha256), "{failure}");
        assert!(!scene.destination.exists());
        assert!(!scene.part.exists());
    }

    #[test]
    fn a_file_of_the_wrong_size_is_refused() {
        let shorter = content()[..199_999].to_vec();
        let longer = [content(), vec![0]].concat();
        for (served, reason) in
            [(shorter, "found 199999 bytes"), (longer, "larger than the expected 200000 bytes")]
        {
            let scene = scene();
            let failure =
                scene.download(&Server::start(served, Behaviour::Ranges)).unwrap_err().to_string();
            assert!(failure.contains(reason), "{failure}");
            assert!(!scene.destination.exists());
            assert!(!scene.part.exists());
        }
    }

    #[test]
    fn an_overlong_file_of_unannounced_length_is_refused() {
        let scene = scene();
        let longer = [content(), vec![0; 1000]].concat();
        let failure = scene.download(&Server::start(longer, Behaviour::UnknownLength)).unwrap_err();
        assert!(failure.to_string().contains("is refused"), "{failure}");
        assert!(!scene.destination.exists());
    }

    #[test]
    fn plain_http_is_refused_outside_of_tests() {
        let scene = scene();
        let server = Server::start(content(), Behaviour::Ranges);
        let failure = download(&server.url, &scene.destination, &scene.pin, Transport::Https)
            .unwrap_err()
            .to_string();
        assert!(failure.contains("rotocol"), "{failure}");
        assert!(server.starts().is_empty());
    }
}
