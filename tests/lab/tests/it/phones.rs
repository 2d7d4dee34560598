use std::path::Path;

use lab::{
    Surroundings,
    scenario::{Outcome, Time, parse, play},
};

const LAB: &str = env!("CARGO_BIN_EXE_lab");

async fn outcome(scenario: &str, program: &str) -> Outcome {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(scenario).with_extension("json");
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = parse(scenario, &text).unwrap();
    let surroundings = Surroundings { phone_program: Some(program.parse().unwrap()), ..Surroundings::default() };
    play(&scenario, Time::Virtual, &surroundings).await
}

/// What happens with phones whose lines go through such a shell script on their way.
async fn scripted(scenario: &str, script: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("phone");
    std::fs::write(&file, format!("phone() {{ '{LAB}' phone; }}\n{script}")).unwrap();
    outcome(scenario, &format!("sh {}", file.display())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn time_cable_and_kills_reach_a_phone_in_a_process_of_its_own() {
    // Waits and a pulled cable; kills, and clocks that are ten years wrong.
    for scenario in ["nobody_answers", "clocks_may_be_wrong"] {
        let outcome = outcome(scenario, &format!("{LAB} phone")).await;
        assert!(outcome.held, "{}", outcome.transcript);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_lies_or_leaves_is_found_out() {
    for (script, complaint) in [
        ("phone | sed -u s/report_incoming_call/report_then_end/", "not what must be done here"),
        ("phone | sed -u '/\"kind\":\"decided\"/s/Rings/Sings/'", "the ring log has no such decision"),
        ("phone | sed -u s/answered_elsewhere/bored/", "garbled"),
        ("sed -u 12q | phone", "exited (exit status: 0)"),
    ] {
        let outcome = scripted("answered_elsewhere", script).await;
        assert!(!outcome.held, "{script}");
        assert!(outcome.transcript.contains(complaint), "{script}: {}", outcome.transcript);
        // Whoever looks at several that failed knows whose they are.
        assert!(outcome.transcript.contains("FAILED: answered_elsewhere: "), "{}", outcome.transcript);
        if script.contains("report_then_end") {
            assert!(outcome.transcript.contains("hookswitch-answered_elsewhere-android-"), "{}", outcome.transcript);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_phone_fails_its_scenario_and_says_so() {
    for (program, complaint) in
        [("false", "exited (exit status: 1)"), ("echo hello", "garbled"), ("/nowhere", "cannot be started")]
    {
        let outcome = outcome("repair", program).await;
        assert!(!outcome.held);
        assert!(outcome.transcript.contains(complaint), "{}", outcome.transcript);
    }
}
