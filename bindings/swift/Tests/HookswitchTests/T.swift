import Testing
@testable import Hookswitch

@Test func ok() { #expect(ping()) }
