use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use lab::{
    Surroundings,
    scenario::{Time, parse, play},
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What follows `name` in a line.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    line.split_once(name)?.1.split([' ', '}', ')']).next()
}

/// One thread, so that all of it logs to this test: two phones, the server, and the agent's other apps.
#[tokio::test]
async fn a_choice_can_be_followed_from_one_phones_log_by_the_servers_to_the_other_phones() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/availability_mirrors.json");
    let scenario = parse("followed", &std::fs::read_to_string(file).unwrap()).unwrap();
    let outcome = play(&scenario, Time::Virtual, &Surroundings::default()).await;
    drop(guard);
    assert!(outcome.held, "{}", outcome.transcript);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let asked: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("asks the server") && line.contains("what=\"availability\""))
        .filter_map(|line| field(line, "trace=Some("))
        .collect();
    assert!(!asked.is_empty(), "{log}");
    let mut followed = 0;
    for trace in &asked {
        assert_eq!(trace.len(), 32, "{trace}");
        let lines = |what: &str| log.lines().filter(|line| line.contains(what) && line.contains(trace)).count();
        assert_eq!(lines("asks the server"), 1, "{trace}: {log}");
        assert_eq!(lines("answered"), 1, "{trace}: {log}");
        // A stream may leave a state out when the next one follows at once.
        followed += usize::from(lines("a state came") == 2);
    }
    assert!(followed >= 1, "to both phones: {log}");
    for canary in ["alice@acme.example", "Alice Martin", "Bearer", "refresh_token"] {
        assert!(!log.contains(canary), "{canary}: {log}");
    }
}
