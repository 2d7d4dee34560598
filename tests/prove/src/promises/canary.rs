//! `canary`: no secret is found where it should not be.
//!
//! A wiretap between phone and backend learns every secret that travels: tokens, codes, verifiers, push tokens. Then all
//! that the phone's process leaves behind is searched for them, as they are and in base64 and hexadecimal: the vault's
//! files with its write-ahead log, temporary files, the log at its most talkative, the transcript; the same again after a
//! SIGKILL; and the memory of the process once the agent has signed out, at any moment, which is what a core dump would hold. (While
//! somebody is signed in, the tokens are in memory: they are in use. And what was under way at the sign-out has a moment to end.)

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Seek, SeekFrom},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
};

use super::Promise;
use crate::{
    child::Do,
    process::{Process, Unanswered, text},
    report::{ErrorMessage, Report, Size},
    test_backend::{TOKEN_LIFE, TestBackend},
};

const PUSH_TOKEN: &str = "canary-push-token-0123456789";

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(2, 60);
    let (mut searched, mut secrets, mut short) = (0, 0, Vec::new());
    for round in 0..rounds {
        let found = a_life(&mut size.luck(round)).await?;
        searched += found.searched;
        secrets += found.secrets;
        short.extend(found.leaks.into_iter().map(|leak| format!("round {round}: {leak}")));
    }
    let figure = format!(
        "{secrets} secrets sought in {:.0} MiB of files, logs, transcripts and memory: {} found",
        searched as f64 / f64::from(1 << 20),
        short.len()
    );
    Ok(Report::new(Promise::Canary, size, figure, short))
}

#[derive(Default)]
struct Search {
    searched: usize,
    secrets: usize,
    leaks: BTreeSet<String>,
}

impl Search {
    fn look(&mut self, place: &str, bytes: &[u8], secrets: &[Secret]) {
        self.searched += bytes.len();
        for secret in secrets {
            for form in &secret.forms {
                if let Some(at) = memmem::find(bytes, form) {
                    // What stands before it tells whose copy it is.
                    let before = bytes.get(at.saturating_sub(24)..at).unwrap_or_default().escape_ascii();
                    self.leaks.insert(format!("a {} is in {place}, behind \"{before}\"", secret.kind));
                }
            }
        }
    }

    fn look_into(&mut self, place: &str, folder: &Path, secrets: &[Secret]) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{place}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.look_into(&name, &entry.path(), secrets)?;
            } else {
                self.look(&name, &fs::read(entry.path())?, secrets);
            }
        }
        Ok(())
    }
}

