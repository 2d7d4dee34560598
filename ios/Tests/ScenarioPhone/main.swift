// An iPhone of the lab, by way of the app's own shell: tests/scenarios/PHONES.md says how the two talk.
import Foundation

let phone = ShellPhone()
// The main thread is the phone's: CallKit and PushKit call there.
Thread.detachNewThread {
    while let text = readLine() {
        guard let line = Line(text) else { fatalError("not a line of JSON: \(text)") }
        phone.take(line)
    }
    // Not the usual way out: the lab is gone, and nothing is left to be said to anybody.
    exit(0)
}
dispatchMain()
