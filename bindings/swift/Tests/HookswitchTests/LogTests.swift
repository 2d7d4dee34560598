import Foundation
import Hookswitch
import Testing

@Suite("The log") struct LogTests {
    private final class Sink: LogSink {
        let (lines, line) = AsyncStream<(LogLevel, String, String)>.makeStream()

        func log(_ level: LogLevel, target: String, _ message: String) { line.yield((level, message, target)) }
    }

    @Test func tellsOfDecisionsAndOfNoNumbers() async throws {
        let sink = Sink()
        #expect(Hookswitch.startLogging(.info, to: sink))
        let hookswitch = try await connect(Folder())
        let push = """
            {"kind": "incoming", "call_id": "c-1", "account": "nobody", "expires_at": 1, "routing": {"epoch": 1, "rev": 1},
             "forwarding_on": false, "from": "+14155550134", "from_name": "Maria Lopez"}
            """
        let decision = try hookswitch.ring.decide(Data(push.utf8), mustReport: true)
        let line = try #require(await sink.lines.first { $0.1.contains("c-1") })
        #expect(line.0 == .info)
        #expect(line.2 == "hookswitch::ring")
        #expect(line.1.contains(decision.explanation))
        #expect(!line.1.contains("4155550134") && !line.1.contains("Maria"))
    }
}