struct Secret {
    kind: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    fn new((kind, value): (&'static str, String)) -> Self {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        // Base64 of a part that starts at a multiple of three bytes stands for itself wherever it stands.
        let base64 = base64(value.as_bytes());
        Self { kind, forms: vec![value.into_bytes(), hex.into_bytes(), base64] }
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = bytes.chunks_exact(3);
    whole
        .flat_map(|chunk| {
            let number = chunk.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
            [18, 12, 6, 0].map(|shift| LETTERS.get(number >> shift & 63).copied().unwrap_or_default())
        })
        .collect()
}

async fn a_life(luck: &mut fastrand::Rng) -> Result<Search, ErrorMessage> {
    let mut backend = TestBackend::open().await?;
    let wiretap = Wiretap::start(backend.base()).await?;
    backend.wiretap = Some(wiretap.address);
    let folder = backend.folder("phone");
    let mut search = Search::default();

    let phone = backend.phone("phone").await?;
    phone.ask(Do::PushToken { token: PUSH_TOKEN.into() }).await.map_err(Unanswered::text)?;
    phone.ask(Do::Foreground).await.map_err(Unanswered::text)?;
    for _ in 0..luck.u32(1..4) {
        backend.jump(TOKEN_LIFE)?;
        phone.token().await.map_err(Unanswered::text)?;
    }
    phone.ask(Do::Saved).await.map_err(Unanswered::text)?;
    let transcript = phone.ask(Do::Transcript).await.map_err(Unanswered::text)?.to_string();
    let secrets = wiretap.secrets();
    search.look("the transcript", transcript.as_bytes(), &secrets);
    search.look_into("files of a phone that runs", &folder, &secrets).map_err(text)?;

    // Killed in the middle of a refresh, with a write-ahead log that nobody has tidied up.
    backend.jump(TOKEN_LIFE)?;
    let refreshing = phone.send(Do::Tokens { count: 1 }).await.map_err(Unanswered::text)?;
    tokio::time::sleep(Duration::from_micros(luck.u64(..8_000))).await;
    phone.kill().await?;
    drop(refreshing);
    let secrets = wiretap.secrets();
    search.look_into("files after a kill", &folder, &secrets).map_err(text)?;

    let phone = Process::start(&backend, &folder, "app", None)?;
    phone.opened().await.map_err(Unanswered::text)?;
    phone.ask(Do::Foreground).await.map_err(Unanswered::text)?;
    phone.token().await.map_err(Unanswered::text)?;
    // In the middle of a refresh, or of whatever else.
    backend.jump(TOKEN_LIFE)?;
    let refreshing = phone.send(Do::Tokens { count: 1 }).await.map_err(Unanswered::text)?;
    tokio::time::sleep(Duration::from_micros(luck.u64(..20_000))).await;
    phone.ask(Do::SignOut).await.map_err(Unanswered::text)?;
    drop(refreshing);
    while backend.live_phones()? > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    phone.ask(Do::Saved).await.map_err(Unanswered::text)?;
    let secrets = wiretap.secrets();
    search.look_into("files after the sign-out", &folder, &secrets).map_err(text)?;
    // The push token belongs to the device, not to the session: it stays known.
    let of_the_session: Vec<Secret> = secrets.into_iter().filter(|secret| secret.kind != "push token").collect();
    for left in (0..20).rev() {
        let mut found = Search::default();
        memory(phone.id(), |region, bytes| {
            found.look(&format!("memory after the sign-out ({region})"), bytes, &of_the_session);
        })
        .map_err(|error| format!("the memory of the process cannot be read: {error}"))?;
        if found.leaks.is_empty() || left == 0 {
            search.searched += found.searched;
            search.leaks.append(&mut found.leaks);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    phone.kill().await?;
    search.secrets = wiretap.secrets().len();
    if search.secrets < 8 {
        return Err(format!("the wiretap has heard only {} secrets", search.secrets));
    }
    Ok(search)
}

/// Reads all writable memory of a process: what a core dump of it holds.
fn memory(pid: i32, mut look: impl FnMut(&str, &[u8])) -> io::Result<()> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = fs::File::open(format!("/proc/{pid}/mem"))?;
    for line in maps.lines() {
        let mut parts = line.split_whitespace();
        let (Some(range), Some(rights)) = (parts.next(), parts.next()) else { continue };
        let name = parts.nth(3).unwrap_or("anonymous");
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let mut bytes = Vec::new();
        memory.seek(SeekFrom::Start(start))?;
        // Pages that were never touched may not be readable: they hold nothing.
        let _ = (&mut memory).take(end - start).read_to_end(&mut bytes);
        look(name, &bytes);
    }
    Ok(())
}

/// A proxy that passes everything on, and remembers it.
struct Wiretap {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::AbortHandle,
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wiretap {
    async fn start(backend: &str) -> Result<Self, ErrorMessage> {
        let backend = backend.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((phone, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&backend).await else { continue };
                let (from_phone, to_phone) = phone.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_phone, to_server, Arc::clone(&ears)));
                tokio::spawn(pass(from_server, to_phone, Arc::clone(&ears)));
            }
        })
        .abort_handle();
        Ok(Self { address, heard, task })
    }

    /// All secrets so far.
    fn secrets(&self) -> Vec<Secret> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&heard);
        let mut found: BTreeSet<(&'static str, String)> = BTreeSet::new();
        for (kind, before, after) in [
            ("access token", "\"access_token\":\"", "\""),
            ("refresh token", "\"refresh_token\":\"", "\""),
            ("ID token", "\"id_token\":\"", "\""),
            ("push token", "\"push_token\":\"", "\""),
            ("code", "code=", "& \r\n{"),
            ("PKCE verifier", "code_verifier=", "& \r\n{"),
            ("refresh token", "refresh_token=", "& \r\n{"),
            ("access token", "Bearer ", "\r"),
        ] {
            for rest in text.split(before).skip(1) {
                let value: String = rest.chars().take_while(|letter| !after.contains(*letter)).collect();
                // Shorter ones are words, such as the name of a grant type.
                if value.len() >= 20 {
                    found.insert((kind, value));
                }
            }
        }
        found.into_iter().map(Secret::new).collect()
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, ears: Arc<Mutex<Vec<u8>>>) {
    let mut piece = vec![0; 16 * 1_024];
    while let Ok(length) = from.read(&mut piece).await {
        let Some(heard) = piece.get(..length).filter(|heard| !heard.is_empty()) else { return };
        ears.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(heard);
        if to.write_all(heard).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_any_form() {
        let secrets = [Secret::new(("token", "canary-0123456789".into()))];
        for hidden in [
            "..canary-0123456789..",
            "..63616e6172792d30313233343536373839..",
            // base64 of "canary-01234567" with what follows.
            "..Y2FuYXJ5LTAxMjM0NTY3ODk=..",
        ] {
            let mut search = Search::default();
            search.look("there", hidden.as_bytes(), &secrets);
            assert_eq!(search.leaks.len(), 1, "{hidden}");
        }
    }
}
