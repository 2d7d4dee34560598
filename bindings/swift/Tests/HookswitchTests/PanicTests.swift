#if INJECT_PANIC
import HookswitchGenerated
import Testing

@testable import Hookswitch

@Suite("A panic in Rust") struct PanicTests {
    @Test func isAnErrorAndNotACrash() async throws {
        do {
            try calling { try injectPanic() }
            Issue.record("nothing was thrown")
        } catch HookswitchError.internal(let why) {
            #expect(why.contains("injected"))
        }
        // And the library works on.
        let hookswitch = try await connect(Folder())
        #expect(hookswitch.session.state == .signedOut(why: .never, message: nil))
    }
}
#endif
