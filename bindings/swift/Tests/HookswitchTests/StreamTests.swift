import Testing

@testable import Hookswitch

@Suite("Streams") struct StreamTests {
    @Test func aStreamBeginsWithTheNewestValue() async {
        let broadcast = Broadcast<Int>(.latest)
        broadcast.send(1)
        broadcast.send(2)
        var stream = broadcast.stream().makeAsyncIterator()
        #expect(await stream.next() == 2)
    }

    @Test func whoIsSlowGetsTheNewestAndNothingOutdated() async {
        let broadcast = Broadcast<Int>(.latest)
        var stream = broadcast.stream().makeAsyncIterator()
        for value in 1...1_000 { broadcast.send(value) }
        #expect(await stream.next() == 1_000)
    }

    @Test func aStreamOfEachMissesNothing() async {
        let broadcast = Broadcast<Int>(.each)
        let stream = broadcast.stream()
        for value in 1...1_000 { broadcast.send(value) }
        broadcast.finish()
        #expect(await stream.reduce(into: []) { $0.append($1) } == Array(1...1_000))
    }

    @Test func theSameAgainIsNoNews() async {
        let broadcast = Broadcast<Int>(.latest)
        var stream = broadcast.stream().makeAsyncIterator()
        broadcast.sendIfNew(1)
        #expect(await stream.next() == 1)
        broadcast.sendIfNew(1)
        broadcast.sendIfNew(2)
        #expect(await stream.next() == 2)
    }

    @Test func everyListenerHearsTheEnd() async {
        let broadcast = Broadcast<Int>(.latest)
        let before = broadcast.stream()
        broadcast.finish()
        let after = broadcast.stream()
        #expect(await before.first { _ in true } == nil)
        #expect(await after.first { _ in true } == nil)
    }

    @Test func aListenerThatLeftIsForgotten() async {
        let broadcast = Broadcast<Int>(.latest)
        for _ in 0..<100 {
            let stream = broadcast.stream()
            broadcast.send(1)
            #expect(await stream.first { _ in true } == 1)
        }
        #expect(broadcast.listeners == 0)
    }
}

@Suite("Waiting") struct WaitingTests {
    /// Ends when it is told to.
    private final class Gate: Sendable {
        let (opened, opener) = AsyncStream<Void>.makeStream()

        func open() { opener.finish() }
        func passed() async { for await _ in opened {} }
    }

    @Test func aCancelledTaskStopsWaitingAndTheWorkGoesOn() async throws {
        let gate = Gate()
        let (begins, begin) = AsyncStream<Void>.makeStream()
        let (ends, end) = AsyncStream<Bool>.makeStream()
        let waiter = Task {
            try await waiting {
                begin.yield()
                await gate.passed()
                end.yield(Task.isCancelled)
                return 1
            }
        }
        await begins.first { _ in true }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        gate.open()
        #expect(await ends.first { _ in true } == false, "the work was cancelled")
    }

    @Test func aTaskThatWasCancelledBeforeBeginsNothing() async {
        let waiter = Task {
            while !Task.isCancelled { await Task.yield() }
            _ = try await waiting { Issue.record("the work was begun") }
        }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
    }

    @Test func aResultAndAnErrorComeThrough() async throws {
        #expect(try await waiting { 7 } == 7)
        await #expect(throws: HookswitchError.offline(why: "x")) {
            try await waiting { throw HookswitchError.offline(why: "x") }
        }
    }
}
